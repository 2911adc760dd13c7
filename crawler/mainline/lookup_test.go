package mainline

import (
	"math"
	"net/netip"
	"slices"
	"testing"

	"canopy/crawler/mainline/krpc"
)

func somePeer(id krpc.ID, n int) Peer {
	return NewPeer(id, netip.AddrPortFrom(netip.AddrFrom4([4]byte{45, byte(n >> 16), byte(n >> 8), byte(n)}), 6881))
}

// However many nodes are invented, a lookup keeps the closest of them only, asks them closest first, and gives silent
// ones one second chance.
func TestLookupIsBounded(t *testing.T) {
	l := &lookup{target: randomID(), k: 8, known: map[Peer]bool{}}
	closest := 1.0
	for n := range 5 * lookupKnown {
		p := somePeer(randomID(), n)
		closest = min(closest, share(p.ID, l.target))
		l.add(p)
		l.add(p)
	}
	if len(l.order) != lookupKnown || len(l.known) != lookupKnown {
		t.Fatalf("%d candidates, %d known", len(l.order), len(l.known))
	}
	if got := share(l.order[0].peer.ID, l.target); got != closest {
		t.Errorf("closest candidate at %g, want %g", got, closest)
	}
	asked, last := 0, 0.0
	for c := l.next(); c != nil; c = l.next() {
		if d := share(c.peer.ID, l.target); d < last {
			t.Fatalf("asked at distance %g after %g", d, last)
		} else {
			last = d
		}
		asked++
		c.state = silent
	}
	if asked != lookupKnown || !l.secondChance() || l.next() != l.order[0] || l.secondChance() {
		t.Errorf("%d asked; silent ones should have one second chance", asked)
	}
}

// An ID at several endpoints counts once, our own nodes not at all, and the search ends when k have answered.
func TestLookupCountsIDs(t *testing.T) {
	own := krpc.ID{1}
	l := &lookup{k: 2, known: map[Peer]bool{}, skip: func(id *krpc.ID) bool { return *id == own }}
	for n, id := range []krpc.ID{own, {2}, {2}, {3}, {4}} {
		l.add(somePeer(id, n))
	}
	for c := l.next(); c != nil; c = l.next() {
		c.state = answered
	}
	var ids []krpc.ID
	for _, p := range l.closest() {
		ids = append(ids, p.ID)
	}
	if want := []krpc.ID{{2}, {3}}; !slices.Equal(ids, want) {
		t.Errorf("closest are %v, want %v", ids, want)
	}
	if l.order[0].state != answered || l.order[4].state != unasked {
		t.Errorf("asked too few or too many: %+v", l.order)
	}
}

func TestDistances(t *testing.T) {
	id := randomID()
	if got := share(id, flip(id, 0)); got != 0.5 {
		t.Errorf("first bit: %g", got)
	}
	for _, d := range []float64{0.3, 1e-6, 1e-12} {
		if got := share(id, away(id, d)); math.Abs(got/d-1) > 1e-6 {
			t.Errorf("%g away became %g", d, got)
		}
	}
}
