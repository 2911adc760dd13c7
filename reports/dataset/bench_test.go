package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"canopy/crawler/testnet/process"
)

// BenchmarkExport exports 30 crawls. CANOPY_BENCH_VISITS sets the number of
// visits, 300,000 without it.
func BenchmarkExport(b *testing.B) {
	visits := 300_000
	if text := os.Getenv("CANOPY_BENCH_VISITS"); text != "" {
		n, err := strconv.Atoi(text)
		must(b, err)
		visits = n
	}
	visits -= visits % 30
	s := openStore(b)
	fill(b, s, "alpha", 30, visits)
	for _, format := range []string{Parquet, CSV} {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				dir := filepath.Join(b.TempDir(), "dataset")
				steps := ""
				sum, err := Export(b.Context(), readFrom(s), dir, Options{Format: format, Progress: func(p Progress) {
					if p.Of == 0 || p.Parts == p.Of {
						steps += fmt.Sprintf("\n%8.1f s %8.1f CPU s  until %s, %d rows", b.Elapsed().Seconds(), process.CPU().Seconds(), p.Table, p.Rows)
					}
				}})
				b.Log(steps)
				must(b, err)
				if sum.Rows["visits"]+sum.Dropped != int64(visits) {
					b.Fatalf("%d visits exported, %d dropped of %d", sum.Rows["visits"], sum.Dropped, visits)
				}
				b.ReportMetric(float64(sum.Bytes)/float64(visits), "bytes/visit")
			}
			b.ReportMetric(float64(visits)*float64(b.N)/b.Elapsed().Seconds(), "visits/s")
			b.ReportMetric(10e6/60, "wanted-visits/s") // 10 million in a minute
		})
	}
}
