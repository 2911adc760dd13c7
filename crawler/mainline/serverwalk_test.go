package mainline_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/anacrolix/dht/v2"
	anacrolix "github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/log"
	"golang.org/x/time/rate"

	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// serverWalker walks as mainline.Walker does, asking the same questions, but
// with dht.Server.Query, one goroutine for each visit: what Canopy's own way of
// sending and reading is measured against.
type serverWalker struct {
	*mainline.Walker // Network and Seeds
	server           *dht.Server
}

// serverVisits is how many visits are under way at once.
const serverVisits = 64

func newServerWalker(tb testing.TB, w *mainline.Walker) *serverWalker {
	tb.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s, err := dht.NewServer(&dht.ServerConfig{
		Conn: conn, NoSecurity: true, Passive: true, SendLimiter: rate.NewLimiter(rate.Inf, 1),
		StartingNodes: func() ([]dht.Addr, error) { return nil, nil }, Logger: log.Default.FilterLevel(log.Critical),
		QueryResendDelay: func() time.Duration { return time.Second },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return &serverWalker{w, s}
}

func (w *serverWalker) Walk(ctx context.Context, targets <-chan []peer, results chan<- []result) error {
	visits := make(chan peer)
	var wg sync.WaitGroup
	for range serverVisits {
		wg.Go(func() {
			for p := range visits {
				results <- []result{w.visit(ctx, p)}
			}
		})
	}
	for batch := range targets {
		for _, p := range batch {
			visits <- p
		}
	}
	close(visits)
	wg.Wait()
	return nil
}

// visit reads the table of one peer.
func (w *serverWalker) visit(ctx context.Context, p peer) result {
	q := mainline.AskTable(p)
	r := result{Peer: p, Visit: observation.Visit{VisitedAt: time.Now(), PeerID: p.ID.String(), Address: p.Addr(), Outcome: observation.Answered}}
	to := dht.NewAddr(net.UDPAddrFromAddrPort(p.Addr()))
	var named []peer
	for target, more := q.Target(); more; target, more = q.Target() {
		input := dht.QueryInput{MsgArgs: anacrolix.MsgArgs{Target: anacrolix.ID(target), InfoHash: anacrolix.ID(target), Want: []anacrolix.Want{anacrolix.WantNodes}}}
		r.Visit.Queries++
		reply := w.server.Query(ctx, to, "find_node", input)
		if reply.Err != nil {
			r.Visit.Outcome = observation.Timeout
			break
		}
		named = named[:0]
		for _, n := range reply.Reply.R.Nodes {
			addr, _ := netip.AddrFromSlice(n.Addr.IP)
			named = append(named, mainline.NewPeer(krpc.ID(n.ID), netip.AddrPortFrom(addr, uint16(n.Addr.Port))))
		}
		q.Took(named, []byte(reply.Reply.ClientId))
	}
	r.Neighbours = q.Table()
	r.Visit.Neighbours = uint32(len(r.Neighbours))
	return r
}
