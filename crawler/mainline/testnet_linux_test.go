package mainline_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"canopy/crawler"
	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
	swarm "canopy/crawler/testnet/mainline"
)

// startNetwork runs a planned network on loopback.
func startNetwork(tb testing.TB, size testnet.Size, o swarm.Options) *swarm.Network {
	tb.Helper()
	return startPopulation(tb, swarm.Population(), size, o)
}

func startPopulation(tb testing.TB, population testnet.Population, size testnet.Size, o swarm.Options) *swarm.Network {
	tb.Helper()
	size.Horizon = 24 * time.Hour
	plan, err := testnet.New(population, size, 7)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := swarm.Start(tb.Context(), plan, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = n.Close() })
	return n
}

func planned(tb testing.TB, n *testnet.Node) peer {
	tb.Helper()
	id, err := krpc.ParseID(n.ID)
	if err != nil {
		tb.Fatal(err)
	}
	return mainline.NewPeer(id, n.Address)
}

// TestPlannedNetwork compares a walk with the truth: every node that is up
// answers, no other does, and every table is read whole.
func TestPlannedNetwork(t *testing.T) {
	network := startNetwork(t, testnet.Size{Nodes: 1500, Dead: 0.25}, swarm.Options{})
	seen := crawl(t.Context(), t, newWalker(t, local(network.Bootstrap()...)))
	plan, view := network.Plan(), network.Plan().At(0)
	answered, queries := 0, uint32(0)
	for _, r := range seen {
		if r.Visit.Outcome == observation.Answered {
			answered++
			queries += r.Visit.Queries
		}
	}
	missing, edges := 0, 0
	for _, number := range view.Alive() {
		n := &plan.Nodes[number]
		r, ok := seen[planned(t, n)]
		if !ok || r.Visit.Outcome != observation.Answered || r.Visit.Partial {
			t.Errorf("node %d: %+v", number, r.Visit)
			continue
		}
		named := map[netip.AddrPort]bool{}
		for _, p := range r.Neighbours {
			named[p.Addr()] = true
		}
		for _, entry := range view.Table(int(number)) {
			edges++
			if !named[plan.Nodes[entry].Address] {
				missing++
			}
		}
	}
	if answered != len(view.Alive()) {
		t.Errorf("%d peers answered, %d are up", answered, len(view.Alive()))
	}
	if missing > 0 {
		t.Errorf("%d of %d table entries were not read", missing, edges)
	}
	t.Logf("%d nodes, %d entries, %.1f queries a node", answered, edges, float64(queries)/float64(answered))
}

// TestCapabilitiesAreSampled: about as many peers are asked as the share says.
func TestCapabilitiesAreSampled(t *testing.T) {
	network := startNetwork(t, testnet.Size{Nodes: 1000}, swarm.Options{})
	cfg := local(network.Bootstrap()...)
	cfg.ReadTables, cfg.Capabilities = false, 0.1
	asked, able, answered := 0, 0, 0
	for _, r := range crawl(t.Context(), t, newWalker(t, cfg)) {
		if r.Visit.Outcome != observation.Answered {
			continue
		}
		answered++
		if slices.Contains(r.Visit.Protocols, "asked=bep51") {
			asked++
		}
		if slices.Contains(r.Visit.Protocols, "bep51") {
			able++
		}
	}
	if share := float64(asked) / float64(answered); answered < 500 || share < 0.04 || share > 0.18 || able != asked {
		t.Errorf("%d of %d were asked and %d are able", asked, answered, able)
	}
}

// TestRefused: nobody listens there, and the ICMP error says so.
func TestRefused(t *testing.T) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.2.0.3:0")))
	if err != nil {
		t.Fatal(err)
	}
	gone := mainline.NewPeer(idOf(1), netip.MustParseAddrPort(conn.LocalAddr().String()))
	conn.Close()
	r := one(t, newWalker(t, local()), gone)
	if r.Visit.Outcome != observation.Refused || r.Visit.Queries != 1 {
		t.Errorf("%+v", r.Visit)
	}
}

