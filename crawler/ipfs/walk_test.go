package ipfs

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"canopy/crawler/observation"
)

// TestWalkFindsEveryPeerAndEdge crawls real kad-dht hosts whose tables are
// known, and checks every table.
func TestWalkFindsEveryPeerAndEdge(t *testing.T) {
	nodes := newNodes(t, 60)
	mesh(t, nodes)
	w := newWalker(t, Config{Bootstrap: []string{nodes[0].seed()}})
	found := crawl(t, w)
	if len(found) != len(nodes) {
		t.Errorf("found %d peers, want %d", len(found), len(nodes))
	}
	overTCP := 0
	for i, n := range nodes {
		r := found[n.info.ID]
		v := r.Visit
		if v.Outcome != observation.Answered || v.Partial || v.Detail != "" {
			t.Errorf("node %d: %s, partial %v, %q", i, v.Outcome, v.Partial, v.Detail)
		}
		if diff := cmp.Diff(n.table(), sorted(r.Neighbours)); diff != "" {
			t.Errorf("table of node %d (-want +got):\n%s", i, diff)
		}
		if v.RTT <= 0 || v.Address.Addr() != loopback(i) || v.Queries == 0 || v.Queries > 6 {
			t.Errorf("node %d: RTT %s, address %s, %d queries", i, v.RTT, v.Address, v.Queries)
		}
		if v.Transport == string(TCP) {
			overTCP++
		}
		if v.Transport == "" || v.Handshake <= 0 || v.Relays != nil {
			t.Errorf("node %d: transport %q, handshake %s, relays %q", i, v.Transport, v.Handshake, v.Relays)
		}
	}
	if overTCP < len(nodes)/2 { // QUIC, which costs both sides more, is for who is slow over TCP
		t.Errorf("%d of %d answered over TCP", overTCP, len(nodes))
	}
}
