package monitor

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing/synctest"
	"time"

	"canopy/crawler/observation"
)

var testNetwork = observation.Network{Name: "planned", Title: "Planned network", Identity: "node ID and endpoint"}

// span is a half-open time during which a peer is up.
type span struct{ from, to time.Time }

// plan is a network with known sessions.
type plan struct {
	peers  []observation.Target
	spans  [][]span          // by peer, in order
	number map[string]int    // by PeerID
	outage span              // of our own network
	others map[int]time.Time // peers whose endpoint answers under another identity from then on
}

// newPlan makes n peers whose sessions follow a Weibull distribution of shape
// 0.4 with the given median. They are away for at least away, so that a rule
// of two misses can see it. The first sessions began long before start.
func newPlan(r *rand.Rand, n int, start time.Time, horizon, median, away time.Duration) *plan {
	p := &plan{number: map[string]int{}, others: map[int]time.Time{}}
	scale := float64(median) / math.Pow(math.Ln2, 1/0.4)
	for i := range n {
		id := fmt.Sprintf("%040x", i)
		p.number[id] = i
		p.peers = append(p.peers, observation.Target{PeerID: id, Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 6881)})
		var spans []span
		for t := start.Add(-horizon - time.Duration(r.Float64()*float64(horizon))); t.Before(start.Add(horizon)); {
			s := span{t, t.Add(time.Duration(scale * math.Pow(r.ExpFloat64(), 1/0.4)))}
			spans = append(spans, s)
			t = s.to.Add(away + time.Duration(r.ExpFloat64()*float64(time.Hour)))
		}
		p.spans = append(p.spans, spans)
	}
	return p
}

func (p *plan) upAt(i int, t time.Time) bool {
	for _, s := range p.spans[i] {
		if !t.Before(s.from) && t.Before(s.to) {
			return true
		}
	}
	return false
}

// prober answers from a plan. Of the questions to a peer that answered the
// last one and is to stay for a while it loses one in fifty. (A question that
// is lost just when a peer comes or goes shifts the recorded end by one probe;
// no rule can know that.)
type prober struct {
	plan *plan

	mu   sync.Mutex
	rand *rand.Rand
	last map[string]observation.Outcome
	lost int
	made int
}

func (p *prober) Probe(ctx context.Context, t observation.Target) (observation.Probe, error) {
	now, i := time.Now(), p.plan.number[t.PeerID]
	probe := observation.Probe{PeerID: t.PeerID, Address: t.Address, ProbedAt: now, Outcome: observation.Timeout}
	took := 2 * time.Second
	switch {
	case inside(p.plan.outage, now) || !p.plan.upAt(i, now) || p.loses(i, t.PeerID, now):
	case !p.plan.others[i].IsZero() && !now.Before(p.plan.others[i]):
		probe.Outcome, took = observation.WrongIdentity, 80*time.Millisecond
	default:
		probe.Outcome, probe.RTT, took = observation.Answered, 80*time.Millisecond, 80*time.Millisecond
	}
	p.mu.Lock()
	p.made++
	p.last[t.PeerID] = probe.Outcome
	p.mu.Unlock()
	select {
	case <-ctx.Done():
		return probe, ctx.Err()
	case <-time.After(took):
		return probe, nil
	}
}

func (p *prober) loses(i int, id string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last[id] != observation.Answered || !p.plan.upAt(i, now.Add(30*time.Minute)) || p.rand.IntN(50) != 0 {
		return false
	}
	p.lost++
	return true
}

func inside(s span, t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

// record is what an observer wrote.
type record struct {
	mu     sync.Mutex
	probes []observation.Probe
	crawls []observation.Crawl
	visits []observation.Visit
}

func (r *record) Probes(_ context.Context, p []observation.Probe) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.probes = append(r.probes, p...)
	return nil
}

// crawl visits every peer that ever answered one, in an instant.
func (r *record) crawl(p *plan, known map[int]bool) []observation.Visit {
	now := time.Now()
	c := observation.Crawl{
		ID: observation.NewCrawlID(now), Network: testNetwork.Name, Vantage: "test", Scope: observation.ScopeLocal, StartedAt: now, EndedAt: now.Add(time.Second),
		State: observation.Complete, Settings: `{"network":{"identity":"node ID and endpoint"}}`,
	}
	var visits []observation.Visit
	for i, t := range p.peers {
		up := p.upAt(i, now) && !inside(p.outage, now)
		if !up && !known[i] {
			continue
		}
		known[i] = true
		v := observation.Visit{Network: c.Network, CrawlID: c.ID, Number: uint32(len(visits)), VisitedAt: now, PeerID: t.PeerID, Address: t.Address, Outcome: observation.Timeout}
		if up {
			v.Outcome = observation.Answered
			c.Reachable++
		}
		visits = append(visits, v)
	}
	c.Discovered = uint64(len(visits))
	r.crawls, r.visits = append(r.crawls, c), append(r.visits, visits...)
	return visits
}

// observe runs monitors over a plan for d, one after another if it restarts,
// with a crawl at the start and then every so often. It must be called in a
// synctest bubble.
func observe(p *plan, r *record, cfg Config, d, crawlEvery time.Duration, restarts ...time.Duration) *Monitor {
	known := map[int]bool{}
	begin := time.Now()
	var m *Monitor
	var done chan struct{}
	var stop context.CancelFunc
	run := func(restored []Known) {
		ctx, cancel := context.WithCancel(context.Background())
		var err error
		if m, err = New(cfg); err != nil {
			panic(err)
		}
		m.Restore(restored)
		stop, done = cancel, make(chan struct{})
		go func() {
			defer close(done)
			if err := m.Run(ctx); err != nil {
				panic(err)
			}
		}()
	}
	end := func() {
		stop()
		<-done
	}
	run(nil)
	for at := time.Duration(0); at < d; at += time.Minute {
		if at%crawlEvery == 0 {
			m.Saw(r.crawl(p, known))
		} else if last := len(r.crawls) - 1; at%crawlEvery == 2*time.Minute && m.Doubt(r.crawls[last].StartedAt) != "" {
			r.crawls[last].State = observation.Degraded
		}
		for _, again := range restarts {
			if at == again {
				end()
				time.Sleep(30 * time.Second)
				run(m.known())
			}
		}
		time.Sleep(time.Until(begin.Add(at + time.Minute)))
	}
	end()
	synctest.Wait()
	return m
}

// known is what an observer that starts again reads from the record.
func (m *Monitor) known() (known []Known) {
	for _, p := range m.watch.peers {
		known = append(known, Known{Target: p.target, UpSince: p.upSince, LastUp: p.lastUp, AskedAt: p.askedAt, Gone: p.gone()})
	}
	return known
}
