package reports

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"canopy/crawler/observation"
)

// BenchmarkReport builds and writes a report on 30 crawls. CANOPY_BENCH_VISITS
// sets the number of visits, 600,000 without it.
func BenchmarkReport(b *testing.B) {
	visits := 600_000
	if s := os.Getenv("CANOPY_BENCH_VISITS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		visits = n
	}
	s := openStore(b)
	const crawls = 30
	for i := range crawls {
		start := day.Add(time.Duration(i) * 24 * time.Hour)
		id := observation.NewCrawlID(start)
		_, err := s.DB().ExecContext(b.Context(), fmt.Sprintf(`
INSERT INTO crawls_log (network, crawl_id, scope, started_at, ended_at, state, discovered, reachable)
VALUES ('alpha', '%s', 'global', toDateTime64(%d, 3), toDateTime64(%d, 3), 'complete', %d, %d)`,
			id, start.Unix(), start.Add(time.Hour).Unix(), visits/crawls, visits/crawls/2))
		must(b, err)
		// A peer is up with a probability of its own; a tenth of all peers is new in each crawl.
		_, err = s.DB().ExecContext(b.Context(), fmt.Sprintf(`
INSERT INTO visits_log (network, crawl_id, number, visited_at, peer_id, address, port, outcome, agent, asn, organisation, country, hosting)
SELECT 'alpha', toUUID('%s'), number, toDateTime64(%d, 3), hex(cityHash64(number + %d)),
       toIPv6(IPv4NumToString(toUInt32(16777216 + cityHash64(number) %% 3000000000))), 6881,
       if(cityHash64(number, %d) %% 100 < cityHash64(number) %% 100, 'answered', 'timeout'),
       concat('client ', toString(cityHash64(number) %% 300)), cityHash64(number) %% 20000, concat('Organisation ', toString(cityHash64(number) %% 20000)),
       substring('DEFRUSNLCHBRIN', 1 + 2 * (number %% 7), 2), ['residential', 'hosting', 'mobile', 'institutional', 'unknown'][1 + number %% 5]
FROM numbers(%d)`, id, start.Unix(), i*visits/crawls/10, i, visits/crawls))
		must(b, err)
	}
	b.ResetTimer()
	for b.Loop() {
		r, err := Build(b.Context(), s.DB(), Options{Generated: day})
		must(b, err)
		must(b, r.Write(b.TempDir()))
	}
}
