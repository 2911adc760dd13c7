package mainline_test

import (
	"net/netip"
	"testing"
	"time"

	"canopy/crawler/mainline"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
	"canopy/crawler/testnet/foreign"
	swarm "canopy/crawler/testnet/mainline"
)

// sixth is a node as it stands in IPv6.
func sixth(tb testing.TB, n *swarm.Network, number int) peer {
	tb.Helper()
	return mainline.NewPeer(planned(tb, &n.Plan().Nodes[number]).ID, n.IPv6(number))
}

// TestIPv6 walks nodes that stand in both families (BEP 32), in a namespace,
// where all of a prefix is local.
func TestIPv6(t *testing.T) {
	if !foreign.Inside() {
		t.Parallel()
		inNamespace(t, nil)
		return
	}
	t.Run("one walk", testBothFamilies)
	t.Run("zone", testZoneOverIPv6)
}

// testBothFamilies enters by IPv4 alone: every node is found in both families,
// with the whole table of each, for all are asked for both.
func testBothFamilies(t *testing.T) {
	network := startNetwork(t, testnet.Size{Nodes: 600, Dead: 0.1}, swarm.Options{IPv6: netip.MustParsePrefix(foreign.Space6)})
	cfg := local(network.Bootstrap()...)
	cfg.Bind = append(cfg.Bind, foreign.Vantage6)
	seen := crawl(t.Context(), t, newWalker(t, cfg))
	plan, view := network.Plan(), network.Plan().At(0)
	answered, wanted, missing, entries := 0, 0, 0, 0
	for _, r := range seen {
		if r.Visit.Outcome == observation.Answered {
			answered++
		}
	}
	for _, number := range view.Alive() {
		for _, p := range []peer{planned(t, &plan.Nodes[number]), sixth(t, network, int(number))} {
			wanted++
			r := seen[p]
			if r.Visit.Outcome != observation.Answered || r.Visit.Partial || r.Visit.Address != p.Addr() {
				t.Errorf("%v: %+v", p, r.Visit)
			}
			named := map[netip.AddrPort]bool{}
			for _, n := range r.Neighbours {
				named[n.Addr()] = true
			}
			for _, entry := range view.Table(int(number)) {
				entries += 2
				missing += 2 - count01(named[plan.Nodes[entry].Address]) - count01(named[network.IPv6(int(entry))])
			}
		}
	}
	if answered != wanted || missing > 0 {
		t.Errorf("%d of %d endpoints answered, %d of %d table entries were not read", answered, wanted, missing, entries)
	}
}

// testZoneOverIPv6 plants and looks up and walks in IPv6 alone.
func testZoneOverIPv6(t *testing.T) {
	network := startNetwork(t, testnet.Size{Nodes: 1500, Dead: 0.1}, swarm.Options{IPv6: netip.MustParsePrefix(foreign.Space6), Guests: true})
	entry := network.IPv6(network.Plan().Bootstraps[0])
	cfg := local(entry.String())
	cfg.Bind = []string{foreign.Vantage6}
	c := crawlZoneFrom(t.Context(), t, cfg, network, 2, mainline.SizerOptions{Plant: 12, Confirm: 12, Lookups: 32, Wait: 10 * time.Second})
	for _, m := range c.marks {
		if !m.Address.Addr().Is6() {
			t.Errorf("%+v is not in IPv6", m)
		}
	}
	checkZone(t, &c)
}
