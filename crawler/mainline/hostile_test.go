package mainline_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// responder answers every query with what reply makes of it; nil is silence.
type responder struct {
	conn *net.UDPConn
	peer peer

	mu    sync.Mutex
	asked int
}

func respond(tb testing.TB, host string, id krpc.ID, reply func(r *responder, m *krpc.Message, from netip.AddrPort) [][]byte) *responder {
	tb.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(host)))
	if err != nil {
		tb.Fatal(err)
	}
	r := &responder{conn: conn, peer: mainline.NewPeer(id, netip.MustParseAddrPort(conn.LocalAddr().String()))}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var m krpc.Message
			if err := krpc.Decode(buf[:n], &m); err != nil || m.Bad != 0 || !m.ReadOnly {
				tb.Errorf("query %q: %v, bad %v", buf[:n], err, m.Bad)
			}
			r.mu.Lock()
			r.asked++
			r.mu.Unlock()
			for _, p := range reply(r, &m, from) {
				_, _ = conn.WriteToUDPAddrPort(p, from)
			}
		}
	})
	tb.Cleanup(func() { conn.Close(); wg.Wait() })
	return r
}

func (r *responder) queries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// answer is a good reply with these neighbours.
func answer(r *responder, m *krpc.Message, neighbours ...krpc.Node) []byte {
	a := krpc.Answer{ID: r.peer.ID, Version: []byte("LT\x02\x08"), Nodes: []byte{}}
	for _, n := range neighbours {
		a.Nodes = krpc.AppendNode(a.Nodes, n)
	}
	return a.Append(nil, m.TID)
}

func at(id krpc.ID, addr string) krpc.Node {
	return krpc.Node{ID: id, Addr: netip.MustParseAddrPort(addr)}
}

