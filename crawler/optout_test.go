package crawler

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"canopy/crawler/observation"
)

// factsOf knows one AS.
type factsOf map[netip.Addr]uint32

func (f factsOf) Lookup(a netip.Addr) observation.Facts { return observation.Facts{ASN: f[a]} }

func TestOptOutBySystemAndPeer(t *testing.T) {
	const hex, base58 = "0123456789abcdef0123456789abcdef01234567", "12D3KooWGRUVh7qKYFZ3Xo5gvJQbzjLCXm3ZUpZkQ2z8v1n1a2b3"
	list, err := ReadOptOut(strings.NewReader("AS64500 # a provider\nas64501\n" + strings.ToUpper(hex) + "\n" + base58 + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, other := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("9.9.9.9")
	p := Policy{OptOut: list, Facts: factsOf{theirs: 64501, other: 64502}}
	if p.Allow(theirs) || p.Allow(netip.AddrFrom16(theirs.As16())) || !p.Allow(other) || !list.NeedsFacts() {
		t.Error("the AS is not honoured")
	}
	if !list.HasPeer(hex) || !list.HasPeer(base58) || list.HasPeer("") {
		t.Error("the peers are not honoured")
	}
	for _, bad := range []string{"AS", "AS0", "AS99999999999", "AS5000000000", hex[1:], base58[:20], base58 + "0", "1.2.3.4/33", "1.2.3", "example.org"} {
		if _, err := ReadOptOut(strings.NewReader(bad)); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
	var nobody *OptOut
	if nobody.HasPeer(hex) || nobody.NeedsFacts() {
		t.Error("nobody opted out")
	}
}

// namingWalker writes peers as hexadecimal IDs.
type namingWalker struct{ fakeWalker }

func (w *namingWalker) PeerID(peer int) string { return fmt.Sprintf("%040x", peer) }

func TestPeersThatOptedOutAreNeverHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &namingWalker{fakeWalker{graph: map[int][]int{0: {1, 2}, 1: {0, 3}, 2: {4}}}}
		list, err := ReadOptOut(strings.NewReader(w.PeerID(2)))
		if err != nil {
			t.Fatal(err)
		}
		sink := &memorySink{}
		crawl, err := Run(t.Context(), w, sink, Options{OptOut: list, Edges: true})
		if err != nil || crawl.State != observation.Complete || crawl.Discovered != 4 || crawl.Reachable != 3 {
			t.Fatal(crawl, err)
		}
		if w.attempts[2] != 0 || sink.outcomes()[w.PeerID(2)] != observation.NoAddress {
			t.Errorf("%d visits, outcomes %v", w.attempts[2], sink.outcomes())
		}
		for _, e := range sink.edges {
			if e.Partial {
				t.Errorf("the table of %d counts as partial", e.Peer)
			}
		}
	})
}
