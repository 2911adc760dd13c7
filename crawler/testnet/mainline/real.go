package mainline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/anacrolix/dht/v2"
	"github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/log"
	"golang.org/x/time/rate"

	"canopy/crawler/testnet"
)

// realNode is a node of anacrolix/dht.
type realNode struct {
	server *dht.Server
	conn   *watchedConn
}

// watchedConn tells when the server has closed its socket, which
// dht.Server.Close does not wait for.
type watchedConn struct {
	net.PacketConn
	once   sync.Once
	closed chan struct{}
}

func (c *watchedConn) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.PacketConn.Close()
}

// changeReal stops and starts real nodes and then lets each one ask those
// that its planned table names.
func (n *Network) changeReal(ctx context.Context, view *testnet.View) error {
	for number, r := range n.real {
		if !view.Up(number) {
			r.stop()
			delete(n.real, number)
		}
	}
	for i := range n.plan.Nodes {
		node := &n.plan.Nodes[i]
		if !node.Real || n.real[i] != nil || !view.Up(i) {
			continue
		}
		r, err := startReal(ctx, node)
		if err != nil {
			return err
		}
		n.real[i] = r
	}
	var wait sync.WaitGroup
	for number, r := range n.real {
		wait.Go(func() { r.fill(ctx, n.plan, view, number) })
	}
	wait.Wait()
	return ctx.Err()
}

func startReal(ctx context.Context, node *testnet.Node) (*realNode, error) {
	var config net.ListenConfig
	raw, err := config.ListenPacket(ctx, "udp4", node.Address.String())
	if err != nil {
		return nil, fmt.Errorf("start real node %d: %w", node.Number, err)
	}
	conn := &watchedConn{PacketConn: raw, closed: make(chan struct{})}
	server, err := dht.NewServer(&dht.ServerConfig{
		NodeId:           krpc.ID(nodeID(node.Key)),
		Conn:             conn,
		NoSecurity:       true,
		StartingNodes:    func() ([]dht.Addr, error) { return nil, errors.New("no other network is asked") },
		QueryResendDelay: func() time.Duration { return 300 * time.Millisecond },
		// The default one is shared by all nodes of the process.
		SendLimiter: rate.NewLimiter(rate.Inf, 1),
		Logger:      log.Default.FilterLevel(log.Critical),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start real node %d: %w", node.Number, err), raw.Close())
	}
	return &realNode{server, conn}, nil
}

// questions is how many a real node asks at once.
const questions = 8

// fill asks every node of the planned table that is up, since dht.Server
// names only those that have answered it.
func (r *realNode) fill(ctx context.Context, plan *testnet.Plan, view *testnet.View, number int) {
	entries := make(chan uint32)
	var wait sync.WaitGroup
	for range questions {
		wait.Go(func() {
			for entry := range entries {
				to := dht.NewAddr(net.UDPAddrFromAddrPort(plan.Nodes[entry].Address))
				// Who stays silent has no place in the table.
				_ = r.server.Query(ctx, to, "ping", dht.QueryInput{})
			}
		})
	}
	for _, entry := range view.Table(number) {
		if view.Up(int(entry)) && ctx.Err() == nil {
			entries <- entry
		}
	}
	close(entries)
	wait.Wait()
}

func (r *realNode) stop() {
	r.server.Close()
	<-r.conn.closed
}
