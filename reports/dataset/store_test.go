package dataset

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store"
	"canopy/crawler/store/storetest"
)

// The embedded engine takes one folder for each process, so every test has a
// database of its own in it.
var (
	engineDir string
	databases atomic.Int32
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "canopy-dataset-*")
	if err != nil {
		panic(err)
	}
	engineDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// open opens a database of the engine.
func open(t testing.TB, database string) *store.Store {
	t.Helper()
	return storetest.Open(t, fmt.Sprintf("chdb:%s?database=%s", engineDir, database), store.Options{Spool: store.NoSpool})
}

// openEmpty opens a database without tables.
func openEmpty(t testing.TB) *store.Store {
	t.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	_, err := open(t, "default").DB().ExecContext(t.Context(), "CREATE DATABASE "+name)
	must(t, err)
	return open(t, name)
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s := openEmpty(t)
	must(t, s.Migrate(t.Context()))
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readable is a store as exports read it.
type readable struct {
	*sql.DB
	s *store.Store
}

func (r readable) Stream(ctx context.Context, query string, each func([]any) error) error {
	return r.s.Stream(ctx, query, each)
}

func readFrom(s *store.Store) readable { return readable{s.DB(), s} }

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const settings = `{"network":{"name":"alpha","title":"Alpha DHT","k":8,"alpha":3,"id_bits":160,"distance":"xor","identity":"node ID","key_derivation":"hex"},"walker":{"bootstrap":["198.51.100.77:6881"]},"limits":{"rate":100}}`

// fill writes crawls of a made-up network with SQL: peers of an ID and address
// of their own, up with a probability of their own; 200 at a time stand in one
// /16, and one in a hundred calls its program like nobody else.
func fill(t testing.TB, s *store.Store, network string, crawls, visits int) {
	t.Helper()
	fillWith(t, s, network, crawls, visits, 97)
}

// fillWith is fill with one in rare peers that calls its program like nobody
// else, 0 for none.
func fillWith(t testing.TB, s *store.Store, network string, crawls, visits, rare int) {
	t.Helper()
	for i := range crawls {
		start := day.Add(time.Duration(i) * 24 * time.Hour)
		id := observation.NewCrawlID(start)
		_, err := s.DB().ExecContext(t.Context(), fmt.Sprintf(`
INSERT INTO visits_log (network, crawl_id, number, visited_at, peer_id, address, port, outcome, agent, asn, organisation, country, hosting, prefix, facts_source, facts_date, rtt_ms, neighbours, queries)
SELECT '%[1]s', toUUID('%[2]s'), number, toDateTime64(%[3]d, 3), lower(hex(SHA1(toString(p)))),
       toIPv6(IPv4NumToString(toUInt32((256 * (11 + g %% 90) + g %% 250) * 65536 + cityHash64(p, 'low') %% 65536))), 6881,
       if(cityHash64(p, %[4]d) %% 100 < h %% 100, 'answered', 'timeout') AS o,
       if(o = 'answered', concat(['qBittorrent 4.', 'libtorrent 2.', 'Transmission 4.', 'µTorrent 3.'][1 + h %% 4], toString(if(%[7]d > 0 AND h %% greatest(%[7]d, 1) = 0, p, h %% 3))), ''),
       64000 + g %% 90 * 10 AS a, concat('Organisation ', toString(a)), substring('DEFRUSNLCHBRIN', 1 + 2 * (g %% 7), 2),
       ['residential', 'hosting', 'mobile', 'institutional', 'unknown'][1 + g %% 5], concat('45.', toString(a %% 250), '.0.0/16'), 'test', toDate('2026-02-01'),
       if(o = 'answered', toFloat32(h %% 400), NULL), 20, 3
FROM (SELECT number, number + %[5]d AS p, intDiv(p, 200) AS g, cityHash64(p) AS h FROM numbers(%[6]d))`, network, id, start.Unix(), i, i*visits/crawls/10, visits/crawls, rare))
		must(t, err)
		_, err = s.DB().ExecContext(t.Context(), fmt.Sprintf(`
INSERT INTO crawls_log (network, crawl_id, vantage, scope, started_at, ended_at, state, discovered, reachable, queries, settings, notes)
SELECT '%s', toUUID('%s'), 'here', 'global', toDateTime64(%d, 3), toDateTime64(%d, 3), 'complete', count(), countIf(outcome = 'answered'), 3 * count(), %s, ['Asked 203.0.113.9:6881 first.']
FROM visits_log WHERE crawl_id = toUUID('%[2]s')`, network, id, start.Unix(), start.Add(time.Hour).Unix(), literal(settings)))
		must(t, err)
	}
}
