package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"canopy/crawler"
	"canopy/crawler/monitor"
	"canopy/crawler/observation"
	"canopy/crawler/schedule"
	"canopy/crawler/store"
)

// observedNetwork is one network under observation.
type observedNetwork struct {
	*observeSection
	ob      *observer
	prober  prober
	monitor *monitor.Monitor
	policy  atomic.Pointer[crawler.Policy] // of probes, as of the last crawl

	mu    sync.Mutex
	state crawlState
}

// crawlState is how the crawl schedule of a network stands.
type crawlState struct {
	Crawling bool               `json:"crawling"`
	Last     *observation.Crawl `json:"last,omitempty"` // the last that ended
	Next     *time.Time         `json:"next,omitempty"`
	Trouble  string             `json:"trouble,omitempty"` // why the last try failed
	Crawls   map[string]uint64  `json:"crawls"`            // since the start, by state
}

func newObservedNetwork(ob *observer, s *observeSection) (*observedNetwork, error) {
	n := &observedNetwork{observeSection: s, ob: ob, state: crawlState{Crawls: map[string]uint64{}}}
	err := n.readPolicy()
	if err != nil {
		return nil, err
	}
	allow := func(addr netip.Addr) bool { return n.policy.Load().Allow(addr) }
	n.prober, err = s.network.prober(walkerOptions{crawl: s.crawl, allow: allow, pacer: crawler.NewPacer(s.crawl.pacing()), logger: ob.logger})
	if err != nil {
		return nil, fmt.Errorf("observe %s: %w", s.name, err)
	}
	w := ob.options.watch
	n.monitor, err = monitor.New(monitor.Config{
		Network: n.prober.Network(), Prober: politeProber{n.prober, &n.policy}, Sink: countedProbes{ob},
		Share: w.share, MaxPeers: w.peers, Shortest: w.shortest, Longest: w.longest, Round: min(10*time.Second, w.shortest), Rate: w.rate, Forget: w.forget,
		Reachable: reachable(s.crawl.local), Logger: ob.logger,
	})
	if err != nil {
		return nil, errors.Join(usagef("observe %s: %w", s.name, err), n.prober.Close())
	}
	return n, nil
}

// politeProber leaves peers alone that opted out; those at addresses that did,
// the prober itself does.
type politeProber struct {
	monitor.Prober
	policy *atomic.Pointer[crawler.Policy]
}

// Probe says of a peer that opted out that it has no address to be asked at.
func (p politeProber) Probe(ctx context.Context, t observation.Target) (observation.Probe, error) {
	if p.policy.Load().OptOut.HasPeer(t.PeerID) {
		return observation.Probe{PeerID: t.PeerID, Address: t.Address, ProbedAt: time.Now(), Outcome: observation.NoAddress}, nil
	}
	return p.Prober.Probe(ctx, t)
}

// readPolicy reads the wishes of those who opt out for the probes to come.
func (n *observedNetwork) readPolicy() error {
	policy, err := n.ob.informedPolicy(n.observeSection.crawl, n.name)
	if err != nil {
		return err
	}
	n.policy.Store(policy)
	return nil
}

// reachable says whether any interface but loopback is up, unless the network
// that is observed may be on loopback itself.
func reachable(local bool) func(context.Context) error {
	if local {
		return nil
	}
	return func(context.Context) error {
		interfaces, err := net.Interfaces()
		if err != nil {
			return fmt.Errorf("list network interfaces: %w", err)
		}
		for _, i := range interfaces {
			if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 && i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 {
				return nil
			}
		}
		return errors.New("no network interface is up")
	}
}

