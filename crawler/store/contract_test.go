package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"canopy/crawler/observation"
)

// TestContract holds whichever way the engine is reached.
func TestContract(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			for _, test := range []struct {
				name string
				run  func(t *testing.T, url string)
				own  bool // it needs a database of its own
			}{
				{"RoundTrip", testRoundTrip, false},
				{"EdgesAndProbes", testEdgesAndProbes, false},
				{"Replay", testReplay, false},
				{"Reconcile", testReconcile, false},
				{"CancelledContext", testCancelledContext, false},
				{"ConcurrentWriters", testConcurrentWriters, false},
				{"Outage", testOutage, false},
				{"NoTables", testNoTables, true},
				{"NewerSchema", testNewerSchema, true},
				{"MigrateEveryPast", testMigrateEveryPast, true},
				{"EditedMigration", testEditedMigration, true},
				{"Status", testStatus, true},
				{"SQL", testSQL, true},
				{"ReadOnly", testReadOnly, true},
				{"NamedArguments", testNamedArguments, false},
			} {
				t.Run(test.name, func(t *testing.T) {
					database := newDatabase
					if !test.own {
						database = emptyDatabase
					}
					test.run(t, b.url(t, database()))
				})
			}
		})
	}
}

func newCrawl(network string) observation.Crawl {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return observation.Crawl{
		ID: observation.NewCrawlID(now), Network: network, Vantage: "test", Scope: observation.ScopeLocal,
		StartedAt: now, EndedAt: now.Add(time.Minute), State: observation.Complete,
		Discovered: 3, Reachable: 2, Queries: math.MaxUint64, Software: "canopy/test", Settings: `{"k":8}`, Notes: []string{"it's", ""},
	}
}

// hostileVisits cover every field, at its edges and with strings made to do
// harm.
func hostileVisits(c observation.Crawl) []observation.Visit {
	hostile := "'; DROP TABLE visits_log; --\n\t\\N\x00\xff\xfe<script>\u202e" + strings.Repeat("A", 10_000)
	full := observation.Visit{
		Network: c.Network, CrawlID: c.ID, Number: 0, VisitedAt: c.StartedAt, PeerID: "0123456789abcdef",
		Address: netip.MustParseAddrPort("192.0.2.1:6881"), Transport: "tcp", Relays: []string{"12D3KooW", ""}, Handshake: 98765 * time.Microsecond,
		Addresses: []string{"/ip4/192.0.2.1/tcp/4001", hostile, ""},
		Outcome:   observation.Answered, Detail: hostile, Agent: hostile, Protocols: []string{"/ipfs/kad/1.0.0", hostile},
		RTT: 12345 * time.Microsecond, Neighbours: 20, Partial: true, Queries: math.MaxUint32,
		Facts: observation.Facts{
			Prefix: netip.MustParsePrefix("192.0.2.0/24"), ASN: math.MaxUint32, Organisation: hostile, Country: "XX",
			Hosting: observation.HostingHosting, Source: "test", Date: time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC),
		},
	}
	six := full
	six.Number, six.Address, six.Facts.Prefix = 1, netip.MustParseAddrPort("[2001:db8::1]:65535"), netip.MustParsePrefix("2001:db8::/32")
	empty := observation.Visit{Network: c.Network, CrawlID: c.ID, Number: 1_000_000, Outcome: observation.NoAddress}
	zoned := empty
	zoned.Number, zoned.Address = 2, netip.MustParseAddrPort("[fe80::1%eth0]:1")
	all := []observation.Visit{full, six, zoned, empty}
	for _, id := range []string{ // that look like the digits which are kept as bytes, and are not
		"0123456789abcdef0123456789abcdef01234567", strings.ToUpper("0123456789abcdef0123456789abcdef01234567"),
		strings.Repeat("0", 40), strings.Repeat("0", 39) + "1", strings.Repeat("g", 40), strings.Repeat("\xff", 40), strings.Repeat("f", 80),
	} {
		v := full
		v.Number, v.PeerID = uint32(10+len(all)), id
		all = append(all, v)
	}
	for _, addr := range []string{"0.0.0.0:1", "0.0.1.2:3", "0.1.0.0:1", "255.255.255.255:65535", "[::]:1", "[::ffff:1.2.3.4]:5"} {
		v := full
		v.Number, v.Address, v.Facts = uint32(10+len(all)), netip.MustParseAddrPort(addr), observation.Facts{}
		all = append(all, v)
	}
	return all
}

