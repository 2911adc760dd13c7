package clearcut

import (
	"slices"
	"testing"

	"canopy/crawler/identifier"
)

// TestEntryPointsInAnySpelling finds the peers that a crawl entered by, however
// its settings and the record write them.
func TestEntryPointsInAnySpelling(t *testing.T) {
	const libp2p, node = "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP", "0123456789abcdef0123456789abcdef01234567"
	l := loader{
		crawl:     &Crawl{},
		list:      []Peer{{ID: libp2p}, {ID: node}},
		addresses: [][]string{{"192.0.2.1:4001", "/ip4/192.0.2.1/tcp/4001"}, {"192.0.2.2:6881"}},
	}
	for address, want := range map[string][]int{
		"/dnsaddr/example.org/p2p/" + libp2p:                                                          {0},
		"/dnsaddr/example.org/p2p/k51qzi5uqu5dh9xfmynw5q9n619fostvy6tu736bxnplmrcanj9boobiqxa1e8":     {0},
		"/dnsaddr/example.org/ipfs/bafzaajaiaejcak6ya3ex6dqav4nb7qzsr6twhkjgs4r4rw4pvrhzhl3r3mmg23uq": {0},
		"/ip4/192.0.2.1/tcp/4001": {0}, "192.0.2.2:6881": {1}, "[::ffff:192.0.2.2]:6881": {1},
		"192.0.2.2:6882": nil, "/dnsaddr/example.org/p2p/QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6": nil, "router.example.org:6881": nil,
	} {
		l.crawl.bootstrap = []string{address}
		if points := l.entryPoints(); len(points) != 1 || !slices.Equal(points[0].Peers, want) {
			t.Errorf("%s: %+v, want %v", address, points, want)
		}
	}
}

// TestKeysInAnySpelling: a peer has one place in the key space, however the record
// writes its ID.
func TestKeysInAnySpelling(t *testing.T) {
	list := identifier.Spellings("QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6")
	want, err := hashedKey(list[0], 256)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range list {
		if got, err := hashedKey(id, 256); got != want || err != nil {
			t.Errorf("%s: %x, %v, want %x", id, got, err, want)
		}
	}
}