// crawls runs the crawls of the network on schedule.
func (n *observedNetwork) crawls(ctx context.Context) error {
	table := &schedule.Timetable{Every: n.every, Jitter: n.jitter}
	last, err := n.lastCrawl(ctx)
	if err != nil {
		return unlessStopped(ctx, fmt.Errorf("read the last crawl of %s: %w", n.name, err))
	}
	if last != nil {
		table.Started(last.StartedAt, rand.Float64())
		n.set(func(s *crawlState) { s.Last = last })
		n.ob.haveCrawled()
	}
	for n.ob.waitFor(ctx, table, n.setNext) {
		table.Started(time.Now(), rand.Float64())
		n.set(func(s *crawlState) { s.Crawling, s.Next = true, nil })
		crawl, err := n.crawlOnce(ctx)
		n.set(func(s *crawlState) {
			s.Crawling, s.Trouble = false, ""
			switch {
			case err != nil && ctx.Err() == nil:
				s.Trouble = err.Error()
				s.Crawls["failed"]++
			case err == nil:
				s.Last = &crawl
				s.Crawls[string(crawl.State)]++
			}
		})
		if err == nil {
			n.ob.haveCrawled()
		}
		if err != nil && ctx.Err() == nil {
			n.ob.logger.Error("crawl failed", "network", n.name, "error", err)
			table.Retry(n.ob.options.retryAfter)
		}
	}
	return nil
}

func (n *observedNetwork) set(change func(*crawlState)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.state)
}

func (n *observedNetwork) setNext(t time.Time) { n.set(func(s *crawlState) { s.Next = &t }) }

// crawlOnce reads data sets and wishes anew: they may have changed since the
// last crawl. Others that write to the same record may have been killed since.
func (n *observedNetwork) crawlOnce(ctx context.Context) (observation.Crawl, error) {
	run, err := n.ob.prepareCrawl(n.network, n.observeSection.crawl)
	if err == nil {
		err = n.readPolicy()
	}
	if err != nil {
		return observation.Crawl{}, err
	}
	if err := n.ob.mend(ctx, n.ob.record); err != nil { // a crawl can wait in the spool for a server that is away
		n.ob.logger.Warn("crawls that were left running could not be closed", "error", err)
	}
	facts, err := n.ob.openData()
	if err != nil {
		return observation.Crawl{}, err
	}
	sink := &observeSink{Store: n.ob.record, rows: &n.ob.rows, monitor: n.monitor}
	if _, err = run(ctx, sink, facts); err != nil {
		return observation.Crawl{}, err
	}
	n.ob.logger.Info("crawl ended", "network", n.name, "state", sink.ended.State, "discovered", sink.ended.Discovered, "reachable", sink.ended.Reachable)
	return sink.ended, nil
}

func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// rowCounts are the rows handed to the store since the start.
type rowCounts struct{ crawls, visits, edges, probes atomic.Uint64 }

// observeSink keeps a crawl and tells the monitor whom it met.
type observeSink struct {
	*store.Store
	rows    *rowCounts
	monitor *monitor.Monitor
	ended   observation.Crawl
}

// Visits tells the monitor first: the store takes over the slice.
func (s *observeSink) Visits(ctx context.Context, v []observation.Visit) error {
	s.monitor.Saw(v)
	rows := uint64(len(v))
	err := s.Store.Visits(ctx, v)
	if err == nil {
		s.rows.visits.Add(rows)
	}
	return err
}

func (s *observeSink) Edges(ctx context.Context, e []observation.Edge) error {
	rows := uint64(len(e))
	err := s.Store.Edges(ctx, e)
	if err == nil {
		s.rows.edges.Add(rows)
	}
	return err
}

// EndCrawl marks a crawl during which our own network was in doubt: silence in
// it does not tell who had left.
func (s *observeSink) EndCrawl(ctx context.Context, c observation.Crawl) error {
	if why := s.monitor.Doubt(c.StartedAt); why != "" && c.State == observation.Complete {
		c.State = observation.Degraded
		c.Notes = append(c.Notes, "Our own network was in doubt during the crawl: "+why+".")
	}
	s.ended = c
	err := s.Store.EndCrawl(ctx, c)
	if err == nil {
		s.rows.crawls.Add(1)
	}
	return err
}

// countedProbes keeps probes, with the place that they were made from.
type countedProbes struct{ ob *observer }

func (s countedProbes) Probes(ctx context.Context, p []observation.Probe) error {
	rows := uint64(len(p))
	for i := range p {
		p[i].Vantage = s.ob.options.vantage
	}
	err := s.ob.record.Probes(ctx, p)
	if err == nil {
		s.ob.rows.probes.Add(rows)
	}
	return err
}