func testRoundTrip(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	c := newCrawl("mainline")
	want := hostileVisits(c)
	store(t, s, c, want, nil)

	got := readVisits(t, s.DB(), c.ID)
	for i := range want { // what the columns can't tell apart
		want[i].Address = netip.AddrPortFrom(want[i].Address.Addr().WithZone("").Unmap(), want[i].Address.Port())
		if want[i].Facts.Hosting == "" {
			want[i].Facts.Hosting = observation.HostingUnknown
		}
	}
	same := cmp.Options{
		cmpopts.EquateComparable(netip.AddrPort{}, netip.Prefix{}), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(visitTick),
		cmpopts.SortSlices(func(a, b observation.Visit) bool { return a.Number < b.Number }),
		cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() < a.Abs()/256+2*time.Microsecond }),
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("visits differ (-want +got):\n%s", diff)
	}
	var crawl observation.Crawl
	var id, state string
	err := s.DB().QueryRowContext(ctx, `SELECT toString(crawl_id), network, vantage, scope, started_at, ended_at, state,
		discovered, reachable, queries, software, settings, notes FROM crawls`).Scan(&id, &crawl.Network, &crawl.Vantage, &crawl.Scope,
		&crawl.StartedAt, &crawl.EndedAt, &state, &crawl.Discovered, &crawl.Reachable, &crawl.Queries, &crawl.Software, &crawl.Settings, &crawl.Notes)
	if err != nil {
		t.Fatal(err)
	}
	crawl.State = observation.State(state)
	if crawl.ID, err = observation.ParseCrawlID(id); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, crawl); diff != "" {
		t.Errorf("crawl differs (-want +got):\n%s", diff)
	}
}

// store writes a whole crawl.
func store(tb testing.TB, s *Store, c observation.Crawl, visits []observation.Visit, edges []observation.Edge) {
	tb.Helper()
	ctx := context.Background()
	if err := s.BeginCrawl(ctx, c); err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(s.Visits(ctx, visits), s.Edges(ctx, edges)); err != nil {
		tb.Fatal(err)
	}
	if err := s.EndCrawl(ctx, c); err != nil {
		tb.Fatal(err)
	}
}

