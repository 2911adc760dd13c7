package store

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"canopy/crawler/observation"
)

func testNoTables(t *testing.T, url string) {
	ctx := context.Background()
	s := openAt(t, url, Options{})
	if err := s.Ready(ctx); !errors.Is(err, ErrNoTables) || !strings.Contains(err.Error(), "canopy store migrate") {
		t.Errorf("Ready: %v", err)
	}
	if err := s.BeginCrawl(ctx, newCrawl("mainline")); !errors.Is(err, ErrNoTables) {
		t.Errorf("BeginCrawl: %v", err)
	}
	status, err := s.Status(ctx)
	if err != nil || status.Schema != 0 || status.Latest == 0 || status.Version == "" {
		t.Errorf("Status: %+v, %v", status, err)
	}
	var out bytes.Buffer
	if err := s.SQL(ctx, &out, "SELECT 1 AS one", ""); err != nil || out.String() != "one\n1\n" {
		t.Errorf("SQL without tables: %q, %v", out.String(), err)
	}
	if err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(ctx); err != nil {
		t.Errorf("Ready after Migrate: %v", err)
	}
}

func testNewerSchema(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	future := latestVersion(migrationFiles) + 1
	if err := s.apply(ctx, migration{version: future, name: "future", checksum: "?"}); err != nil {
		t.Fatal(err)
	}
	if again, err := Open(ctx, url, Options{}); !errors.Is(err, ErrNewerSchema) || !strings.Contains(err.Error(), "upgrade canopy") {
		t.Errorf("Open of a newer schema: %v, %v", again, err)
	}
	if err := s.Migrate(ctx); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("Migrate of a newer schema: %v", err)
	}
	wantRows(t, s, "SELECT max(version), count() FROM schema_migrations", fmt.Sprint(future, future))
}

// addedColumn is a migration of the future: the way to add a column.
var addedColumn = migration{name: "test_column", checksum: "test", statements: []string{
	"ALTER TABLE visits_log ADD COLUMN IF NOT EXISTS added String DEFAULT 'none' CODEC(ZSTD(1))",
	"CREATE OR REPLACE VIEW visits AS SELECT * FROM visits_log FINAL",
}}

