package ipfs

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/testnet/process"
)

// What the crawler is held to, printed beside what was measured.
const (
	wantedAll  = "0 missed"
	wantedCost = "at most 2.1 CPU-ms/peer"
	wantedSize = "at most 100 MiB with 1000 peers"
	wantedSame = "0 missed, or degraded with the number of peers in doubt"
)

// figures are what crawls of one plan found and cost this process.
type figures struct {
	crawls, peers, edges, missed, requests int
	degraded, wrong                        int // crawls; living peers missed in crawls that are marked complete
	resident                               float64
	used, took                             time.Duration
}

// measure crawls once and adds it up.
func (f *figures) measure(b *testing.B, plan plannedHosts) *kept {
	forgetPeak()
	before, start := process.CPU(), time.Now()
	k := wholeCrawl(b, plan)
	f.took += time.Since(start)
	f.used += process.CPU() - before
	if peak, err := process.Memory(os.Getpid(), process.Peak); err == nil {
		f.resident = max(f.resident, float64(peak)/(1<<20))
	}
	b.StopTimer()
	defer b.StartTimer()
	peers, edges, missed, requests := compare(b, plan, k.results(b))
	f.crawls, f.peers, f.edges, f.missed, f.requests = f.crawls+1, f.peers+peers, f.edges+edges, f.missed+missed, f.requests+requests
	switch {
	case k.crawl.State != observation.Complete:
		b.Logf("%s: %q", k.crawl.State, k.crawl.Notes)
		f.degraded++
	case missed > 0:
		f.wrong += missed
	}
	return k
}

// report prints the figures, averages where there were several crawls, and what
// was wanted of them.
func (f *figures) report(b *testing.B, wanted ...string) {
	b.Logf("wanted: %s", strings.Join(wanted, ", "))
	n := float64(f.crawls)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(f.took.Seconds()/n, "s")
	b.ReportMetric(float64(f.peers)/n, "peers")
	b.ReportMetric(float64(f.edges)/n, "edges")
	b.ReportMetric(float64(f.missed)/n, "missed")
	b.ReportMetric(float64(f.requests)/float64(max(f.peers, 1)), "requests/peer")
	b.ReportMetric(float64(f.used.Microseconds())/1000/float64(max(f.peers, 1)), "CPU-ms/peer")
	b.ReportMetric(f.resident, "MiB")
	b.ReportMetric(float64(f.degraded), "degraded")
	if f.wrong > 0 {
		b.Errorf("%d living peers or edges missed in crawls marked complete", f.wrong)
	}
}

// BenchmarkWalk crawls planned hosts in another process.
func BenchmarkWalk(b *testing.B) {
	for _, n := range []int{300, 1000, 3000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var f figures
			for plan := startHosts(b, n, 0); b.Loop(); {
				f.measure(b, plan)
			}
			f.report(b, wantedAll, wantedCost, wantedSize)
		})
	}
}

// BenchmarkDeadEntries crawls networks where every fourth entry is dead, and
// tells how long that may take: twice as long as without, and one time-out.
func BenchmarkDeadEntries(b *testing.B) {
	for _, n := range []int{300, 1000, 3000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var living, f figures
			living.measure(b, startHosts(b, n, 0))
			for plan := startHosts(b, n, 0.25); b.Loop(); {
				f.measure(b, plan)
			}
			timeout := Config{}.withDefaults().DialTimeout
			f.report(b, wantedAll, wantedSize, fmt.Sprintf("at most %.2f s (twice %.2f s without dead entries, and one dial time-out of %s)",
				(2*living.took+timeout).Seconds(), living.took.Seconds(), timeout))
		})
	}
}

// BenchmarkBusy crawls beside eight busy loops.
func BenchmarkBusy(b *testing.B) {
	benchmarkStrained(b, func(b *testing.B) { keepBusy(b, 8) })
}

// BenchmarkFewDescriptors crawls with room for 256 descriptors.
func BenchmarkFewDescriptors(b *testing.B) {
	benchmarkStrained(b, func(b *testing.B) { limitDescriptors(b, 256) })
}

// benchmarkStrained crawls where every fourth entry is dead, under a strain.
func benchmarkStrained(b *testing.B, strain func(b *testing.B)) {
	for _, n := range []int{300, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var f figures
			plan := startHosts(b, n, 0.25)
			strain(b)
			for b.Loop() {
				f.measure(b, plan)
			}
			f.report(b, wantedSame)
		})
	}
}

// BenchmarkAgain crawls one network twenty times and counts the peers on whose
// outcome the crawls do not agree.
func BenchmarkAgain(b *testing.B) {
	plan := startHosts(b, 300, 0.25)
	for b.Loop() {
		var f figures
		differ, first := 0, f.measure(b, plan).outcomesByPeer()
		for range 19 {
			differ += differing(first, f.measure(b, plan).outcomesByPeer())
		}
		f.report(b, "0 differing")
		b.ReportMetric(float64(differ), "differing")
	}
}

// forgetPeak gives freed memory back and starts the peak anew.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = process.ForgetPeak() // on Linux; elsewhere there is no peak to read
}