// TestTrap: a hostile network that never ends, beside an honest one. Either
// bound, visits to one /24 or peers in all, ends the walk. The first leaves
// nothing honest out; the second may where the trap answers faster than the
// honest nodes, and the crawl says so.
func TestTrap(t *testing.T) {
	network := startNetwork(t, testnet.Size{Nodes: 300}, swarm.Options{})
	for _, c := range []struct {
		prefix   string
		perBlock int // visits
		most     int // peers
		state    observation.State
		missed   int // at most, of the honest
	}{
		{"127.240.0.0/20", 40, 1 << 20, observation.Complete, 0}, // 16 blocks of 256
		{"127.240.0.0/12", 1 << 14, 20_000, observation.Degraded, 100},
	} {
		trap, err := swarm.StartTrap(t.Context(), netip.MustParsePrefix(c.prefix))
		if err != nil {
			t.Fatal(err)
		}
		cfg := local(append(network.Bootstrap(), trap.Bootstrap())...)
		cfg.ReadTables, cfg.MaxPerBlock = false, c.perBlock
		seen := visits{}
		crawl, err := crawler.Run(t.Context(), newWalker(t, cfg), seen, crawler.Options{Scope: observation.ScopeLocal, MaxPeers: c.most})
		if err := errors.Join(err, trap.Close()); err != nil {
			t.Fatal(err)
		}
		if crawl.State != c.state || crawl.Discovered > uint64(c.most) || len(seen) != int(crawl.Discovered) {
			t.Errorf("%s: %+v, %d visits", c.prefix, crawl, len(seen))
		}
		if blocks := uint64(16); c.prefix == "127.240.0.0/20" && trap.Queries() > 3*blocks*uint64(c.perBlock) {
			t.Errorf("%d queries went to %d blocks", trap.Queries(), blocks)
		}
		missed := 0
		for _, number := range network.Plan().At(0).Alive() {
			if seen[network.Plan().Nodes[number].Address].Outcome != observation.Answered {
				missed++
			}
		}
		if missed > c.missed {
			t.Errorf("%s: %d honest nodes were missed", c.prefix, missed)
		}
	}
}

// visits is a sink that keeps the last visit to each endpoint.
type visits map[netip.AddrPort]observation.Visit

func (v visits) BeginCrawl(context.Context, observation.Crawl) error { return nil }
func (v visits) Edges(context.Context, []observation.Edge) error     { return nil }
func (v visits) EndCrawl(context.Context, observation.Crawl) error   { return nil }
func (v visits) Visits(_ context.Context, batch []observation.Visit) error {
	for _, one := range batch {
		v[one.Address] = one
	}
	return nil
}

// TestSurvey finds who is there, with the engine's second pass, where packets
// are lost and a third of all entries are dead, with few queries.
func TestSurvey(t *testing.T) {
	network := startNetwork(t, testnet.Size{Nodes: 4000, Dead: 0.3}, swarm.Options{Loss: 0.015})
	cfg := local(network.Bootstrap()...)
	cfg.ReadTables = false
	seen := visits{}
	crawl, err := crawler.Run(t.Context(), newWalker(t, cfg), seen, crawler.Options{Scope: observation.ScopeLocal})
	if err != nil {
		t.Fatal(err)
	}
	found, alive := 0, network.Plan().At(0).Alive()
	for _, number := range alive {
		if seen[network.Plan().Nodes[number].Address].Outcome == observation.Answered {
			found++
		}
	}
	if float64(found) < 0.995*float64(len(alive)) {
		t.Errorf("found %d of %d", found, len(alive))
	}
	perNode := float64(crawl.Queries) / float64(len(alive))
	if perNode > 4 {
		t.Errorf("%.2f queries for each living node", perNode)
	}
	t.Logf("found %d of %d with %.2f queries each", found, len(alive), perNode)
}
