package ipfs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"canopy/crawler/observation"
)

// plannedHosts is what the process that runs the hosts tells of them. The
// tables stay in a file until a crawl is over: they would count as its memory.
type plannedHosts struct {
	Seed  string
	Truth string // file with the tables, by peer ID, as JSON
}

// TestHostProcess is no test: benchmarks run it in a process of its own, so
// that the walker's cost can be told from that of the hosts.
func TestHostProcess(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("CANOPY_BENCH_HOSTS"))
	if err != nil {
		t.Skip("runs only for benchmarks")
	}
	nodes := newNodes(t, n)
	mesh(t, nodes)
	tables := make(map[string][]string)
	for _, n := range nodes {
		for _, p := range n.table() {
			tables[n.info.ID.String()] = append(tables[n.info.ID.String()], p.String())
		}
	}
	raw, err := json.Marshal(tables)
	if err != nil {
		t.Fatal(err)
	}
	truth := filepath.Join(t.TempDir(), "tables.json")
	if err := os.WriteFile(truth, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("PLAN %s %s\n", nodes[0].seed(), truth)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
}

func startHosts(b testing.TB, n int) (plan plannedHosts) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHostProcess$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), "CANOPY_BENCH_HOSTS="+strconv.Itoa(n))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	for r := bufio.NewReader(stdout); ; {
		line, err := r.ReadString('\n')
		if raw, ok := strings.CutPrefix(line, "PLAN "); ok {
			if _, err := fmt.Sscan(raw, &plan.Seed, &plan.Truth); err != nil {
				b.Fatal(err)
			}
			return plan
		}
		if err != nil {
			b.Fatalf("read plan of the hosts: %v", err)
		}
	}
}

// BenchmarkWalk crawls planned hosts in another process and reports how much of
// the plan was found and what it cost this process.
func BenchmarkWalk(b *testing.B) {
	for _, n := range []int{300, 1000, 3000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			plan := startHosts(b, n)
			var peers, edges, missed, queries int
			var resident float64
			var used time.Duration
			b.ResetTimer()
			for range b.N {
				forgetPeak()
				before := processorTime(b)
				w := newWalker(b, Config{Bootstrap: []string{plan.Seed}})
				found := crawl(b, w)
				resident = max(resident, residentMiB(b))
				used += processorTime(b) - before
				b.StopTimer()
				p, e, m, q := compare(b, plan, found)
				peers, edges, missed, queries = peers+p, edges+e, missed+m, queries+q
				b.StartTimer()
			}
			b.StopTimer()
			b.ReportMetric(float64(peers)/float64(b.N), "peers")
			b.ReportMetric(float64(edges)/float64(b.N), "edges")
			b.ReportMetric(float64(missed)/float64(b.N), "missed")
			b.ReportMetric(float64(queries)/float64(peers), "requests/peer")
			b.ReportMetric(float64(used.Microseconds())/1000/float64(peers), "CPU-ms/peer")
			b.ReportMetric(resident, "MiB")
		})
	}
}

// compare counts the planned peers and edges that a crawl found and missed.
func compare(b testing.TB, plan plannedHosts, found results) (peers, edges, missed, queries int) {
	raw, err := os.ReadFile(plan.Truth)
	if err != nil {
		b.Fatal(err)
	}
	var tables map[string][]string
	if err := json.Unmarshal(raw, &tables); err != nil {
		b.Fatal(err)
	}
	for text, table := range tables {
		id, err := peer.Decode(text)
		if err != nil {
			b.Fatal(err)
		}
		r := found[id]
		if r.Visit.Outcome != observation.Answered {
			b.Logf("%s: %s %s", id, r.Visit.Outcome, r.Visit.Detail)
			missed++
			continue
		}
		peers++
		queries += int(r.Visit.Queries)
		named := make(map[string]bool)
		for _, p := range r.Neighbours {
			named[p.String()] = true
		}
		for _, p := range table {
			if named[p] {
				edges++
			} else {
				missed++
			}
		}
		if len(r.Neighbours) != len(table) {
			b.Errorf("%s: %d neighbours, planned %d", id, len(r.Neighbours), len(table))
		}
	}
	return peers, edges, missed, queries
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// forgetPeak gives freed memory back and starts the peak of residentMiB anew.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // Linux; elsewhere there is no peak to read
}

// residentMiB reads the most that the process held in memory, 0 where /proc is
// missing.
func residentMiB(b *testing.B) float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb / 1024
}
