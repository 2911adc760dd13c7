package identity_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"canopy/analysis/identity"
	"canopy/crawler"
	"canopy/crawler/mainline"
	"canopy/crawler/observation"
	"canopy/crawler/store"
	"canopy/crawler/store/chdb"
	"canopy/crawler/testnet"
	swarm "canopy/crawler/testnet/mainline"
)

// openStore opens an empty embedded store; without the engine the test is
// skipped at home and fails in CI.
func openStore(t *testing.T) *store.Store {
	t.Helper()
	if _, err := chdb.Find(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s, err := store.Open(t.Context(), "chdb:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// crawl walks from the given entry points into the store.
func crawl(t *testing.T, s *store.Store, bootstrap ...string) string {
	t.Helper()
	w, err := mainline.New(mainline.Config{
		Bootstrap: bootstrap, Bind: []string{"127.0.0.1"}, Allow: func(netip.AddrPort) bool { return true },
		MinTimeout: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := crawler.Run(t.Context(), w, s, crawler.Options{Scope: observation.ScopeLocal})
	if err != nil {
		t.Fatal(err)
	}
	return c.ID.String()
}

// asideIDs are the IDs that the query names.
func asideIDs(t *testing.T, s *store.Store, crawls ...string) map[string]identity.Reason {
	t.Helper()
	query, args, _, err := identity.DefaultLimits().Query(t.Context(), s.DB(), "mainline", crawls)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.DB().QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	ids := map[string]identity.Reason{}
	for rows.Next() {
		var id string
		var reason uint8
		if err := rows.Scan(&id, &reason); err != nil {
			t.Fatal(err)
		}
		ids[id] = identity.Reasons()[reason-1]
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestLiarsAreSetAside crawls a planned network alone and beside liars: those
// are found out, each for its own lie, and nobody else is.
func TestLiarsAreSetAside(t *testing.T) {
	s := openStore(t)
	plan, err := testnet.New(swarm.Population(), testnet.Size{Nodes: 1500, Horizon: 24 * time.Hour}, 3)
	if err != nil {
		t.Fatal(err)
	}
	network, err := swarm.Start(t.Context(), plan, swarm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	liars, err := swarm.StartLiars(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = liars.Close() })

	honest := crawl(t, s, network.Bootstrap()...)
	if ids := asideIDs(t, s, honest); len(ids) > 0 {
		t.Errorf("set aside without cause: %v", ids)
	}
	mixed := crawl(t, s, append(network.Bootstrap(), liars.Bootstrap())...)
	got, want := asideIDs(t, s, mixed), map[string]identity.Reason{}
	reasons := map[swarm.Lie]identity.Reason{
		swarm.Cloned: identity.ManyEndpoints, swarm.Stacked: identity.SharedAddress,
		swarm.Packed: identity.SharedBlock, swarm.Crowded: identity.Crowding,
	}
	visits, told := map[identity.Reason]int{}, map[swarm.Lie]int{}
	for _, l := range liars.All {
		told[l.Lie]++
		if reason, ok := reasons[l.Lie]; ok {
			want[l.ID.String()] = reason
			visits[reason]++
		}
	}
	for id, reason := range want {
		if got[id] != reason {
			t.Errorf("%s is set aside as %q, want %q", id, got[id], reason)
		}
		delete(got, id)
	}
	if len(got) > 0 {
		t.Errorf("set aside without cause: %v", got)
	}

	r, err := identity.DefaultLimits().SetAside(t.Context(), s.DB(), "mainline", []string{honest, mixed})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Counts[0] != 0 || f.Counts[1] != visits[f.Reason] {
			t.Errorf("%s: %v, want 0 and %d", f.Reason, f.Counts, visits[f.Reason])
		}
	}
	if r.Peers != len(want) || r.Strangers[1] != told[swarm.Stranger] {
		t.Errorf("%d IDs set aside, want %d; strangers %v, want 0 and %d", r.Peers, len(want), r.Strangers, told[swarm.Stranger])
	}
	alive := len(network.Plan().At(0).Alive())
	if r.Answered[0] != alive || r.Answered[1]-r.SetAside[1] != alive {
		t.Errorf("%v answered and %v of them are set aside; %d honest nodes are up", r.Answered, r.SetAside, alive)
	}
}

// TestRestartsAndMovesAreOrdinary: what honest peers do is not held against
// them: a second ID at one endpoint, one ID at a second address, neighbours in
// a /24, and many IDs behind one address that follow BEP 42.
func TestRestartsAndMovesAreOrdinary(t *testing.T) {
	s, rng := openStore(t), rand.New(rand.NewPCG(5, 5))
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	c := observation.Crawl{ID: observation.NewCrawlID(at), Network: "mainline", Scope: observation.ScopeLocal, StartedAt: at, EndedAt: at, State: observation.Complete}
	var visits []observation.Visit
	add := func(id, address string, protocols ...string) {
		visits = append(visits, observation.Visit{
			Network: "mainline", CrawlID: c.ID, Number: uint32(len(visits)), VisitedAt: at, PeerID: id,
			Address: netip.MustParseAddrPort(address), Outcome: observation.Answered, Protocols: protocols,
		})
	}
	random := func() string { return fmt.Sprintf("%016x%016x%08x", rng.Uint64(), rng.Uint64(), rng.Uint32()) }
	for i := range 200 {
		moved := random()
		add(moved, fmt.Sprintf("10.1.%d.1:6881", i))
		add(moved, fmt.Sprintf("10.2.%d.1:6881", i))
		add(random(), fmt.Sprintf("10.3.%d.1:6881", i))
		add(random(), fmt.Sprintf("10.3.%d.1:6881", i))
		add(random(), fmt.Sprintf("10.4.0.%d:6881", i))
		add("abcdef"+random()[6:], fmt.Sprintf("10.5.0.1:%d", 1000+i), "bep42=valid")
	}
	ctx := context.Background()
	for _, err := range []error{s.BeginCrawl(ctx, c), s.Visits(ctx, visits), s.EndCrawl(ctx, c)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if ids := asideIDs(t, s, c.ID.String()); len(ids) > 0 {
		t.Errorf("set aside without cause: %v", ids)
	}
}

// TestLeast draws networks at random and looks for crowds: at a chance of a
// half, no more networks than that may have one.
func TestLeast(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	const networks, n = 300, 2000
	for _, more := range []int{0, 3, 6, 10} {
		bits := int(math.Ceil(math.Log2(n))) + more
		least, crowded := identity.Least(n, bits, 0.5), 0
		for range networks {
			places := make([]uint64, n)
			for i := range places {
				places[i] = rng.Uint64() >> (64 - bits)
			}
			slices.Sort(places)
			for i := range places[least-1:] {
				if places[i] == places[i+least-1] {
					crowded++
					break
				}
			}
		}
		if crowded > networks/2+3*9 { // three standard deviations
			t.Errorf("%d bits: %d of %d networks have %d IDs in one prefix", bits, crowded, networks, least)
		}
	}
	if least := identity.Least(1_000_000, 30, 1e-6); least < 3 || least > 6 {
		t.Errorf("a million nodes: %d share 30 bits", least)
	}
}
