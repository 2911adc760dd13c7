package mainline_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"canopy/crawler"
	"canopy/crawler/observation"
	"canopy/crawler/testnet/process"
)

// residentSizes are the networks that BenchmarkScale surveys: between them the
// memory that grows with the network is told from what does not.
var residentSizes = []int{100_000, 1_000_000}

// BenchmarkScale surveys networks in another process, the larger one of a
// million living nodes, where 30 % of all entries are dead and 3 % of packets
// are lost each way. It prints the share of the living that was found, queries
// for each of them, and the memory of this process for each known node at its
// peak: all that came on top of what was resident before, and of that what grew
// from the smaller network to the larger one. The rest is buffers of fixed
// size. What five million would take follows from these two.
func BenchmarkScale(b *testing.B) {
	sizes := residentSizes
	if n, err := strconv.Atoi(os.Getenv("CANOPY_BENCH_NODES")); err == nil {
		sizes = []int{n / 10, n}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // as canopy crawl does
	for range b.N {
		var known, peak [2]float64
		for i, nodes := range sizes {
			known[i], peak[i] = surveyLarge(b, nodes)
		}
		slope := (peak[1] - peak[0]) / (known[1] - known[0])
		fixed := peak[0] - slope*known[0]
		wanted(b, "bytes resident per known node", "resident-B/known", peak[1]/known[1], "<=", 300)
		b.ReportMetric(slope, "growing-B/known")
		b.ReportMetric(fixed/1e6, "fixed-MB")
		const five = 5e6
		share := known[1] / float64(sizes[1])
		b.ReportMetric((fixed+slope*five*share)/1e6, "model-5M-MB")
		b.ReportMetric((fixed+slope*five*share)/(five*share), "model-5M-B/known")
		b.Logf("5 million living nodes, by the model fixed + %.0f B for each known node, from the two runs: %.0f MB, %.0f B per known node",
			slope, (fixed+slope*five*share)/1e6, (fixed+slope*five*share)/(five*share))
	}
}

// surveyLarge surveys one network through the engine.
func surveyLarge(b *testing.B, nodes int) (known, peak float64) {
	network := startSwarm(b, swarmPlan{nodes, 0.3, 0.03})
	cfg := local(network.bootstrap...)
	cfg.ReadTables = false
	pace := crawler.DefaultPace()
	pace.PerPrefix, pace.Global = crawler.Rate{}, crawler.Rate{}
	cfg.Pacer = crawler.NewPacer(pace)
	w := newWalker(b, cfg)
	debug.FreeOSMemory()
	before, heap := resident(b, process.Resident), heapNow()
	if err := process.ForgetPeak(); err != nil {
		b.Fatal(err)
	}
	start, sink, most := used(), &counting{}, uint64(0)
	crawl, err := crawler.Run(b.Context(), w, sink, crawler.Options{
		Scope: observation.ScopeLocal, ProgressEvery: 5 * time.Second,
		Progress: func(p crawler.Progress) { most = max(most, heapNow()-heap) },
	})
	if err != nil {
		b.Fatal(err)
	}
	end := used()
	known, peak = float64(crawl.Discovered), float64(resident(b, process.Peak)-before)
	found, perNode := float64(sink.answered)/float64(network.alive), float64(crawl.Queries)/float64(network.alive)
	wanted(b, "% of the living found", "%found", 100*found, ">=", 99.5)
	wanted(b, "queries per living node", "queries/living", perNode, "<=", 4)
	b.Logf("%d living, %.0f known: found %.3f %%, %.2f queries each, resident +%.1f MB = %.0f B per known node (heap at most +%.1f MB), %.1f CPU-s per million queries, in %s; %s %v",
		network.alive, known, 100*found, perNode, peak/1e6, peak/known, float64(most)/1e6,
		float64((end.cpu-start.cpu).Microseconds())/float64(crawl.Queries), crawl.EndedAt.Sub(crawl.StartedAt).Round(time.Second), crawl.State, crawl.Notes)
	return known, peak
}

func heapNow() uint64 {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return mem.HeapInuse
}

// resident reads one of the memory figures of this process, in bytes.
func resident(b *testing.B, field string) uint64 {
	b.Helper()
	bytes, err := process.Memory(os.Getpid(), field)
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
