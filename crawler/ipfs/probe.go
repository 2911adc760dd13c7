package ipfs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"canopy/crawler/observation"
)

// Prober asks known peers whether they are still there: dial, identify and one
// FIND_NODE, which is what a visit needs to count as answered.
type Prober struct {
	w     *Walker
	start sync.Once
	ctx   context.Context
	stop  context.CancelFunc
}

// errBehind is why a silence means nothing.
var errBehind = errors.New("this machine is too far behind to tell silence from its own delay")

// NewProber checks cfg and makes a prober with a fresh identity. It contacts
// nobody; of Bootstrap it takes no notice.
func NewProber(cfg Config) (*Prober, error) {
	if len(cfg.Bootstrap) == 0 {
		cfg.Bootstrap = DefaultBootstrap()
	}
	w, err := New(cfg)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Prober{w: w, ctx: ctx, stop: stop}, nil
}

// Close frees the sockets.
func (p *Prober) Close() error {
	p.stop()
	return p.w.Close()
}

// Probe asks t at all of its addresses until one answers. An error means that
// ctx ended, or that trouble of this machine hides whether t is there.
func (p *Prober) Probe(ctx context.Context, t observation.Target) (observation.Probe, error) {
	p.start.Do(func() { go p.w.load.watch(p.ctx) })
	probe := observation.Probe{PeerID: t.PeerID, Address: t.Address, ProbedAt: time.Now()}
	id, err := peer.Decode(t.PeerID)
	if err != nil {
		return probe, fmt.Errorf("probe peer %s: %w", observation.Text(t.PeerID), err)
	}
	w := *p.w
	w.book = newBook(w.mayDial) // a probe has no use for whom the peer names
	v := &visit{s: newWalk(&w, nil), peer: id}
	for _, text := range t.Addresses {
		if m, err := multiaddr.NewMultiaddr(text); err == nil {
			v.add(m)
		}
	}
	err = v.meet(ctx, t.Address, patience{answer: w.cfg.DialTimeout, handshake: w.cfg.DialTimeout}, func(l *link) { v.knock(ctx, l) })
	visit := &v.result.Visit
	probe.Outcome, probe.RTT = visit.Outcome, visit.RTT
	if !visit.VisitedAt.IsZero() {
		probe.ProbedAt = visit.VisitedAt
	}
	if visit.Outcome == observation.Answered {
		probe.Address = visit.Address
	}
	switch {
	case ctx.Err() != nil:
		return probe, ctx.Err()
	case err != nil:
		return probe, fmt.Errorf("probe peer %s: %w", t.PeerID, err)
	case probe.Outcome == observation.Timeout && w.load.factor() >= maxStretch:
		return probe, errBehind
	}
	return probe, nil
}

// knock asks one question.
func (v *visit) knock(ctx context.Context, l *link) {
	card, _ := v.identify(ctx, l)
	q := &questions{v: v, l: l}
	_, err := q.ask(ctx, []Peer{v.peer})
	visit := &v.result.Visit
	visit.Address, visit.RTT, visit.Outcome = l.addr, q.rtt, observation.Answered
	if q.answered == 0 {
		v.settle(attempt{candidate: l.candidate, outcome: outcomeOf(err), err: err})
		if visit.Outcome == observation.Reset && denies(card, v.s.w.cfg.Protocol) {
			visit.Outcome = observation.WrongProtocol
		}
	}
}

// Network describes the DHT whose peers are asked.
func (p *Prober) Network() observation.Network { return p.w.Network() }
