package ipfs

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"canopy/crawler"
	"canopy/crawler/observation"
)

var _ crawler.Walker[Peer] = (*Walker)(nil)

// node is one real kad-dht host of a test network, with its address.
type node struct {
	host host.Host
	dht  *dht.IpfsDHT
	info peer.AddrInfo
}

// loopback gives host number i an address of its own.
func loopback(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 77, byte(i / 250), byte(i%250 + 1)})
}

func newHost(t testing.TB, i int, opts ...libp2p.Option) host.Host {
	t.Helper()
	ip := loopback(i)
	base := []libp2p.Option{
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/0", ip), fmt.Sprintf("/ip4/%s/udp/0/quic-v1", ip)),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.UserAgent(fmt.Sprintf("test/%d", i)),
	}
	h, err := libp2p.New(append(base, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func newNode(t testing.TB, i int, opts ...dht.Option) *node {
	t.Helper()
	h := newHost(t, i)
	base := []dht.Option{
		dht.Mode(dht.ModeServer), dht.DisableAutoRefresh(), dht.AddressFilter(nil), dht.QueryFilter(dht.PublicQueryFilter),
		dht.RoutingTableFilter(nil),
	}
	d, err := dht.New(h, append(base, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return &node{h, d, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}}
}

func newNodes(t testing.TB, n int) []*node {
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = newNode(t, i)
	}
	return nodes
}

// knows puts peers into the node's routing table and returns those that fit.
func (n *node) knows(t testing.TB, peers ...peer.AddrInfo) []Peer {
	t.Helper()
	for _, p := range peers {
		if p.ID == n.info.ID {
			continue
		}
		n.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.PermanentAddrTTL)
		_, _ = n.dht.RoutingTable().TryAddPeer(p.ID, true, false)
	}
	return n.table()
}

func (n *node) table() []Peer {
	list := n.dht.RoutingTable().ListPeers()
	slices.Sort(list)
	return list
}

func (n *node) seed() string {
	return fmt.Sprintf("%s/p2p/%s", n.info.Addrs[0], n.info.ID)
}

func infos(nodes []*node) []peer.AddrInfo {
	list := make([]peer.AddrInfo, len(nodes))
	for i, n := range nodes {
		list[i] = n.info
	}
	return list
}

// mesh fills every table with all nodes that fit, each starting elsewhere.
func mesh(t testing.TB, nodes []*node) {
	all := infos(nodes)
	for i, n := range nodes {
		n.knows(t, slices.Concat(all[i:], all[:i])...)
	}
}

func everywhere(netip.Addr) bool { return true }

// dialAll is the policy of a walker that may go everywhere.
var dialAll = (&Walker{cfg: Config{Allow: everywhere}.withDefaults()}).mayDial

func newWalker(t testing.TB, cfg Config) *Walker {
	t.Helper()
	if cfg.Allow == nil {
		cfg.Allow = everywhere
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

type results map[Peer]observation.Result[Peer]

// crawl feeds neighbours back as targets until nothing is left.
func crawl(t testing.TB, w *Walker, seeds ...Peer) results {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if len(seeds) == 0 {
		var err error
		if seeds, err = w.Seeds(ctx); err != nil {
			t.Fatal(err)
		}
	}
	targets, out, walked := make(chan []Peer), make(chan []observation.Result[Peer]), make(chan error, 1)
	go func() { walked <- w.Walk(ctx, targets, out) }()
	found, named, next := make(results), make(map[Peer]bool), []Peer(nil)
	want := func(list []Peer) {
		for _, p := range list {
			if !named[p] {
				named[p] = true
				next = append(next, p)
			}
		}
	}
	for want(seeds); len(found) < len(named); {
		feed := targets
		if len(next) == 0 {
			feed = nil
		}
		select {
		case feed <- next:
			next = nil
		case batch := <-out:
			for _, r := range batch {
				if _, twice := found[r.Peer]; twice {
					t.Errorf("two results for %s", r.Peer)
				}
				found[r.Peer] = r
				want(r.Neighbours)
			}
		case <-ctx.Done():
			t.Fatalf("crawl did not end: %d of %d peers visited", len(found), len(named))
		}
	}
	close(targets)
	if err := <-walked; err != nil {
		t.Fatal(err)
	}
	return found
}

// outcomes counts how the visits of a crawl ended.
func (r results) outcomes() map[observation.Outcome]int {
	count := make(map[observation.Outcome]int)
	for v := range maps.Values(r) {
		count[v.Visit.Outcome]++
	}
	return count
}

func sorted(list []Peer) []Peer {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func ma(t testing.TB, s string) multiaddr.Multiaddr {
	t.Helper()
	m, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
