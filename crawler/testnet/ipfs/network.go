package ipfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"canopy/crawler/testnet"
)

// Options of a running network. The zero value takes any free port.
type Options struct {
	Port   uint16       // first port; zero takes the plan's, or the next free ones
	Logger *slog.Logger // nil is silent
}

// Network is a plan that runs.
type Network struct {
	plan   *testnet.Plan
	claim  io.Closer // of the ports
	logger *slog.Logger
	peers  []peer.AddrInfo // of every planned node, by number
	silent *silentSockets

	mu     sync.Mutex    // held by Advance and Close
	nodes  map[int]*node // that are up
	closed bool
}

// Start runs a plan and brings up the nodes that are up at its beginning. ctx
// bounds the start, not the network's life.
func Start(ctx context.Context, plan *testnet.Plan, o Options) (*Network, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	plan, claim, err := plan.ClaimPorts(ctx, o.Port, "tcp4", "udp4")
	if err != nil {
		return nil, fmt.Errorf("start local IPFS network: %w", err)
	}
	peers, err := infos(plan)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start local IPFS network: %w", err), claim.Close())
	}
	silent, err := listenSilently(ctx, plan.Size.Port+silentPort)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start local IPFS network: %w", err), claim.Close())
	}
	n := &Network{plan: plan, claim: claim, logger: o.Logger, peers: peers, silent: silent, nodes: map[int]*node{}}
	if err := n.Advance(ctx, 0); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// infos makes ID and addresses of every planned node: TCP and QUIC at the same
// endpoint.
func infos(plan *testnet.Plan) ([]peer.AddrInfo, error) {
	all := make([]peer.AddrInfo, len(plan.Nodes))
	for i := range plan.Nodes {
		n := &plan.Nodes[i]
		id, err := peer.Decode(n.ID)
		if err != nil {
			return nil, fmt.Errorf("read ID of node %d: %w", i, err)
		}
		var addrs []ma.Multiaddr
		for _, form := range []string{"/ip4/%s/tcp/%d", "/ip4/%s/udp/%d/quic-v1"} {
			a, err := ma.NewMultiaddr(fmt.Sprintf(form, n.Address.Addr(), n.Address.Port()))
			if err != nil {
				return nil, fmt.Errorf("make address of node %d: %w", i, err)
			}
			addrs = append(addrs, a)
		}
		all[i] = peer.AddrInfo{ID: id, Addrs: addrs}
	}
	return all, nil
}

// Plan is what runs, at the ports that were found.
func (n *Network) Plan() *testnet.Plan { return n.plan }

// Bootstrap lists the entry points as multiaddrs with peer ID. They are always
// up.
func (n *Network) Bootstrap() []string {
	var all []string
	for _, b := range n.plan.Bootstraps {
		for _, a := range n.peers[b].Addrs {
			all = append(all, fmt.Sprintf("%s/p2p/%s", a, n.peers[b].ID))
		}
	}
	return all
}

// Truth states who is who.
func (n *Network) Truth() testnet.Truth { return n.plan.Truth(n.Bootstrap()) }

// Advance brings the network to virtual time t. When it returns without error
// every node planned to be up listens with the table of that time, and no
// other does. After an error it may be called again.
func (n *Network) Advance(ctx context.Context, t time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errors.New("advance local IPFS network: it is closed")
	}
	view := n.plan.At(t)
	err := errors.Join(n.stop(ctx, func(number int) bool { return !view.Up(number) }), n.startUp(ctx, view))
	if err != nil {
		return fmt.Errorf("advance local IPFS network to %s: %w", t, err)
	}
	n.logger.Info("local IPFS network advanced", slog.Duration("time", t), slog.Int("nodes", len(n.nodes)))
	return nil
}

// startUp starts what is missing and sets every table.
func (n *Network) startUp(ctx context.Context, view *testnet.View) error {
	alive := view.Alive()
	started := make([]*node, len(alive))
	err := parallel(ctx, len(alive), func(i int) (err error) {
		number := int(alive[i])
		running := n.nodes[number]
		if running == nil {
			if running, err = startNode(n.plan, number, n.peers[number]); err != nil {
				return err
			}
			started[i] = running
		}
		var entries []peer.AddrInfo
		for _, entry := range view.Table(number) {
			entries = append(entries, n.peers[entry])
		}
		return running.setTable(entries)
	})
	for i, s := range started {
		if s != nil {
			n.nodes[int(alive[i])] = s
		}
	}
	return err
}

// stop stops the nodes that are chosen.
func (n *Network) stop(ctx context.Context, chosen func(number int) bool) error {
	var leaving []*node
	for number, running := range n.nodes {
		if chosen(number) {
			leaving = append(leaving, running)
			delete(n.nodes, number)
		}
	}
	// Stopping goes on when ctx ends: nobody else could do it later.
	return parallel(context.WithoutCancel(ctx), len(leaving), func(i int) error { return leaving[i].stop() })
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
	err := n.stop(context.Background(), func(int) bool { return true })
	return errors.Join(err, n.silent.Close(), n.claim.Close())
}

// parallel calls f for 0 to count-1 on a few goroutines and joins the errors;
// when ctx ends it begins no more.
func parallel(ctx context.Context, count int, f func(i int) error) error {
	next := make(chan int)
	failed := make([]error, count)
	var wait sync.WaitGroup
	for range min(count, 2*runtime.GOMAXPROCS(0)) {
		wait.Go(func() {
			for i := range next {
				failed[i] = f(i)
			}
		})
	}
	for i := 0; i < count && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	wait.Wait()
	return errors.Join(append(failed, ctx.Err())...)
}
