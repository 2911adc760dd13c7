package reports

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store"
)

// BenchmarkReport builds and writes a report on 30 crawls. CANOPY_BENCH_VISITS
// sets the number of visits, 600,000 without it.
func BenchmarkReport(b *testing.B) {
	s := openStore(b)
	benchRecord(b, s)
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak starts over, on Linux
	b.ResetTimer()
	for b.Loop() {
		r, err := Build(b.Context(), s.DB(), Options{Generated: day})
		must(b, err)
		must(b, r.Write(b.TempDir()))
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		if fields := strings.Fields(rest); len(fields) > 0 {
			kib, _ := strconv.ParseFloat(fields[0], 64)
			b.ReportMetric(kib/1024, "peak-MiB")
		}
	}
	b.Log("wanted with CANOPY_BENCH_VISITS=10000000 on 2 cores: at most 60 s and 2048 MiB")
}

// benchRecord fills a store with the record of 30 crawls.
func benchRecord(b testing.TB, s *store.Store) {
	b.Helper()
	visits := 600_000
	if s := os.Getenv("CANOPY_BENCH_VISITS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		visits = n
	}
	const crawls = 30
	for i := range crawls {
		start := day.Add(time.Duration(i) * 24 * time.Hour)
		id := observation.NewCrawlID(start)
		_, err := s.DB().ExecContext(b.Context(), fmt.Sprintf(`
INSERT INTO crawls_log (network, crawl_id, scope, started_at, ended_at, state, discovered, reachable)
VALUES ('alpha', '%s', 'global', toDateTime64(%d, 3), toDateTime64(%d, 3), 'complete', %d, %d)`,
			id, start.Unix(), start.Add(time.Hour).Unix(), visits/crawls, visits/crawls/2))
		must(b, err)
		// A peer is up with a probability of its own; a tenth of all peers is new in each crawl. The larger
		// an AS, the rarer: the largest of 20,000 holds 4 % of the peers.
		_, err = s.DB().ExecContext(b.Context(), fmt.Sprintf(`
INSERT INTO visits_log (network, crawl_id, number, visited_at, peer_id, address, port, outcome, agent, prefix, asn, organisation, country, hosting)
WITH number + %d AS peer, cityHash64(peer) AS chance, toUInt32(20000 * pow(cityHash64(peer, 1) / 18446744073709551616, 3)) AS holder,
     16777216 + holder * 150000 + chance %% 60000 AS host
SELECT 'alpha', toUUID('%s'), number, toDateTime64(%d, 3), lower(hex(substring(SHA1(toString(peer)), 1, 20))),
       toIPv6(IPv4NumToString(toUInt32(host))), 1024 + chance %% 60000,
       if(cityHash64(peer, %d, 2) %% 100 < chance %% 100, 'answered', 'timeout'),
       concat('client/', toString(toUInt32(300 * pow(cityHash64(peer, 3) / 18446744073709551616, 4)))),
       concat(IPv4NumToString(toUInt32(bitAnd(host, 4294963200))), '/20'), 1 + holder, concat('Organisation ', toString(holder)),
       substring('DEFRUSNLCHBRIN', 1 + 2 * (holder %% 7), 2), ['residential', 'hosting', 'mobile', 'institutional', 'unknown'][1 + holder %% 5]
FROM numbers(%d)`, i*visits/crawls/10, id, start.Unix(), i, visits/crawls))
		must(b, err)
	}
}