func readVisits(t *testing.T, db *sql.DB, id observation.CrawlID) []observation.Visit {
	t.Helper()
	rows, err := db.Query(`SELECT network, number, visited_at, peer_id, toString(address), port, transport, addresses, relays, outcome, detail, agent, protocols, rtt_ms, handshake_ms,
		neighbours, partial, queries, prefix, asn, organisation, country, hosting, facts_source, facts_date FROM visits WHERE crawl_id = @id`,
		sql.Named("id", id.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var visits []observation.Visit
	for rows.Next() {
		v := observation.Visit{CrawlID: id}
		var address, outcome, prefix, hosting string
		var port uint16
		var partial uint8
		var rtt, handshake *float32
		if err := rows.Scan(&v.Network, &v.Number, &v.VisitedAt, &v.PeerID, &address, &port, &v.Transport, &v.Addresses, &v.Relays, &outcome, &v.Detail, &v.Agent, &v.Protocols, &rtt, &handshake,
			&v.Neighbours, &partial, &v.Queries, &prefix, &v.Facts.ASN, &v.Facts.Organisation, &v.Facts.Country, &hosting, &v.Facts.Source, &v.Facts.Date); err != nil {
			t.Fatal(err)
		}
		v.Outcome, v.Partial, v.Facts.Hosting = observation.Outcome(outcome), partial == 1, observation.Hosting(hosting)
		if addr := netip.MustParseAddr(address).Unmap(); addr.IsValid() && (!addr.IsUnspecified() || port != 0) {
			v.Address = netip.AddrPortFrom(addr, port)
		}
		if rtt != nil {
			v.RTT = time.Duration(float64(*rtt) * float64(time.Millisecond))
		}
		if handshake != nil {
			v.Handshake = time.Duration(float64(*handshake) * float64(time.Millisecond))
		}
		if prefix != "" {
			v.Facts.Prefix = netip.MustParsePrefix(prefix)
		}
		v.VisitedAt, v.Facts.Date = zeroEpoch(v.VisitedAt), zeroEpoch(v.Facts.Date)
		visits = append(visits, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return visits
}

// zeroEpoch undoes what instant does to the zero time.
func zeroEpoch(t time.Time) time.Time {
	if t.Unix() == 0 {
		return time.Time{}
	}
	return t.UTC()
}

func testEdgesAndProbes(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	c := newCrawl("ipfs")
	many := make([]uint32, 5000)
	for i := range many {
		many[i] = uint32(i * 3)
	}
	store(t, s, c, nil, []observation.Edge{
		{CrawlID: c.ID, Network: c.Network, Peer: 0, Neighbours: many},
		{CrawlID: c.ID, Network: c.Network, Peer: 7, Partial: true},
	})
	probes := []observation.Probe{
		{Network: "ipfs", PeerID: "a", Address: netip.MustParseAddrPort("192.0.2.1:1"), ProbedAt: c.StartedAt, Outcome: observation.Answered, RTT: time.Millisecond, ControlOK: true},
		{Network: "ipfs", PeerID: "a", Address: netip.MustParseAddrPort("192.0.2.1:1"), ProbedAt: c.EndedAt, Outcome: observation.Timeout},
		{Network: "ipfs", PeerID: "a", Address: netip.MustParseAddrPort("192.0.2.1:1"), ProbedAt: c.EndedAt, Outcome: observation.Timeout, Vantage: "there"}, // at the same moment
	}
	for range 2 { // the second time is a replay
		if err := errors.Join(s.Probes(ctx, probes), s.Flush(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	wantRows(t, s, "SELECT peer, length(neighbours), arraySum(neighbours), partial FROM edges ORDER BY peer", "0 5000 37492500 0", "7 0 0 1")
	wantRows(t, s, "SELECT vantage, peer_id, IPv6NumToString(address), port, outcome, rtt_ms, control_ok FROM probes ORDER BY probed_at, vantage",
		" a ::ffff:192.0.2.1 1 answered 1 1", " a ::ffff:192.0.2.1 1 timeout <nil> 0", "there a ::ffff:192.0.2.1 1 timeout <nil> 0")
}

// wantRows compares the rows of a query, printed with %v.
func wantRows(t *testing.T, s *Store, query string, want ...string) {
	t.Helper()
	rows, err := s.DB().Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for rows.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", query, diff)
	}
}

func numbered(c observation.Crawl, from, n int) []observation.Visit {
	visits := make([]observation.Visit, n)
	for i := range visits {
		visits[i] = observation.Visit{Network: c.Network, CrawlID: c.ID, Number: uint32(from + i), VisitedAt: c.StartedAt, PeerID: fmt.Sprint(from + i), Outcome: observation.Timeout}
	}
	return visits
}

func testNamedArguments(t *testing.T, url string) {
	s := migrated(t, url, Options{})
	c := newCrawl("mainline")
	store(t, s, c, numbered(c, 0, 10), nil)
	var n uint64
	err := s.DB().QueryRow("SELECT count() FROM visits WHERE network = @network AND number < @below AND visited_at >= @from AND outcome IN (@outcomes)",
		sql.Named("network", "mainline"), sql.Named("below", 5), sql.Named("from", c.StartedAt), sql.Named("outcomes", []string{"timeout", "it's"})).Scan(&n)
	if err != nil || n != 5 {
		t.Errorf("count by named arguments: %d, %v; want 5", n, err)
	}
}
