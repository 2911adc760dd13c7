package mainline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"canopy/crawler/testnet"
)

// Options of a running network. The zero value is a perfect network at any
// free port.
type Options struct {
	Port    uint16        // first port; zero takes the plan's, or the next free ones
	Loss    float64       // share of packets that light nodes lose, each way
	Latency time.Duration // added to each reply of a light node
	Guests  bool          // light nodes name others that asked them, too
	IPv6    netip.Prefix  // of 32 bits, whose addresses are local: each light node stands in a /64 of it, too (BEP 32); zero is none
	Logger  *slog.Logger  // nil is silent
}

// Network is a plan that runs.
type Network struct {
	plan   *testnet.Plan
	claim  io.Closer // of the ports
	swarm  *swarm
	logger *slog.Logger

	mu     sync.Mutex // held by Advance and Close
	real   map[int]*realNode
	closed bool
}

// Start runs a plan and brings up the nodes that are up at its beginning. ctx
// bounds the start, not the network's life.
func Start(ctx context.Context, plan *testnet.Plan, o Options) (*Network, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if !(o.Loss >= 0 && o.Loss < 1) || o.Latency < 0 {
		return nil, fmt.Errorf("start local Mainline network: loss %g, latency %s: want a share below 1 and a positive time", o.Loss, o.Latency)
	}
	if o.IPv6.IsValid() && (!o.IPv6.Addr().Is6() || o.IPv6.Bits() != prefixBits) {
		return nil, fmt.Errorf("start local Mainline network: %s: want an IPv6 prefix of %d bits", o.IPv6, prefixBits)
	}
	plan, claim, err := plan.ClaimPorts(ctx, o.Port, "udp4")
	if err != nil {
		return nil, fmt.Errorf("start local Mainline network: %w", err)
	}
	s, err := startSwarm(ctx, plan, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start local Mainline network: %w", err), claim.Close())
	}
	n := &Network{plan: plan, claim: claim, swarm: s, logger: o.Logger, real: map[int]*realNode{}}
	if err := n.Advance(ctx, 0); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Plan is what runs, at the ports that were found.
func (n *Network) Plan() *testnet.Plan { return n.plan }

// Queries counts the queries that light nodes have read.
func (n *Network) Queries() uint64 { return n.swarm.queries.Load() }

// Bootstrap lists the entry points as IP and port. They are always up.
func (n *Network) Bootstrap() []string {
	var all []string
	for _, b := range n.plan.Bootstraps {
		all = append(all, n.plan.Nodes[b].Address.String())
	}
	return all
}

// IPv6 is where a light node stands in IPv6; not valid without [Options.IPv6],
// and for real nodes.
func (n *Network) IPv6(number int) netip.AddrPort { return n.swarm.at6(&n.plan.Nodes[number]) }

// Truth states who is who.
func (n *Network) Truth() testnet.Truth { return n.plan.Truth(n.Bootstrap()) }

// Advance brings the network to virtual time t: every node planned to be up
// then answers, no other does, and tables are those of that time. Real nodes
// learn theirs by asking, and forget nobody who left since.
func (n *Network) Advance(ctx context.Context, t time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errors.New("advance local Mainline network: it is closed")
	}
	view := n.plan.At(t)
	n.swarm.view.Store(view)
	n.swarm.stopped.Store(nil)
	if err := n.changeReal(ctx, view); err != nil {
		return fmt.Errorf("advance local Mainline network to %s: %w", t, err)
	}
	n.logger.Info("local Mainline network advanced", slog.Duration("time", t), slog.Int("nodes", len(view.Alive())))
	return nil
}

// Close stops every node and waits until they are gone. It may be called
// again.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	for _, r := range n.real {
		r.stop()
	}
	n.swarm.close()
	return n.claim.Close()
}
