package clearcut

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"canopy/analysis"
)

// ErrTooFew is returned when a removal leaves nobody to look up from, or nobody
// to be found.
var ErrTooFew = errors.New("a lookup needs two survivors")

// Options say how much is simulated. Equal options and graphs give equal
// figures, on any number of cores.
type Options struct {
	Lookups     int    // of each removal, before and after repair each; default 2000
	Repetitions int    // random sets of each size; default 5
	Seed        uint64 // of origins, keys, random sets and repair
}

const (
	defaultLookups     = 2000
	defaultRepetitions = 5
)

func (o Options) withDefaults() Options {
	if o.Lookups <= 0 {
		o.Lookups = defaultLookups
	}
	if o.Repetitions <= 0 {
		o.Repetitions = defaultRepetitions
	}
	o.Repetitions = min(o.Repetitions, o.Lookups)
	return o
}

// Searches is how lookups go on one set of tables.
type Searches struct {
	Success   analysis.Estimate  `json:"success"`           // share that find the closest living peer
	Recall    analysis.Estimate  `json:"recall"`            // share of the k closest living peers that a lookup finds
	Hops      *analysis.Estimate `json:"hops,omitempty"`    // of lookups that succeed, nil if none does
	Messages  analysis.Estimate  `json:"messages"`          // of each lookup
	Component analysis.Estimate  `json:"largest_component"` // share of survivors
}

// Cut is what one removal leaves.
type Cut struct {
	Share       analysis.Estimate `json:"share_removed"` // of the peers that answered
	Removed     int               `json:"removed"`
	Survivors   int               `json:"survivors"`
	Recorded    Searches          `json:"recorded"`               // on the tables as recorded
	Repaired    Searches          `json:"repaired"`               // after one round of repair
	RecordsLost analysis.Estimate `json:"records_lost"`           // share of keys whose k holders were all removed
	Expected    float64           `json:"records_lost_expected"`  // f^k, were the holders independent
	EntryPoints *Entries          `json:"entry_points,omitempty"` // nil when the crawl does not tell, or sets are random
}

// Entries is who of the entry points is left.
type Entries struct {
	Known int      `json:"known"`             // whose peer the crawl met
	Left  int      `json:"left"`              // of these, still there
	Gone  []string `json:"gone"`              // addresses
	Other []string `json:"unknown,omitempty"` // addresses of which the crawl does not tell who that is
}

// Cut removes a set of peers, by number in the graph, and measures what is
// left. It returns an error that wraps [ErrTooFew] if that is fewer than two
// living peers.
func (g *Graph) Cut(ctx context.Context, removed []bool, opt Options) (Cut, error) {
	opt = opt.withDefaults()
	r := g.Without(removed)
	c, err := g.begin(len(r.survivors))
	if err != nil {
		return Cut{}, err
	}
	repaired, err := r.Repaired(ctx, opt.Seed)
	if err != nil {
		return Cut{}, err
	}
	for _, state := range []struct {
		remains *Remains
		into    *Searches
	}{{r, &c.Recorded}, {repaired, &c.Repaired}} {
		traces, err := state.remains.search(ctx, opt.Lookups, opt.Seed)
		if err != nil {
			return Cut{}, err
		}
		*state.into = summarise(singly(traces), []float64{state.remains.Component()})
	}
	c.RecordsLost = counted(r.RecordsLost(), len(g.up), "share of all keys", "peers that answered")
	c.EntryPoints = g.entriesLeft(r)
	return c, nil
}

// RandomCut removes sets of the given number of peers that are drawn at
// random, and measures what is left in the mean.
func (g *Graph) RandomCut(ctx context.Context, number int, opt Options) (Cut, error) {
	opt = opt.withDefaults()
	c, err := g.begin(len(g.up) - number)
	if err != nil {
		return Cut{}, err
	}
	var before, after [][]Trace
	var component, repairedComponent, lost []float64
	for set := range opt.Repetitions {
		seed := mix(opt.Seed ^ mix(uint64(number)<<16|uint64(set)))
		r := g.Without(g.draw(number, seed))
		repaired, err := r.Repaired(ctx, seed)
		if err != nil {
			return Cut{}, err
		}
		lookups := opt.Lookups / opt.Repetitions
		recordedTraces, err1 := r.search(ctx, lookups, seed)
		repairedTraces, err2 := repaired.search(ctx, lookups, seed)
		if err := errors.Join(err1, err2); err != nil {
			return Cut{}, err
		}
		before, after = append(before, recordedTraces), append(after, repairedTraces)
		component, repairedComponent = append(component, r.Component()), append(repairedComponent, repaired.Component())
		lost = append(lost, r.RecordsLost())
	}
	c.Recorded, c.Repaired = summarise(before, component), summarise(after, repairedComponent)
	c.RecordsLost = measured(lost, "share of all keys")
	return c, nil
}

