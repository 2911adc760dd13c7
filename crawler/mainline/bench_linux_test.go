package mainline_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"canopy/crawler"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
	swarm "canopy/crawler/testnet/mainline"
	"canopy/crawler/testnet/process"
)

const swarmEnv = "CANOPY_TEST_SWARM" // set in the process that runs the swarm of a benchmark

// swarmPlan is the swarm of a benchmark.
type swarmPlan struct {
	nodes int     // that are alive
	dead  float64 // share of table entries
	loss  float64 // share of packets, each way
}

// TestSwarmProcess is the swarm of a benchmark, in a process of its own so that
// its CPU time and memory are not the walker's. It ends with its standard
// input.
func TestSwarmProcess(t *testing.T) {
	var p swarmPlan
	if _, err := fmt.Sscan(os.Getenv(swarmEnv), &p.nodes, &p.dead, &p.loss); err != nil {
		t.Skip("only for benchmarks, which start it themselves")
	}
	population := swarm.Population()
	for i := range population.Personas { // everybody who is no dead entry is up
		population.Personas[i].Churn = testnet.Churn{}
	}
	network := startPopulation(t, population, testnet.Size{Nodes: p.nodes, Dead: p.dead}, swarm.Options{Loss: p.loss})
	view := network.Plan().At(0)
	edges := 0
	for _, number := range view.Alive() {
		edges += len(view.Table(int(number)))
	}
	fmt.Println("swarm", len(view.Alive()), edges, strings.Join(network.Bootstrap(), " "))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// runningSwarm is one that runs in another process.
type runningSwarm struct {
	bootstrap    []string
	alive, edges int // nodes that are up, and the entries of their tables
}

// startSwarm starts a swarm in another process.
func startSwarm(b *testing.B, p swarmPlan) (s runningSwarm) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestSwarmProcess$", "-test.timeout=60m")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %g %g", swarmEnv, p.nodes, p.dead, p.loss))
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var entry string
		if n, _ := fmt.Sscanf(lines.Text(), "swarm %d %d %s", &s.alive, &s.edges, &entry); n == 3 {
			s.bootstrap = strings.Fields(lines.Text())[3:]
			return s
		}
	}
	b.Fatal("the swarm did not start")
	return s
}

// cost is what this process has used so far.
type cost struct {
	cpu    time.Duration
	allocs uint64
}

func used() cost {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return cost{process.CPU(), mem.Mallocs}
}

// counting is a sink that keeps figures only.
type counting struct{ visits, answered, edges int }

func (c *counting) BeginCrawl(context.Context, observation.Crawl) error { return nil }
func (c *counting) EndCrawl(context.Context, observation.Crawl) error   { return nil }
func (c *counting) Edges(_ context.Context, batch []observation.Edge) error {
	for i := range batch {
		c.edges += len(batch[i].Neighbours)
	}
	return nil
}
func (c *counting) Visits(_ context.Context, batch []observation.Visit) error {
	c.visits += len(batch)
	for i := range batch {
		if batch[i].Outcome == observation.Answered {
			c.answered++
		}
	}
	return nil
}

// walked is what one crawl of a benchmark found and used.
type walked struct {
	counting
	queries, cpu, allocs float64 // CPU time in microseconds
	seconds              float64
	crawl                observation.Crawl
}

func (w *walked) String() string {
	return fmt.Sprintf("%d nodes, %d edges, %.0f queries, %.2f CPU-s and %.2f s per million of them, %.3f allocations each; %s %v",
		w.answered, w.edges, w.queries, w.cpu/w.queries, w.seconds*1e6/w.queries, w.allocs/w.queries, w.crawl.State, w.crawl.Notes)
}

// walkWhole crawls through the engine into a counting sink.
func walkWhole(b *testing.B, w crawler.Walker[peer]) *walked {
	b.Helper()
	sum := &walked{}
	runtime.GC()
	before, start := used(), time.Now()
	crawl, err := crawler.Run(b.Context(), w, &sum.counting, crawler.Options{Scope: observation.ScopeLocal, Edges: true})
	if err != nil {
		b.Fatal(err)
	}
	after := used()
	sum.crawl, sum.queries, sum.seconds = crawl, float64(crawl.Queries), time.Since(start).Seconds()
	sum.cpu, sum.allocs = float64((after.cpu-before.cpu).Nanoseconds())/1e3, float64(after.allocs-before.allocs)
	return sum
}

// BenchmarkWalk reads every table of 20,000 nodes in another process: CPU
// seconds of this process per million queries, allocations per query, and how
// many times more CPU the same walk takes with dht.Server.Query: the same
// engine and sink, the same questions to the same nodes.
func BenchmarkWalk(b *testing.B) {
	network := startSwarm(b, swarmPlan{nodes: 20000})
	for b.Loop() {
		cfg := local(network.bootstrap...)
		cfg.Slots = 256 // without latency more would only wait in queues
		w := newWalker(b, cfg)
		own := walkWhole(b, w)
		b.StopTimer()
		theirs := walkWhole(b, newServerWalker(b, w))
		b.Logf("Canopy:     %v", own)
		b.Logf("dht.Server: %v", theirs)
		perQuery := own.cpu / own.queries
		wanted(b, "found", "%nodes", 100*float64(own.answered)/float64(network.alive), ">=", 100)
		wanted(b, "read", "%edges", 100*float64(own.edges)/float64(network.edges), ">=", 100)
		wanted(b, "CPU seconds per million queries", "CPU-s/Mqueries", perQuery, "<=", 6)
		wanted(b, "allocations per query", "allocs/query", own.allocs/own.queries, "<=", 1)
		wanted(b, "times less CPU per query than dht.Server.Query", "times-dht.Server", theirs.cpu/theirs.queries/perQuery, ">=", 8)
		b.ReportMetric(own.queries/own.seconds, "queries/s")
		b.ReportMetric(own.queries/float64(own.answered), "queries/node")
		b.StartTimer()
	}
}

// wanted reports a figure and prints the limit that it is held against.
func wanted(b *testing.B, what, unit string, measured float64, relation string, limit float64) {
	b.Helper()
	met := measured >= limit
	if relation == "<=" {
		met = measured <= limit
	}
	verdict := "met"
	if !met {
		verdict = "MISSED"
	}
	b.ReportMetric(measured, unit)
	b.Logf("wanted %s %g, measured %.4g: %s (%s)", relation, limit, measured, verdict, what)
}

// BenchmarkSurvey finds who is there among 20,000 nodes.
func BenchmarkSurvey(b *testing.B) {
	network := startSwarm(b, swarmPlan{nodes: 20000})
	for b.Loop() {
		cfg := local(network.bootstrap...)
		cfg.ReadTables = false
		sum := walkWhole(b, newWalker(b, cfg))
		b.ReportMetric(sum.queries/float64(sum.answered), "queries/node")
		b.ReportMetric(float64(sum.answered), "nodes")
	}
}

// BenchmarkLoop is the floor: a query sent and a reply received, with no more
// around it.
func BenchmarkLoop(b *testing.B) {
	conn, err := net.Dial("udp", startSwarm(b, swarmPlan{nodes: 1000}).bootstrap[0])
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	query := []byte("d1:ad2:id20:iiiiiiiiiiiiiiiiiiii6:target20:tttttttttttttttttttte1:q9:find_node2:roi1e1:t2:aa1:y1:qe")
	buf := make([]byte, 2048)
	before := used()
	for b.Loop() {
		if _, err := conn.Write(query); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(used().cpu-before.cpu)/1e3/float64(b.N), "CPU-s/Mqueries")
}