// TestHostileReplies: what a peer sends decides its own outcome and no more.
func TestHostileReplies(t *testing.T) {
	good := at(idOf(50), "127.9.9.9:1000")
	stranger, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.2.0.99:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for _, c := range []struct {
		name    string
		reply   func(r *responder, m *krpc.Message, from netip.AddrPort) [][]byte
		outcome observation.Outcome
		detail  string
		partial bool
		named   int
	}{
		{"good", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{answer(r, m, good)}
		}, observation.Answered, "", false, 1},
		{"sent twice", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{answer(r, m, good), answer(r, m, good)}
		}, observation.Answered, "", false, 1},
		{"silence", func(*responder, *krpc.Message, netip.AddrPort) [][]byte { return nil }, observation.Timeout, "", false, 0},
		{"truncated", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{answer(r, m, good)[:30]}
		}, observation.Malformed, "can't be read", false, 0},
		{"64 kB of junk", func(*responder, *krpc.Message, netip.AddrPort) [][]byte {
			return [][]byte{bytes.Repeat([]byte("l"), 65000)}
		}, observation.Malformed, "can't be read", false, 0},
		{"junk before the answer", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{[]byte("junk"), answer(r, m, good)}
		}, observation.Answered, "", false, 1},
		{"wrong identity", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			a := krpc.Answer{ID: idOf(666), Nodes: krpc.AppendNode(nil, good)}
			return [][]byte{a.Append(nil, m.TID)}
		}, observation.WrongIdentity, idOf(666).String(), false, 0},
		{"our own identity", func(_ *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			a := krpc.Answer{ID: m.ID, Nodes: krpc.AppendNode(nil, good)}
			return [][]byte{a.Append(nil, m.TID)}
		}, observation.WrongIdentity, "answered as ", false, 0},
		{"nested without end", func(_ *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{[]byte("d1:rd1:x" + strings.Repeat("l", 20000) + strings.Repeat("e", 20000) + "e1:t4:" + string(m.TID) + "1:y1:re")}
		}, observation.Malformed, "can't be read", false, 0},
		{"wrong types", func(_ *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{[]byte("d1:rd2:idi5e5:nodesle6:valuesdee1:t4:" + string(m.TID) + "1:vi1e1:y1:re")}
		}, observation.Malformed, "reply without id", false, 0},
		{"no identity", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{[]byte("d1:rde1:t4:" + string(m.TID) + "1:y1:re")}
		}, observation.Malformed, "reply without id", false, 0},
		{"wrong transaction", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			m.TID[3]++
			return [][]byte{answer(r, m, good)}
		}, observation.Timeout, "", false, 0},
		{"from another address", func(r *responder, m *krpc.Message, from netip.AddrPort) [][]byte {
			_, _ = stranger.WriteToUDPAddrPort(answer(r, m, good), from)
			return nil
		}, observation.Timeout, "", false, 0},
		{"error", func(_ *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{krpc.AppendError(nil, m.TID, nil, 203, "no\x1b[31m")}
		}, observation.RemoteError, `203 no\u{001b}[31m`, false, 0},
		{"answers, then silence", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			if r.queries() > 1 {
				return nil
			}
			return [][]byte{answer(r, m, good)}
		}, observation.Answered, "after 1 answers: timeout", true, 1},
		{"another identity later", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			if r.queries() > 1 {
				a := krpc.Answer{ID: idOf(666)}
				return [][]byte{a.Append(nil, m.TID)}
			}
			return [][]byte{answer(r, m, good)}
		}, observation.Answered, "wrong_identity", true, 1},
		{"one bad field", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			nodes := string(krpc.AppendNode(nil, good)) + "odd"
			return [][]byte{[]byte("d1:rd2:id20:" + string(r.peer.ID[:]) + "5:nodes29:" + nodes + "6:nodes6i5ee1:t4:" + string(m.TID) + "1:y1:re")}
		}, observation.Answered, "malformed nodes, nodes6", true, 1},
		{"ourselves, itself, nobody", func(r *responder, m *krpc.Message, from netip.AddrPort) [][]byte {
			return [][]byte{answer(r, m, krpc.Node{ID: m.ID, Addr: good.Addr}, krpc.Node{ID: idOf(77), Addr: from},
				krpc.Node{ID: r.peer.ID, Addr: r.peer.Addr()}, at(idOf(78), "127.9.9.9:0"), at(idOf(79), "0.0.0.0:5"),
				at(idOf(80), "224.0.0.1:5"), at(idOf(81), "255.255.255.255:5"), at(idOf(82), "10.1.1.1:5"), good)}
		}, observation.Answered, "mentions of addresses that may not be contacted", false, 1},
		{"reserved IPv6", func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			a := krpc.Answer{ID: r.peer.ID, Nodes: krpc.AppendNode(nil, good)}
			for n, addr := range []string{"[::]:5", "[ff02::1]:5", "[fe80::1]:5", "[fd00::1]:5", "[2001:db8::1]:5", "[::1]:0", "[::ffff:10.1.1.1]:5"} {
				a.Nodes6 = krpc.AppendNode6(a.Nodes6, at(idOf(90+n), addr))
			}
			return [][]byte{a.Append(nil, m.TID)}
		}, observation.Answered, "mentions of addresses that may not be contacted", false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := respond(t, "127.2.0.1:0", idOf(1), c.reply)
			cfg := local()
			cfg.MaxTimeout = 500 * time.Millisecond
			cfg.Allow = func(a netip.AddrPort) bool { return a.Addr().IsLoopback() }
			got := one(t, newWalker(t, cfg), r.peer)
			v := got.Visit
			if v.Outcome != c.outcome || !strings.Contains(v.Detail, c.detail) || v.Partial != c.partial || len(got.Neighbours) != c.named {
				t.Errorf("%s, detail %q, partial %v, %d neighbours; want %s, %q, %v, %d",
					v.Outcome, v.Detail, v.Partial, len(got.Neighbours), c.outcome, c.detail, c.partial, c.named)
			}
			if int(v.Queries) != r.queries() || int(v.Neighbours) != len(got.Neighbours) {
				t.Errorf("%d queries counted, %d arrived; %d neighbours counted", v.Queries, r.queries(), v.Neighbours)
			}
			if c.outcome == observation.Answered && c.named > 0 && got.Neighbours[0] != mainline.NewPeer(good.ID, good.Addr) {
				t.Errorf("neighbour %v", got.Neighbours[0])
			}
		})
	}
}

// TestInventedNeighbours: a peer that never runs out of new nodes, close to
// whatever is asked for, is left after a bounded number of questions.
func TestInventedNeighbours(t *testing.T) {
	n := 0
	r := respond(t, "127.2.0.2:0", idOf(1), func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
		var nodes []krpc.Node
		for range 60 {
			n++
			id := idOf(n)
			copy(id[:10], m.Target[:10])
			nodes = append(nodes, krpc.Node{ID: id, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 77, byte(n >> 8), byte(n)}), 6881)})
		}
		return [][]byte{answer(r, m, nodes...)}
	})
	got := one(t, newWalker(t, local()), r.peer)
	if got.Visit.Outcome != observation.Answered || !got.Visit.Partial {
		t.Errorf("%+v", got.Visit)
	}
	if got.Visit.Queries > 200 || len(got.Neighbours) > 2048 {
		t.Errorf("%d queries, %d neighbours", got.Visit.Queries, len(got.Neighbours))
	}
}

