package survival

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// resamples returns, for each replicate, how often each group of peers is drawn.
func resamples(opt Options) [][]float64 {
	rng := rand.New(rand.NewPCG(opt.Seed, 1))
	draws := make([][]float64, opt.Replicates)
	for i := range draws {
		draws[i] = make([]float64, groups)
		for range groups {
			draws[i][rng.IntN(groups)]++
		}
	}
	return draws
}

// life is a session with its beginning and end drawn.
type life struct {
	began       float64 // since the watch began
	entry, exit float64 // age at which it was first seen and at which it ended or was lost from sight
	ended       bool
	group       uint64
}

// drawn draws beginnings and ends, each evenly within its interval. Equal
// spells give equal draws.
func drawn(spells []Spell) []life {
	rng := rand.New(rand.NewPCG(2, uint64(len(spells))))
	lives := make([]life, len(spells))
	for i, s := range spells {
		l := life{entry: s.Before.Seconds() * rng.Float64(), ended: s.ended(), group: s.Peer % groups}
		l.began, l.exit = s.Began.Seconds()-l.entry, l.entry+s.Seen.Seconds()
		if l.ended {
			l.exit += s.After.Seconds() * rng.Float64()
		}
		lives[i] = l
	}
	return lives
}

// kaplanMeier is the product-limit estimate of sessions that last at least as
// long as the curve begins at.
func kaplanMeier(lives []life, from time.Duration) estimator {
	type event struct {
		t     float64
		group uint64
		risk  float64 // 1 enters, -1 leaves
		dies  bool
	}
	var events []event
	for _, l := range lives {
		entry := max(from.Seconds(), l.entry)
		if l.exit <= entry {
			continue
		}
		events = append(events, event{entry, l.group, 1, false}, event{l.exit, l.group, -1, l.ended})
	}
	slices.SortStableFunc(events, func(a, b event) int {
		switch {
		case a.t < b.t || a.t == b.t && a.risk < b.risk: // at one moment, ends come before entries
			return -1
		case a.t > b.t || a.risk > b.risk:
			return 1
		}
		return 0
	})
	return func(weights []float64) []step {
		curve := []step{{from.Seconds(), 1}}
		risk, share := 0.0, 1.0
		for i := 0; i < len(events); {
			j, died, left := i, 0.0, 0.0
			for ; j < len(events) && events[j].t == events[i].t; j++ {
				w := weights[events[j].group]
				switch {
				case events[j].risk > 0:
					left -= w
				case events[j].dies:
					died, left = died+w, left+w
				default:
					left += w
				}
			}
			if died > 0 && risk > 0 {
				share *= 1 - min(1, died/risk)
				curve = append(curve, step{events[i].t, share})
			}
			risk -= left
			i = j
		}
		return curve
	}
}

// createBased is the share of sessions created in the first half of the watch
// that last longer than each time up to half of it: each is watched that long.
func createBased(all []life, from, half time.Duration) estimator {
	var lives []life
	for _, l := range all {
		lost := !l.ended && l.exit < half.Seconds()
		if l.began <= half.Seconds() && l.exit >= from.Seconds() && !lost {
			lives = append(lives, l)
		}
	}
	if len(lives) < fewest {
		return nil
	}
	slices.SortFunc(lives, func(a, b life) int {
		return cmp.Compare(a.exit, b.exit)
	})
	return func(weights []float64) []step {
		total := 0.0
		for _, l := range lives {
			total += weights[l.group]
		}
		if total == 0 {
			return nil
		}
		curve, left := []step{{from.Seconds(), 1}}, total
		for _, l := range lives {
			if l.exit > half.Seconds() {
				break
			}
			left -= weights[l.group]
			curve = append(curve, step{l.exit, left / total})
		}
		return append(curve, step{half.Seconds(), left / total})
	}
}

// fact is spells that are alike, by the group of their peers.
type fact struct {
	before, seen, after float64 // seconds; after is infinite if the end is not known
	count               [groups]float64
}

// facts joins spells that are alike within a twentieth.
func facts(spells []Spell) []*fact {
	round := func(d time.Duration) float64 {
		if d <= 0 {
			return 0
		}
		return math.Exp(math.Round(math.Log(d.Seconds())*20) / 20)
	}
	type key struct{ before, seen, after float64 }
	known := map[key]*fact{}
	var list []*fact
	for _, s := range spells {
		k := key{round(s.Before), round(s.Seen), math.Inf(1)}
		if s.ended() {
			k.after = round(s.After)
		}
		f := known[k]
		if f == nil {
			f = &fact{before: k.before, seen: k.seen, after: k.after}
			known[k] = f
			list = append(list, f)
		}
		f.count[s.Peer%groups]++
	}
	return list
}

// agrees is the probability that a session shows this fact whose length lies
// evenly between from and to, its beginning being anywhere between its two
// probes alike.
func (f *fact) agrees(from, to float64) float64 {
	below := func(d float64) float64 {
		sum := ramp(d-f.seen, f.before)
		if !math.IsInf(f.after, 1) {
			sum -= ramp(d-f.seen-f.after, f.before)
		}
		return sum
	}
	return max(0, below(to)-below(from)) / (to - from)
}

// visible is the probability that such a session lasts to its first probe.
func (f *fact) visible(from, to float64) float64 {
	return min(1, (ramp(to, f.before)-ramp(from, f.before))/(to-from))
}

