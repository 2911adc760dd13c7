// Package monitor asks known peers again and again whether they are still
// there, so that sessions show that crawls are too far apart to see. It knows
// no protocol; a [Prober] asks.
//
// Whom it watches is a sample by hash of the identity: whether a peer is in it
// depends on nothing that the peer does, so that shares and survival found in
// the sample hold for the whole. Waits between two questions to a peer are
// random and grow with its uptime. Probes are made in rounds, and a round
// counts only if peers that are known to be stable answered before and after
// it: our own trouble is nobody's departure.
package monitor

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"canopy/crawler/observation"
)

// Prober asks peers of one network.
type Prober interface {
	// Probe asks t once whether it is there, and sets every field of the
	// probe but Network and ControlOK. An error means that we could not
	// measure, and says nothing of t. It is called by several goroutines.
	Probe(ctx context.Context, t observation.Target) (observation.Probe, error)
}

// Sink keeps probes. It takes over the slice; after an error it may be given
// the same rows again.
type Sink interface {
	Probes(ctx context.Context, p []observation.Probe) error
}

// Config says whom to watch and how. Network, Prober and Sink are needed, the
// rest has defaults.
type Config struct {
	Network observation.Network
	Prober  Prober
	Sink    Sink

	Share    float64       // of all peers that is watched, default 1; halved whenever MaxPeers is passed
	MaxPeers int           // that are watched, default 20,000
	Shortest time.Duration // bounds of the wait between two questions to one peer, default 1 min
	Longest  time.Duration // and 15 min
	Round    time.Duration // time between rounds, default 10 s
	Rate     float64       // questions a second in all, default 50
	Parallel int           // questions under way, default 256
	Forget   time.Duration // a peer that was gone this long is watched no more, default 24 h

	// Reachable says whether this machine has a network at all; default: yes.
	Reachable func(context.Context) error
	Logger    *slog.Logger // default: silent
}

func (c Config) withDefaults() Config {
	c.Share = cmp.Or(c.Share, 1)
	c.MaxPeers = cmp.Or(c.MaxPeers, 20_000)
	c.Shortest = cmp.Or(c.Shortest, time.Minute)
	c.Longest = cmp.Or(c.Longest, 15*time.Minute)
	c.Round = cmp.Or(c.Round, 10*time.Second)
	c.Rate = cmp.Or(c.Rate, 50)
	c.Parallel = cmp.Or(c.Parallel, 256)
	c.Forget = cmp.Or(c.Forget, 24*time.Hour)
	if c.Reachable == nil {
		c.Reachable = func(context.Context) error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.Prober == nil || c.Sink == nil || c.Network.Name == "":
		return errors.New("configure monitor: Network, Prober and Sink are needed")
	case c.Share < 0 || c.Share > 1:
		return errors.New("configure monitor: the share of peers to watch lies between 0 and 1")
	case c.Shortest <= 0 || c.Longest < 3*c.Shortest:
		return errors.New("configure monitor: the longest wait must be at least three times the shortest, for waits to be random")
	case c.MaxPeers < 1 || c.Rate <= 0 || c.Parallel < 1 || c.Round <= 0 || c.Forget <= 0:
		return errors.New("configure monitor: limits must be above zero")
	}
	return nil
}

// Monitor watches peers of one network. Its methods may be called by several
// goroutines; only one may be in Run.
type Monitor struct {
	cfg  Config
	news chan struct{} // holds a token when there may be peers to ask earlier than thought

	mu    sync.Mutex
	watch *watch
	stats Stats
	// what was wrong when two rounds in a row were void, and when it last was
	doubt   string
	doubtAt time.Time

	// of Run alone
	guardOK bool
	guardAt time.Time
	unsent  []observation.Probe // that the sink did not take
}

// Stats is what a monitor is doing.
type Stats struct {
	Watched int     `json:"watched"`          // peers
	Up      int     `json:"up"`               // of them
	Share   float64 `json:"share"`            // of all peers that is watched
	Probes  uint64  `json:"probes"`           // recorded since the start
	Void    uint64  `json:"void_rounds"`      // rounds that did not count
	Failed  uint64  `json:"failed"`           // probes that we could not make
	Unsent  int     `json:"unsent"`           // probes that wait for the store
	Trusted bool    `json:"trusted"`          // the last round counted
	Late    float64 `json:"late_seconds"`     // of the peer that waits longest past its time
	Last    string  `json:"trouble,omitzero"` // why the last round was void
}

// New checks cfg. Nothing is asked before Run.
func New(cfg Config) (*Monitor, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Monitor{
		cfg: cfg, news: make(chan struct{}, 1), stats: Stats{Trusted: true},
		watch: newWatch(cfg, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
	}, nil
}

// Saw takes in visits of a crawl: peers that answered are watched if they are
// in the sample, and known ones need not be asked again so soon.
func (m *Monitor) Saw(visits []observation.Visit) {
	m.mu.Lock()
	for i := range visits {
		if v := &visits[i]; v.Outcome == observation.Answered {
			m.watch.answered(observation.Target{PeerID: v.PeerID, Address: v.Address, Addresses: v.Addresses}, v.VisitedAt)
		}
	}
	m.mu.Unlock()
	m.wake()
}

// Known is what the record says of a peer that was watched before.
type Known struct {
	observation.Target
	UpSince time.Time // first answer of its latest session
	LastUp  time.Time // last answer
	AskedAt time.Time // last question
	Gone    bool      // that session was closed
}

// Restore takes up peers where an earlier observer left them.
func (m *Monitor) Restore(known []Known) {
	m.mu.Lock()
	now := time.Now()
	for _, k := range known {
		m.watch.restore(k, now)
	}
	m.mu.Unlock()
	m.wake()
}

// Stats says what the monitor is doing.
func (m *Monitor) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Watched, s.Up, s.Share = len(m.watch.peers), m.watch.up, m.watch.share()
	if late := m.watch.late(time.Now()); late > 0 {
		s.Late = late.Seconds()
	}
	return s
}

// Doubt says what was wrong with our own network at some time since then, or
// "" if no two rounds in a row were void: a crawl that lost its network must
// not take silence for absence.
func (m *Monitor) Doubt(since time.Time) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.doubtAt.Before(since) {
		return ""
	}
	return m.doubt
}

func (m *Monitor) wake() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// Run asks until ctx ends. Rounds that were finished are kept; one under way is
// dropped, for our stopping is nobody's silence. An error means that the sink
// did not take the last probes.
func (m *Monitor) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return m.send(context.WithoutCancel(ctx))
		case <-m.news:
			timer.Reset(m.untilDue())
			continue
		case <-timer.C:
		}
		start := time.Now()
		m.round(ctx)
		_ = m.send(context.WithoutCancel(ctx)) // tried again after the next round
		timer.Reset(max(m.untilDue(), m.cfg.Round-time.Since(start)))
	}
}

// untilDue is how long nobody has to be asked.
func (m *Monitor) untilDue() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	due, ok := m.watch.nextDue()
	if !ok {
		return time.Hour // news end it
	}
	return max(0, time.Until(due))
}
