package mainline_test

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

func idOf(n int) krpc.ID { return sha1.Sum(binary.BigEndian.AppendUint32(nil, uint32(n))) }

// TestRealNodes walks nodes of anacrolix/dht that have filled their own tables
// and compares with what they say is in there.
func TestRealNodes(t *testing.T) {
	var nodes []*node
	for i := range 60 {
		nodes = append(nodes, startNode(t, idOf(i), fmt.Sprintf("127.0.%d.1:0", i+1)))
	}
	gone := startNode(t, idOf(1000), "127.0.200.1:0")
	random := rand.New(rand.NewPCG(1, 2))
	for i, n := range nodes {
		n.learn(t, nodes[(i+1)%len(nodes)])
		for range 30 {
			if o := nodes[random.IntN(len(nodes))]; o != n {
				n.learn(t, o)
			}
		}
	}
	nodes[3].learn(t, gone)
	gone.Close()

	w := newWalker(t, local(nodes[0].peer.Addr().String()))
	seen := crawl(t.Context(), t, w)
	timed := 0 // an answer to a query that was sent again has no round trip
	for _, n := range nodes {
		r, ok := seen[n.peer]
		if !ok {
			t.Fatalf("%v was not found", n.peer)
		}
		if r.Visit.RTT > 0 {
			timed++
		}
		if r.Visit.Outcome != observation.Answered || r.Visit.Partial || r.Visit.PeerID != n.peer.ID.String() {
			t.Errorf("%v: %+v", n.peer, r.Visit)
		}
		want := n.table()
		got := map[peer]bool{}
		for _, p := range r.Neighbours {
			got[p] = true
		}
		if !maps.Equal(got, want) {
			t.Errorf("%v: read %d entries of a table of %d", n.peer, len(got), len(want))
		}
	}
	if timed < len(nodes)/2 {
		t.Errorf("a round trip was measured of %d of %d nodes", timed, len(nodes))
	}
	if len(seen) > len(nodes)+1 {
		t.Errorf("%d peers seen, %d exist", len(seen), len(nodes)+1)
	}
	if r, ok := seen[gone.peer]; ok && r.Visit.Outcome == observation.Answered {
		t.Errorf("a node that is gone: %+v", r.Visit)
	}
}

// TestIPv6Nodes walks nodes on ::1 beside nodes on 127/8, over one socket each.
func TestIPv6Nodes(t *testing.T) {
	var nodes []*node
	for i := range 20 {
		host := fmt.Sprintf("127.1.%d.1:0", i+1)
		if i%2 == 1 {
			host = "[::1]:0"
		}
		nodes = append(nodes, startNode(t, idOf(i), host))
	}
	for i, n := range nodes {
		n.learn(t, nodes[(i+2)%len(nodes)], nodes[(i+4)%len(nodes)])
	}
	cfg := local(nodes[0].peer.Addr().String(), nodes[1].peer.Addr().String())
	cfg.Bind = []string{"127.0.0.1", "::1"}
	seen := crawl(t.Context(), t, newWalker(t, cfg))
	for _, n := range nodes {
		r, ok := seen[n.peer]
		if !ok || r.Visit.Outcome != observation.Answered || r.Visit.Address != n.peer.Addr() {
			t.Errorf("%v: %+v", n.peer, r.Visit)
		}
	}
}

// TestNoSocketOfTheFamily: what can't be asked gets its result all the same.
func TestNoSocketOfTheFamily(t *testing.T) {
	n := startNode(t, idOf(1), "[::1]:0")
	if r := one(t, newWalker(t, local()), n.peer); r.Visit.Outcome != observation.NoAddress {
		t.Errorf("%+v", r.Visit)
	}
}
