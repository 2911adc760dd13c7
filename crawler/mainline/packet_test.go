package mainline

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// recorder is a socket that keeps the last query, and refuses to send to one
// address.
type recorder struct {
	packetConn
	last    []byte
	to      netip.AddrPort
	sent    int
	refuses netip.AddrPort
	why     error
}

func (r *recorder) send(packets []outgoing) (int, error) {
	for i := range packets {
		if packets[i].to == r.refuses {
			return i, r.why
		}
		r.sent++
	}
	last := packets[len(packets)-1]
	r.last, r.to = append(r.last[:0], last.data...), last.to
	return len(packets), nil
}

func (r *recorder) backlog() (int, uint64) { return 0, 0 }

func (r *recorder) undelivered([]byte) (int, netip.AddrPort, error, bool) {
	return 0, netip.AddrPort{}, nil, false
}

// testLoop is a loop that visits one peer, without a network.
func testLoop(tb testing.TB, m mode) (*loop, *recorder, Peer) {
	tb.Helper()
	w, err := New(Config{Allow: func(a netip.AddrPort) bool { return !a.Addr().IsPrivate() }, Slots: 4})
	if err != nil {
		tb.Fatal(err)
	}
	r := new(recorder)
	s := &socket{packetConn: r, local: netip.MustParseAddrPort("192.0.2.1:6881")}
	l := newLoop(w, s, newSelf(w.id, []*socket{s}), krpc.WantNodes, m, nil, nil)
	l.began = time.Now()
	p := NewPeer(idOf(1), netip.MustParseAddrPort("198.51.100.7:6881"))
	l.pending = []Peer{p}
	l.fill()
	l.post()
	return l, r, p
}

// TestOurStallIsNobodysSilence: when we were held up, what waits to be read
// comes before time-outs, and no round trip is measured.
func TestOurStallIsNobodysSilence(t *testing.T) {
	l, r, p := testLoop(t, modeSurvey)
	l.now = time.Hour
	l.housekeep(t.Context())
	if l.active != 1 || len(l.batch) != 0 {
		t.Fatal("the peer was given up before its reply was looked at")
	}
	a := krpc.Answer{ID: p.ID}
	for range 2 {
		l.packet(patched(t, a.Append(nil, []byte("tttt")), r.last), p.Addr())
		l.post()
	}
	if len(l.batch) != 1 || l.batch[0].Visit.Outcome != observation.Answered || l.batch[0].Visit.RTT != 0 {
		t.Errorf("%+v", l.batch)
	}
}

// TestOneOfABatchDoesNotLeave: what keeps one query from being sent is told of
// its peer alone, or of us, and the others leave.
func TestOneOfABatchDoesNotLeave(t *testing.T) {
	for why, want := range map[error]observation.Outcome{
		syscall.ENETUNREACH: observation.Unreachable,
		syscall.EPERM:       observation.Unclassified,
		syscall.ENOBUFS:     "", // asked again when it seems lost
	} {
		l, r, _ := testLoop(t, modeSurvey)
		var peers []Peer
		for n := range 3 {
			peers = append(peers, NewPeer(idOf(n), netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(20 + n)}), 6881)))
		}
		l.pending = peers
		r.sent, r.refuses, r.why = 0, peers[1].Addr(), why
		l.fill()
		l.post()
		if r.sent != 2 || len(l.outbox) != 0 {
			t.Errorf("%v: %d queries left, %d are still to be sent", why, r.sent, len(l.outbox))
		}
		switch {
		case want == "" && (len(l.batch) != 0 || l.counts.stalled.Load() != 1):
			t.Errorf("%v: %+v, %d put off", why, l.batch, l.counts.stalled.Load())
		case want != "" && (len(l.batch) != 1 || l.batch[0].Peer != peers[1] || l.batch[0].Visit.Outcome != want):
			t.Errorf("%v: %+v, want %s of the one in the middle", why, l.batch, want)
		}
	}
}

