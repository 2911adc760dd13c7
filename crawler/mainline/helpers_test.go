package mainline_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/anacrolix/dht/v2"
	anacrolix "github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/log"
	"golang.org/x/time/rate"

	"canopy/crawler"
	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

var _ crawler.Walker[mainline.Peer] = (*mainline.Walker)(nil)

type (
	peer   = mainline.Peer
	result = observation.Result[peer]
)

// local is a configuration for walks on loopback, with short time-outs.
func local(bootstrap ...string) mainline.Config {
	return mainline.Config{
		Bootstrap: bootstrap, Bind: []string{"127.0.0.1"}, ReadTables: true, Allow: anywhere,
		MinTimeout: 300 * time.Millisecond, MaxTimeout: 2 * time.Second,
	}
}

func anywhere(netip.AddrPort) bool { return true }

func newWalker(tb testing.TB, cfg mainline.Config) *mainline.Walker {
	tb.Helper()
	w, err := mainline.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// crawl walks from the seeds until nobody new is named.
func crawl(ctx context.Context, tb testing.TB, w *mainline.Walker) map[peer]result {
	tb.Helper()
	seeds, err := w.Seeds(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	return visit(ctx, tb, w, true, seeds...)
}

// visit walks the given peers, and everybody they name if follow is set.
func visit(ctx context.Context, tb testing.TB, w *mainline.Walker, follow bool, peers ...peer) map[peer]result {
	tb.Helper()
	targets, results := make(chan []peer), make(chan []result)
	done := make(chan error, 1)
	go func() {
		done <- w.Walk(ctx, targets, results)
		close(results)
	}()
	known, seen := map[peer]bool{}, map[peer]result{}
	var queue []peer
	add := func(peers []peer) {
		for _, p := range peers {
			if !known[p] {
				known[p] = true
				queue = append(queue, p)
			}
		}
	}
	add(peers)
	for {
		batch, out := queue[:min(len(queue), 64)], targets
		if len(batch) == 0 {
			out = nil
		}
		if len(seen) == len(known) && targets != nil {
			close(targets)
			targets, out = nil, nil
		}
		select {
		case out <- append([]peer(nil), batch...):
			queue = queue[len(batch):]
		case rs, ok := <-results:
			if !ok {
				if err := <-done; err != nil {
					tb.Fatal(err)
				}
				return seen
			}
			for _, r := range rs {
				if _, twice := seen[r.Peer]; twice {
					tb.Fatalf("two results for %v", r.Peer)
				}
				seen[r.Peer] = r
				if follow {
					add(r.Neighbours)
				}
			}
		case <-ctx.Done():
			targets = nil
			for range results {
			}
			if err := <-done; err != nil {
				tb.Fatal(err)
			}
			return seen
		}
	}
}

// one visits a single peer.
func one(tb testing.TB, w *mainline.Walker, p peer) result {
	tb.Helper()
	r, ok := visit(tb.Context(), tb, w, false, p)[p]
	if !ok {
		tb.Fatalf("no result for %v", p)
	}
	return r
}

// node is one node of anacrolix/dht.
type node struct {
	*dht.Server
	peer  peer
	asked map[peer]bool // who has answered it
}

// startNode starts a node of anacrolix/dht at host, any port if it has none.
func startNode(tb testing.TB, id krpc.ID, host string) *node {
	tb.Helper()
	conn, err := net.ListenPacket("udp", host)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := dht.NewServer(&dht.ServerConfig{
		NodeId: anacrolix.ID(id), Conn: conn, NoSecurity: true, Logger: log.Default.FilterLevel(log.Critical),
		StartingNodes:    func() ([]dht.Addr, error) { return nil, nil },
		SendLimiter:      rate.NewLimiter(rate.Inf, 1), // the default one is shared by all servers
		QueryResendDelay: func() time.Duration { return time.Second },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return &node{s, mainline.NewPeer(id, netip.MustParseAddrPort(conn.LocalAddr().String())), map[peer]bool{}}
}

// learn makes n ask the others, so that they enter its table as its rules have
// it.
func (n *node) learn(tb testing.TB, others ...*node) {
	for _, o := range others {
		to := dht.NewAddr(net.UDPAddrFromAddrPort(o.peer.Addr()))
		if r := n.Query(tb.Context(), to, "ping", dht.QueryInput{}); r.Err != nil {
			tb.Fatal(r.Err)
		}
		n.asked[o.peer] = true
	}
}

// table lists what n names: entries that have answered it.
func (n *node) table() map[peer]bool {
	all := map[peer]bool{}
	for _, info := range n.Nodes() {
		addr, _ := netip.AddrFromSlice(info.Addr.IP)
		if p := mainline.NewPeer(krpc.ID(info.ID), netip.AddrPortFrom(addr.Unmap(), uint16(info.Addr.Port))); n.asked[p] {
			all[p] = true
		}
	}
	return all
}