// TestVictim: a liar that names one address under ever new IDs can't aim more
// than a bounded number of queries at it, and the walk goes on and ends.
func TestVictim(t *testing.T) {
	victim := respond(t, "127.2.0.8:0", idOf(1), func(*responder, *krpc.Message, netip.AddrPort) [][]byte { return nil })
	honest := respond(t, "127.2.0.9:0", idOf(2), func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
		return [][]byte{answer(r, m)}
	})
	n := 100
	liar := respond(t, "127.2.0.10:0", idOf(3), func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
		nodes := []krpc.Node{{ID: honest.peer.ID, Addr: honest.peer.Addr()}}
		for range 50 {
			n++
			nodes = append(nodes, krpc.Node{ID: idOf(n), Addr: netip.AddrPortFrom(victim.peer.Addr().Addr(), uint16(1024+n))})
		}
		nodes = append(nodes, krpc.Node{ID: idOf(n), Addr: victim.peer.Addr()})
		return [][]byte{answer(r, m, nodes...)}
	})
	pacer := &countingPacer{period: time.Millisecond, next: map[netip.Addr]time.Time{}, total: map[netip.Addr]int{}}
	cfg := local()
	cfg.Pacer, cfg.MaxPerAddress = pacer, 40
	seen := visit(t.Context(), t, newWalker(t, cfg), true, liar.peer)
	if got := pacer.total[victim.peer.Addr().Addr()]; got == 0 || got > 2*cfg.MaxPerAddress {
		t.Errorf("the victim got %d queries", got)
	}
	if v := seen[honest.peer].Visit; v.Outcome != observation.Answered {
		t.Errorf("the honest node: %+v", v)
	}
	refused := 0
	for _, r := range seen {
		if r.Visit.Outcome == observation.NoAddress {
			refused++
		}
	}
	if len(seen) < 1000 || refused != len(seen)-cfg.MaxPerAddress-2 {
		t.Errorf("%d of %d peers were refused", refused, len(seen))
	}
}

// countingPacer lets each address have one query per period.
type countingPacer struct {
	period time.Duration

	mu    sync.Mutex
	next  map[netip.Addr]time.Time
	total map[netip.Addr]int
	taken int
	early int // asked again before it was time
}

func (p *countingPacer) Take(addr netip.Addr, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := p.next[addr].Sub(now); wait > 0 {
		p.early++
		return wait
	}
	p.next[addr] = now.Add(p.period)
	p.taken++
	p.total[addr]++
	return 0
}

// TestPacing: no query leaves without the pacer's leave, and waiting for one
// address holds nobody else up.
func TestPacing(t *testing.T) {
	reply := func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte { return [][]byte{answer(r, m)} }
	var peers []peer
	var all []*responder
	for i := range 20 { // all at one address
		r := respond(t, "127.2.0.4:0", idOf(i), reply)
		all, peers = append(all, r), append(peers, r.peer)
	}
	other := respond(t, "127.2.0.5:0", idOf(99), reply)
	pacer := &countingPacer{period: 2 * time.Millisecond, next: map[netip.Addr]time.Time{}, total: map[netip.Addr]int{}}
	cfg := local()
	cfg.Pacer = pacer
	seen := visit(t.Context(), t, newWalker(t, cfg), false, append(peers, other.peer)...)
	arrived := other.queries()
	for _, r := range all {
		arrived += r.queries()
		if v := seen[r.peer].Visit; v.Outcome != observation.Answered || v.Partial {
			t.Errorf("%+v", v)
		}
	}
	if arrived != pacer.taken {
		t.Errorf("%d queries arrived, %d were booked", arrived, pacer.taken)
	}
	if pacer.early == 0 {
		t.Error("the pacer never held anything back: the test shows nothing")
	}
}

// TestCancelled: when ctx ends Walk returns at once and is silent about the
// visits under way.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	silent := respond(t, "127.2.0.6:0", idOf(1), func(*responder, *krpc.Message, netip.AddrPort) [][]byte {
		cancel() // the query is under way now
		return nil
	})
	cfg := local()
	cfg.MinTimeout, cfg.MaxTimeout = time.Hour, time.Hour
	if seen := visit(ctx, t, newWalker(t, cfg), false, silent.peer); len(seen) != 0 {
		t.Errorf("%+v", seen)
	}
}
