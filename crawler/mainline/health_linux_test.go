package mainline_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

const maxAsked = 1000 // more queries than one visit sends

// session is a walk whose targets are given one at a time.
type session struct {
	t       *testing.T
	targets chan []peer
	results chan []result
	done    chan error
}

func begin(t *testing.T, w *mainline.Walker) *session {
	s := &session{t, make(chan []peer), make(chan []result), make(chan error, 1)}
	go func() { s.done <- w.Walk(t.Context(), s.targets, s.results) }()
	return s
}

func (s *session) visit(p peer) result {
	s.targets <- []peer{p}
	return (<-s.results)[0]
}

func (s *session) end() {
	close(s.targets)
	if err := <-s.done; err != nil {
		s.t.Fatal(err)
	}
}

func good(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte { return [][]byte{answer(r, m)} }

// TestLateRepliesAreOurs: a reply after its time-out says that we gave up too
// early.
func TestLateRepliesAreOurs(t *testing.T) {
	type reply struct {
		packet []byte
		to     netip.AddrPort
	}
	held := make(chan reply, 2) // one for each time the query is sent
	slow := respond(t, "127.4.0.1:0", idOf(1), func(r *responder, m *krpc.Message, from netip.AddrPort) [][]byte {
		held <- reply{answer(r, m), from}
		return nil
	})
	fine := respond(t, "127.4.0.2:0", idOf(2), good)
	cfg := local()
	cfg.MinTimeout, cfg.MaxTimeout = 50*time.Millisecond, 50*time.Millisecond
	w := newWalker(t, cfg)
	s := begin(t, w)
	if r := s.visit(slow.peer); r.Visit.Outcome != observation.Timeout || r.Visit.Queries != 2 {
		t.Errorf("%+v", r.Visit)
	}
	if degraded, notes := w.Health(); degraded || len(notes) > 0 {
		t.Errorf("degraded %v before anything was late: %v", degraded, notes)
	}
	for range 2 { // the second one is a duplicate
		late := <-held
		if _, err := slow.conn.WriteToUDPAddrPort(late.packet, late.to); err != nil {
			t.Fatal(err)
		}
	}
	s.visit(fine.peer)
	s.end()
	if degraded, notes := w.Health(); !degraded || len(notes) != 1 || !strings.HasPrefix(notes[0], "1 replies") {
		t.Errorf("degraded %v: %v", degraded, notes)
	}
}

// TestDropsAreOurs: what the kernel throws away because we are slow is noticed
// and said.
func TestDropsAreOurs(t *testing.T) {
	asker := make(chan netip.AddrPort, maxAsked)
	first := respond(t, "127.4.0.3:0", idOf(1), func(r *responder, m *krpc.Message, from netip.AddrPort) [][]byte {
		asker <- from
		return [][]byte{answer(r, m)}
	})
	second := respond(t, "127.4.0.4:0", idOf(2), good)
	w := newWalker(t, local())
	s := begin(t, w)
	s.visit(first.peer)
	to := <-asker
	junk := bytes.Repeat([]byte("x"), 60000)
	for range 1000 { // 60 MB, while nobody reads
		if _, err := first.conn.WriteToUDPAddrPort(junk, to); err != nil {
			t.Fatal(err)
		}
	}
	if r := s.visit(second.peer); r.Visit.Outcome != observation.Answered {
		t.Errorf("%+v", r.Visit)
	}
	s.end()
	if degraded, notes := w.Health(); !degraded || len(notes) == 0 || !strings.Contains(notes[0], "dropped") {
		t.Errorf("degraded %v: %v", degraded, notes)
	}
}