// testMigrateEveryPast builds each schema that ever was, with rows in it, and
// brings it up to date and one step beyond.
func testMigrateEveryPast(t *testing.T, url string) {
	ctx := context.Background()
	list, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(url, "http:") {
		t.Skip("a served store takes the migrations of its own program alone")
	}
	for n := 1; n <= len(list); n++ {
		if testing.Short() && n > 1 && n < len(list)-1 {
			continue
		}
		s := openAt(t, strings.Replace(url, "test_", fmt.Sprintf("past%d_", n), 1), Options{})
		if err := s.migrate(ctx, list[:n]); err != nil {
			t.Fatal(err)
		}
		old, c := newCrawl("mainline"), newCrawl("mainline")
		for _, insert := range []string{
			"crawls_log (network, crawl_id, vantage, started_at, state) SELECT @network, toUUID(@crawl), 'test', @at, 'complete'",
			`visits_log (network, crawl_id, number, visited_at, peer_id, address, outcome, rtt_ms, prefix, asn, organisation, hosting)
				SELECT @network, toUUID(@crawl), 1, @at, 'old', toIPv6('192.0.2.7'), 'answered', 12.5, '192.0.2.0/24', 64500, 'An Org', 'mobile'`,
			"probes_log (network, peer_id, probed_at, outcome, control_ok) SELECT @network, 'old', @at + INTERVAL 1 MINUTE, 'answered', 1",
		} {
			if err := s.conn.Exec(ctx, "INSERT INTO "+insert, clickhouse.Named("network", old.Network), clickhouse.Named("crawl", old.ID.String()), clickhouse.Named("at", old.StartedAt)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		store(t, s, c, []observation.Visit{{
			Network: c.Network, CrawlID: c.ID, Number: 2, VisitedAt: c.StartedAt, PeerID: "new", Address: netip.MustParseAddrPort("192.0.2.8:1"), RTT: 7500 * time.Microsecond,
		}}, nil)
		wantRows(t, s, "SELECT number, peer_id, IPv6NumToString(address), rtt_ms, prefix, asn, organisation, hosting FROM visits ORDER BY number",
			"1 old ::ffff:192.0.2.7 12.5 192.0.2.0/24 64500 An Org mobile", "2 new ::ffff:192.0.2.8 7.5  0  unknown")
		wantRows(t, s, "SELECT vantage, peer_id, probes, reason FROM sessions", "test old 2 open") // the probe is of the only vantage there is
		beyond := addedColumn
		beyond.version = uint32(len(list) + 1)
		var wg sync.WaitGroup
		for range 2 { // two at once
			wg.Go(func() {
				if err := s.migrate(ctx, append(list[:len(list):len(list)], beyond)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := s.migrate(ctx, append(list[:len(list):len(list)], beyond)); err != nil { // and again
			t.Error(err)
		}
		wantRows(t, s, "SELECT number, peer_id, added FROM visits ORDER BY number", "1 old none", "2 new none")
		wantRows(t, s, "SELECT count(), uniqExact(version) FROM schema_migrations FINAL", fmt.Sprint(len(list)+1, len(list)+1))
	}
}

func testEditedMigration(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	list, err := readMigrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	list[0].checksum = "edited"
	if err := s.migrate(ctx, list); err == nil || !strings.Contains(err.Error(), "must not change") {
		t.Errorf("migrate with an edited past: %v", err)
	}
}

func testStatus(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	c := newCrawl("mainline")
	store(t, s, c, numbered(c, 0, 1000), nil)
	running := newCrawl("ipfs")
	if err := s.BeginCrawl(ctx, running); err != nil {
		t.Fatal(err)
	}
	status, err := s.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status.Schema != status.Latest || strings.Contains(status.Store, "s3cret") {
		t.Errorf("status: %+v", status)
	}
	rows := map[string]uint64{}
	for _, table := range status.Tables {
		rows[table.Name] = table.Rows
		if (table.Rows > 0) != (table.Oldest != nil && table.Oldest.Equal(*table.Newest)) && table.Name != "crawls" {
			t.Errorf("%s has %d rows from %v to %v", table.Name, table.Rows, table.Oldest, table.Newest)
		}
		if table.Rows > 0 && table.Bytes == 0 {
			t.Errorf("%s takes no space", table.Name)
		}
	}
	if rows["visits"] != 1000 || rows["crawls"] != 2 || rows["edges"] != 0 || rows["probes"] != 0 {
		t.Errorf("rows: %v", rows)
	}
	want := []CrawlCount{{"ipfs", "running", 1, running.StartedAt}, {"mainline", "complete", 1, c.StartedAt}}
	if fmt.Sprint(status.Crawls) != fmt.Sprint(want) {
		t.Errorf("crawls: %v, want %v", status.Crawls, want)
	}
}

func testSQL(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{ReadOnly: false})
	hostile := `SELECT 'a\n\t\x1b[31m\\' AS text, NULL AS none, toUInt64(7) AS number, [1, 2] AS list, toDate('2026-06-17') AS day`
	for format, want := range map[string]string{
		"":             "text                            none  number  list   day\na\\u{000a}\\u{0009}\\u{001b}[31m\\  NULL  7       [1,2]  2026-06-17\n",
		"JSONEachRow":  `{"text":"a\n\t\u001B[31m\\","none":null,"number":7,"list":[1,2],"day":"2026-06-17"}` + "\n",
		"TSV":          "a\\n\\t\x1b[31m\\\\\t\\N\t7\t[1,2]\t2026-06-17\n",
		"TSVWithNames": "text\tnone\tnumber\tlist\tday\na\\n\\t\x1b[31m\\\\\t\\N\t7\t[1,2]\t2026-06-17\n",
	} {
		var out bytes.Buffer
		if err := s.SQL(ctx, &out, hostile, format); err != nil {
			t.Errorf("format %q: %v", format, err)
		}
		if got := out.String(); got != want {
			t.Errorf("format %q:\n got %q\nwant %q", format, got, want)
		}
		// What the native protocol needs must look the same.
		rows, err := s.DB().Query(hostile)
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := writeRows(&out, rows, format); err != nil {
			t.Errorf("format %q from rows: %v", format, err)
		}
		rows.Close()
		if got := strings.ReplaceAll(out.String(), `\u001b`, `\u001B`); got != want {
			t.Errorf("format %q from rows:\n got %q\nwant %q", format, got, want)
		}
	}
	testCSV(t, s, hostile)
	var out bytes.Buffer
	if err := s.SQL(ctx, &out, "SELECT nonsense", ""); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("SQL of nonsense: %v", err)
	}
	if err := s.SQL(ctx, &out, "SELECT 1", "JSON; DROP"); err == nil || !strings.Contains(err.Error(), "is no format") {
		t.Errorf("SQL with a hostile format: %v", err)
	}
}

// testCSV compares the fields only: which of them stand in quotes is free.
func testCSV(t *testing.T, s *Store, query string) {
	want := [][]string{{"text", "none", "number", "list", "day"}, {"a\n\t\x1b[31m\\", `\N`, "7", "[1,2]", "2026-06-17"}}
	rows, err := s.DB().Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var engine, ours bytes.Buffer
	if err := errors.Join(s.SQL(t.Context(), &engine, query, "CSVWithNames"), writeRows(&ours, rows, "CSVWithNames")); err != nil {
		t.Fatal(err)
	}
	for _, out := range []*bytes.Buffer{&engine, &ours} {
		got, err := csv.NewReader(out).ReadAll()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("CSVWithNames: %v (-want +got):\n%s", err, diff)
		}
	}
}

func testReadOnly(t *testing.T, url string) {
	ctx := context.Background()
	c := newCrawl("mainline")
	store(t, migrated(t, url, Options{}), c, numbered(c, 0, 3), nil)
	s := openAt(t, url, Options{ReadOnly: true})
	wantRows(t, s, "SELECT count() FROM visits", "3")
	var out bytes.Buffer
	if err := s.SQL(ctx, &out, "SELECT count() FROM visits", "TSV"); err != nil || out.String() != "3\n" {
		t.Errorf("SQL: %q, %v", out.String(), err)
	}
	const destroy = "TRUNCATE TABLE visits_log"
	_, direct := s.DB().Exec(destroy)
	for name, err := range map[string]error{
		"SQL": s.SQL(ctx, &out, destroy, ""), "DB": direct, "BeginCrawl": s.BeginCrawl(ctx, newCrawl("mainline")),
	} {
		if err == nil || !strings.Contains(err.Error(), "(READONLY)") {
			t.Errorf("%s changes a read-only store: %v", name, err)
		}
	}
	wantRows(t, s, "SELECT count() FROM visits", "3")
}

// TestTablesOfTheSchema wants every table that keeps rows to be one that clients
// who may write can send rows to.
func TestTablesOfTheSchema(t *testing.T) {
	s := migrated(t, "chdb:"+dataDir+"?database="+newDatabase(), Options{})
	statements, err := s.schema()
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	query := "SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
	if err := s.conn.QueryRow(t.Context(), query).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	slices.Sort(kept)
	if got := slices.Sorted(slices.Values(tablesOf(statements))); len(got) < 9 || !slices.Equal(got, kept) {
		t.Errorf("rows are taken for %q, the record keeps them in %q", got, kept)
	}
}