// TestSilence: who does not answer in time is given up, late or not.
func TestSilence(t *testing.T) {
	l, _, _ := testLoop(t, modeSurvey)
	for range 2000 {
		l.now += tick
		l.housekeep(t.Context())
	}
	if len(l.batch) != 1 || l.batch[0].Visit.Outcome != observation.Timeout || l.batch[0].Visit.Queries != 1 {
		t.Errorf("%+v", l.batch)
	}
}

// FuzzReply gives a visit whatever bytes as replies to its queries, with the
// right transaction where they are a message at all. The visit must end once,
// and what it reports must keep to the rules.
func FuzzReply(f *testing.F) {
	id := idOf(1)
	near := krpc.AppendNode(nil, krpc.Node{ID: idOf(2), Addr: netip.MustParseAddrPort("198.51.100.8:6881")})
	a := krpc.Answer{ID: id, Version: []byte("LT\x02\x08"), Nodes: near, Nodes6: []byte{}, IP: netip.MustParseAddrPort("192.0.2.1:6881")}
	f.Add(a.Append(nil, []byte("tttt")), true)
	other := krpc.Answer{ID: idOf(3)}
	f.Add(other.Append(nil, []byte("tttt")), false)
	f.Add(krpc.AppendError(nil, []byte("tttt"), nil, 202, "busy"), true)
	f.Add([]byte("d1:rd2:id20:"+string(id[:])+"5:nodes27:"+string(near)+"xe1:t4:tttt1:y1:re"), true)
	f.Add([]byte("d1:rde1:t4:tttt1:y1:re"), false)
	f.Add([]byte("not bencode"), true)
	f.Fuzz(func(t *testing.T, packet []byte, tables bool) {
		m := modeSurvey
		if tables {
			m = modeTables
		}
		l, r, p := testLoop(t, m)
		for rounds := 0; l.active > 0 && rounds < 2*maxQueries; rounds++ {
			l.packet(patched(t, packet, r.last), p.Addr())
			l.post()
			if l.active > 0 && !l.visits[0].asked {
				t.Fatal("the visit neither asks nor waits nor is over")
			}
			if l.active > 0 && l.oldest != none && l.underway == 1 && l.visits[0].garbled {
				l.silent(l.oldest)
			}
		}
		if l.active == 0 {
			check(t, l, p)
		}
	})
}

// patched puts the transaction of the query into a reply.
func patched(t *testing.T, packet, query []byte) []byte {
	var asked, m krpc.Message
	if err := krpc.Decode(query, &asked); err != nil || asked.Bad != 0 {
		t.Fatalf("query %q: %v", query, err)
	}
	packet = append([]byte(nil), packet...)
	if krpc.Decode(packet, &m) == nil && len(m.TID) == 4 {
		copy(m.TID, asked.TID)
	}
	return packet
}

func check(t *testing.T, l *loop, p Peer) {
	if len(l.batch) != 1 || l.underway != 0 || l.oldest != none || l.newest != none || l.free.size != len(l.visits) {
		t.Fatalf("%d results, %d queries under way, %d free slots", len(l.batch), l.underway, l.free.size)
	}
	r := l.batch[0]
	if r.Peer != p || r.Visit.Queries == 0 || r.Visit.Queries > maxQueries*maxSends || int(r.Visit.Neighbours) != len(r.Neighbours) {
		t.Errorf("%+v", r)
	}
	for _, s := range append([]string{r.Visit.Agent, r.Visit.Detail}, r.Visit.Protocols...) {
		if observation.Text(s) != s {
			t.Errorf("%q is not safe to show", s)
		}
	}
	seen := map[Peer]bool{}
	for _, n := range r.Neighbours {
		a := n.Addr()
		if n == p || n.ID == l.self.id || a.Port() == 0 || a.Addr().IsPrivate() || a == l.sock.local || seen[n] {
			t.Errorf("neighbour %v", n)
		}
		seen[n] = true
	}
}