// ramp is the integral up to x of a ramp that rises from 0 at 0 to 1 at width.
func ramp(x, width float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x < width:
		return x * x / width / 2
	}
	return x - width/2
}

// Settings of the EM.
const (
	growth    = 0.2 // of a bin to its edge, unless the probes are farther apart
	rounds    = 300
	converged = 1e-5
)

// turnbull is the self-consistent estimate over bins that are as wide as the
// probes are apart and grow with the length of sessions; the last holds all
// that is longer than any session whose end was seen: of that nothing tells the
// parts, and so the curve ends there. Finer bins would tell of the probes rather
// than of sessions.
func turnbull(spells []Spell, from time.Duration) estimator {
	list := facts(spells)
	all := make([]float64, groups)
	for i := range all {
		all[i] = 1
	}
	longest := max(2*from.Seconds(), lastEnd(list, all))
	const below = 2 // bins before the curve begins
	edges := []float64{0, from.Seconds() / below, from.Seconds()}
	for edges[len(edges)-1] < longest {
		edge := edges[len(edges)-1]
		edges = append(edges, edge+max(edges[1], growth*edge))
	}
	bins := len(edges) - 1
	agree, visible := kernels(list, edges)
	start := make([]float64, bins+1)
	for k := range start {
		start[k] = 1 / float64(bins+1)
	}
	warm := false
	return func(weights []float64) []step {
		mass := selfConsistent(list, agree, visible, weights, start, edges)
		if !warm {
			start, warm = mass, true
		}
		left := 0.0
		for _, m := range mass[below:] {
			left += m
		}
		if left <= 0 {
			return nil
		}
		curve, share := []step{{edges[below], 1}}, left
		last := lastEnd(list, weights)
		for k := below; k < bins && edges[k] < last; k++ {
			share -= mass[k]
			curve = append(curve, step{edges[k+1], max(0, share/left)})
		}
		return curve
	}
}

// lastEnd is the greatest age at which a session may have ended whose end was
// seen, of peers that have a weight.
func lastEnd(list []*fact, weights []float64) float64 {
	last := 0.0
	for _, f := range list {
		if math.IsInf(f.after, 1) {
			continue
		}
		for g, n := range f.count {
			if n*weights[g] > 0 {
				last = max(last, f.before+f.seen+f.after)
				break
			}
		}
	}
	return last
}

// kernels is how well each bin agrees with each fact, and how visible a session
// in it is. The last bin is everything longer.
func kernels(list []*fact, edges []float64) (agree, visible [][]float64) {
	bins := len(edges) - 1
	for _, f := range list {
		a, v := make([]float64, bins+1), make([]float64, bins+1)
		for k := range bins {
			a[k], v[k] = f.agrees(edges[k], edges[k+1]), f.visible(edges[k], edges[k+1])
		}
		v[bins] = 1
		if math.IsInf(f.after, 1) {
			a[bins] = 1
		}
		agree, visible = append(agree, a), append(visible, v)
	}
	return agree, visible
}

// selfConsistent repeats until the masses stay: each session is spread over the
// bins that agree with it, as far as these hold mass, and brings with it those
// that were not seen because they fell between probes. Each round smooths the
// masses (EMS, Silverman et al. 1990), because two bins beside each other are
// hardly told apart by probes as far from each other as these are wide.
func selfConsistent(list []*fact, agree, visible [][]float64, weights, mass, edges []float64) []float64 {
	counts := make([]float64, len(list))
	for i, f := range list {
		for g, n := range f.count {
			counts[i] += n * weights[g]
		}
	}
	mass = slices.Clone(mass)
	next := make([]float64, len(mass))
	for range rounds {
		clear(next)
		total := 0.0
		for i, n := range counts {
			if n == 0 {
				continue
			}
			var explained, seen float64
			for k, m := range mass {
				explained += m * agree[i][k]
				seen += m * visible[i][k]
			}
			if explained <= 0 || seen <= 0 {
				continue
			}
			for k, m := range mass {
				next[k] += n * m * (agree[i][k]/explained + (1-visible[i][k])/seen)
			}
			total += n / seen
		}
		if total == 0 {
			return mass
		}
		change := 0.0
		for k := range next {
			// Bins that lost all mass would never get any back in a resample.
			next[k] = max(next[k]/total, 1e-12)
		}
		smooth(next, edges)
		for k := range next {
			change += math.Abs(next[k] - mass[k])
		}
		mass, next = next, mass
		if change < converged {
			break
		}
	}
	return mass
}

// smooth makes the density of each bin the mean of its own, twice, and of both
// beside it, but for the first bin, whose sessions are mostly unseen, and the
// last, which has no width. It is not the geometric mean, which would take from
// sessions between empty bins what they hold.
func smooth(mass, edges []float64) {
	n := len(edges) - 1
	density := make([]float64, n)
	total := 0.0
	for k := range n {
		density[k] = mass[k] / (edges[k+1] - edges[k])
		total += mass[k]
	}
	left := total - mass[0]
	sum := 0.0
	for k := 1; k < n; k++ {
		mean := density[k]
		if k > 1 && k < n-1 {
			mean = (density[k-1] + 2*density[k] + density[k+1]) / 4
		}
		mass[k] = mean * (edges[k+1] - edges[k])
		sum += mass[k]
	}
	for k := 1; k < n; k++ {
		mass[k] *= left / sum
	}
}