// begin fills in what follows from the number of survivors alone.
func (g *Graph) begin(survivors int) (Cut, error) {
	c := Cut{Removed: len(g.up) - survivors, Survivors: survivors}
	if survivors < 2 {
		return c, fmt.Errorf("%d of %d living peers are removed: %w", c.Removed, len(g.up), ErrTooFew)
	}
	f := float64(c.Removed) / float64(len(g.up))
	c.Share = counted(f, len(g.up), "share of the peers that answered", "peers that answered")
	c.Expected = math.Pow(f, float64(g.network.K))
	return c, nil
}

// draw marks a number of living peers at random.
func (g *Graph) draw(number int, seed uint64) []bool {
	removed := make([]bool, len(g.peers))
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, i := range rng.Perm(len(g.up))[:number] {
		removed[g.up[i]] = true
	}
	return removed
}

// search runs lookups from random survivors to random keys. Each has a random
// source of its own, so that it does not matter who runs it.
func (r *Remains) search(ctx context.Context, lookups int, seed uint64) ([]Trace, error) {
	const share = 64 // lookups at once
	traces := make([]Trace, lookups)
	err := parallel(ctx, (lookups+share-1)/share, func() func(int) {
		s, source := newSeeker(r), rand.NewPCG(0, 0)
		rng := rand.New(source)
		return func(job int) {
			for i := job * share; i < min(lookups, (job+1)*share); i++ {
				source.Seed(seed, uint64(i)+2)
				traces[i] = s.seek(r.survivors[rng.IntN(len(r.survivors))], rng.Uint64())
			}
		}
	})
	return traces, err
}

// summarise makes estimates of the lookups of each repetition.
func summarise(repetitions [][]Trace, component []float64) Searches {
	var success, recall, hops, messages sample
	for _, traces := range repetitions {
		var found, part, way, sent, n float64
		for _, t := range traces {
			n++
			part += t.Recall
			sent += float64(t.Messages)
			if t.Found {
				found++
				way += float64(t.Hops)
			}
		}
		success.add(found/n, len(traces))
		recall.add(part/n, len(traces))
		messages.add(sent/n, len(traces))
		if found > 0 {
			hops.add(way/found, int(found))
		}
	}
	s := Searches{
		Success: success.share("share of lookups that find the closest living peer"),
		Recall:  recall.share("share of the k closest living peers that a lookup finds"), Messages: messages.mean("requests of a lookup"),
		Component: measured(component, "share of the survivors"),
	}
	if len(hops.means) > 0 {
		e := hops.mean("requests one after the other, of lookups that succeed")
		s.Hops = &e
	}
	return s
}

// singly takes every lookup for a repetition of its own.
func singly(traces []Trace) [][]Trace {
	list := make([][]Trace, len(traces))
	for i := range traces {
		list[i] = traces[i : i+1]
	}
	return list
}

func (s *sample) add(mean float64, lookups int) {
	s.means, s.lookups = append(s.means, mean), s.lookups+lookups
}

// entriesLeft says who of the entry points still answers.
func (g *Graph) entriesLeft(r *Remains) *Entries {
	if len(g.entries) == 0 {
		return nil
	}
	e := &Entries{}
	for _, point := range g.entries {
		switch left := false; {
		case len(point.Peers) == 0:
			e.Other = append(e.Other, point.Address)
		default:
			e.Known++
			for _, peer := range point.Peers {
				left = left || r.alive[peer]
			}
			if left {
				e.Left++
			} else {
				e.Gone = append(e.Gone, point.Address)
			}
		}
	}
	return e
}
