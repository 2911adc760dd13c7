package identity_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/analysis/churn"
	"canopy/analysis/identity"
	"canopy/analysis/operator"
	"canopy/crawler"
	"canopy/crawler/mainline"
	"canopy/crawler/observation"
	"canopy/crawler/store"
	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
	swarm "canopy/crawler/testnet/mainline"
)

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

// setAside finds out who is no sign of one peer.
func setAside(t *testing.T, s *store.Store, crawls ...string) *identity.Result {
	t.Helper()
	r, err := identity.DefaultLimits().SetAside(t.Context(), s.DB(), "mainline", crawls)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answered are the IDs that a reader of the record finds reachable.
func answered(t *testing.T, q analysis.Querier, crawl string) (ids []string) {
	t.Helper()
	rows, err := q.QueryContext(t.Context(), `
WITH 'answered' AS up
SELECT DISTINCT peer_id FROM visits WHERE network = @network AND crawl_id = toUUID(@crawl) AND outcome = up ORDER BY peer_id`,
		sql.Named("network", "mainline"), sql.Named("crawl", crawl))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestLiarsAreSetAside crawls a planned network alone and beside liars: those
// are found out, each for its own lie, and nobody else is.
func TestLiarsAreSetAside(t *testing.T) {
	s := storetest.Migrated(t, "chdb:"+t.TempDir())
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
	if r := setAside(t, s, honest); r.Peers > 0 {
		t.Errorf("set aside without cause: %+v", r)
	}
	mixed := crawl(t, s, append(network.Bootstrap(), liars.Bootstrap())...)
	r := setAside(t, s, honest, mixed)

	reasons := map[swarm.Lie]identity.Reason{
		swarm.Cloned: identity.ManyEndpoints, swarm.Stacked: identity.SharedAddress,
		swarm.Packed: identity.SharedBlock, swarm.Crowded: identity.Crowding,
	}
	ids, visits, strangers := map[identity.Reason]map[string]bool{}, map[identity.Reason]int{}, 0
	for _, l := range liars.All {
		reason, ok := reasons[l.Lie]
		if !ok {
			strangers++
			continue
		}
		if visits[reason]++; ids[reason] == nil {
			ids[reason] = map[string]bool{}
		}
		ids[reason][l.ID.String()] = true
	}
	for _, f := range r.Findings {
		if f.Counts[0] != 0 || f.Counts[1] != visits[f.Reason] || f.Peers != len(ids[f.Reason]) {
			t.Errorf("%s: %d IDs in %v visits, want %d in 0 and %d", f.Reason, f.Peers, f.Counts, len(ids[f.Reason]), visits[f.Reason])
		}
	}
	if r.Strangers[0] != 0 || r.Strangers[1] != strangers {
		t.Errorf("%v answered as others, want 0 and %d", r.Strangers, strangers)
	}
	alive := network.Plan().At(0).Alive()
	if r.Answered[0] != len(alive) || r.Answered[1]-r.SetAside[1] != len(alive) {
		t.Errorf("%v answered and %v of them are set aside; %d honest nodes are up", r.Answered, r.SetAside, len(alive))
	}
	var planned []string
	for _, number := range alive {
		planned = append(planned, network.Plan().Nodes[number].ID)
	}
	slices.Sort(planned)
	if got := answered(t, r.Without(s.DB()), mixed); !slices.Equal(got, planned) {
		t.Errorf("%d IDs are left, %d are planned", len(got), len(planned))
	}
	census, err := operator.Record(t.Context(), r.Without(s.DB()), operator.Default(), "mainline", []string{honest, mixed})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(census.Totals, []int{len(alive), len(alive)}) {
		t.Errorf("%v peers are judged, %d honest nodes are up", census.Totals, len(alive))
	}
	presences, err := churn.Presences(t.Context(), r.Without(s.DB()), "mainline", []string{honest, mixed})
	if err != nil {
		t.Fatal(err)
	}
	if len(presences) != 1 || presences[0].Pattern != "22" || presences[0].Peers != len(alive) {
		t.Errorf("%+v, want %d peers that answered twice", presences, len(alive))
	}
}

// TestRestartsAndMovesAreOrdinary: what honest peers do is not held against
// them: a second ID at one endpoint, one ID at a second address, neighbours in
// a /24, and many IDs behind one address that follow BEP 42.
func TestRestartsAndMovesAreOrdinary(t *testing.T) {
	s, rng := storetest.Migrated(t, "chdb:"+t.TempDir()), rand.New(rand.NewPCG(5, 5))
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
	if r := setAside(t, s, c.ID.String()); r.Peers > 0 {
		t.Errorf("set aside without cause: %+v", r)
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

// More IDs than a query can name one by one are set aside all the same.
func TestManyAreSetAside(t *testing.T) {
	s := storetest.Migrated(t, "chdb:"+t.TempDir())
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := observation.NewCrawlID(start)
	const honest, packed = 100, 6000
	for _, part := range []struct {
		number, count int
		address       string
	}{{0, honest, "concat('45.', toString(number), '.1.1')"}, {honest, packed, "concat('46.1.', toString(number % 8), '.', toString(number % 200))"}} {
		_, err := s.DB().ExecContext(t.Context(), fmt.Sprintf(`
INSERT INTO visits_log (network, crawl_id, number, visited_at, peer_id, address, port, outcome)
SELECT 'mainline', toUUID('%s'), number + %d, toDateTime64(%d, 3), lower(hex(SHA1(toString(number + %d)))), toIPv6(%s), 1024 + number, 'answered'
FROM numbers(%d)`, id, part.number, start.Unix(), part.number, part.address, part.count))
		if err != nil {
			t.Fatal(err)
		}
	}
	r := setAside(t, s, id.String())
	if r.Peers != packed || r.Answered[0] != honest+packed || r.SetAside[0] != packed {
		t.Fatalf("%d IDs set aside, %v of %v answers", r.Peers, r.SetAside, r.Answered)
	}
	if left := answered(t, r.Without(s.DB()), id.String()); len(left) != honest {
		t.Errorf("%d IDs are left, want %d", len(left), honest)
	}
}

// Peers of which no address is known share no endpoint and no block.
func TestNoAddressIsNoEndpoint(t *testing.T) {
	s := storetest.Migrated(t, "chdb:"+t.TempDir())
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := observation.NewCrawlID(start)
	const peers = 600
	_, err := s.DB().ExecContext(t.Context(), fmt.Sprintf(`
INSERT INTO visits_log (network, crawl_id, number, visited_at, peer_id, address, outcome)
SELECT 'mainline', toUUID('%s'), number, toDateTime64(%d, 3), lower(hex(SHA1(toString(number)))), toIPv6('::'), 'answered' FROM numbers(%d)`, id, start.Unix(), peers))
	if err != nil {
		t.Fatal(err)
	}
	if r := setAside(t, s, id.String()); r.Peers != 0 || r.Answered[0] != peers {
		t.Errorf("%d of %v answers without an address are set aside", r.Peers, r.Answered)
	}
}

// More suspects than a query can name one by one are found all the same.
func TestManySuspects(t *testing.T) {
	s := storetest.Migrated(t, "chdb:"+t.TempDir())
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := observation.NewCrawlID(start)
	const honest, endpoints, shared = 100, 5000, 4 // IDs at one endpoint: one more than is ordinary
	_, err := s.DB().ExecContext(t.Context(), fmt.Sprintf(`
INSERT INTO visits_log (network, crawl_id, number, visited_at, peer_id, address, port, outcome)
WITH if(number < %[3]d, number, %[3]d + intDiv(number - %[3]d, %[4]d)) AS endpoint
SELECT 'mainline', toUUID('%[1]s'), number, toDateTime64(%[2]d, 3), lower(hex(SHA1(toString(number)))),
       toIPv6(IPv4NumToString(toUInt32(750000000 + 256 * endpoint))), 6881, 'answered'
FROM numbers(%[5]d)`, id, start.Unix(), honest, shared, honest+shared*endpoints))
	if err != nil {
		t.Fatal(err)
	}
	r := setAside(t, s, id.String())
	if r.Peers != shared*endpoints || r.SetAside[0] != shared*endpoints || r.Findings[1].Peers != r.Peers {
		t.Fatalf("%d IDs set aside, %v of %v answers", r.Peers, r.SetAside, r.Answered)
	}
	if left := answered(t, r.Without(s.DB()), id.String()); len(left) != honest {
		t.Errorf("%d IDs are left, want %d", len(left), honest)
	}
}
