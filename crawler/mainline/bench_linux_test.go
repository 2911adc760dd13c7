package mainline_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anacrolix/dht/v2"
	anacrolix "github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/log"
	"golang.org/x/time/rate"

	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/testnet"
	swarm "canopy/crawler/testnet/mainline"
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
	fmt.Println("swarm", len(network.Plan().At(0).Alive()), strings.Join(network.Bootstrap(), " "))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// swarmProcess starts a perfect swarm and returns its bootstrap addresses.
func swarmProcess(b *testing.B, nodes int) []string {
	bootstrap, _ := swarmOf(b, swarmPlan{nodes: nodes})
	return bootstrap
}

// swarmOf starts a swarm and returns its bootstrap addresses and how many of
// its nodes are up.
func swarmOf(b *testing.B, p swarmPlan) (bootstrap []string, alive int) {
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
		if rest, ok := strings.CutPrefix(lines.Text(), "swarm "); ok {
			fields := strings.Fields(rest)
			if alive, err = strconv.Atoi(fields[0]); err != nil {
				b.Fatal(err)
			}
			return fields[1:], alive
		}
	}
	b.Fatal("the swarm did not start")
	return nil, 0
}

// cost is what this process has used so far.
type cost struct {
	cpu    time.Duration
	allocs uint64
}

func used(b *testing.B) cost {
	b.Helper()
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return cost{time.Duration(ru.Utime.Nano() + ru.Stime.Nano()), mem.Mallocs}
}

// tally walks everything and keeps figures only.
type tally struct {
	peers, answered, edges, queries int
	some                            []peer // a few thousand that answered
}

func count(ctx context.Context, b *testing.B, w *mainline.Walker) (sum tally) {
	b.Helper()
	seeds, err := w.Seeds(ctx)
	if err != nil {
		b.Fatal(err)
	}
	targets, results := make(chan []peer), make(chan []result)
	done := make(chan error, 1)
	go func() {
		done <- w.Walk(ctx, targets, results)
		close(results)
	}()
	known := map[peer]struct{}{}
	var queue []peer
	add := func(peers []peer) {
		for _, p := range peers {
			if _, ok := known[p]; !ok {
				known[p] = struct{}{}
				queue = append(queue, p)
			}
		}
	}
	add(seeds)
	for targets != nil || results != nil {
		out, batch := targets, queue[:min(len(queue), 64)]
		if len(batch) == 0 {
			out = nil
		}
		if targets != nil && sum.peers == len(known) {
			close(targets)
			targets, out = nil, nil
		}
		select {
		case out <- batch:
			queue = queue[len(batch):]
		case rs, ok := <-results:
			if !ok {
				results = nil
				continue
			}
			for i := range rs {
				r := &rs[i]
				sum.peers++
				sum.queries += int(r.Visit.Queries)
				sum.edges += len(r.Neighbours)
				if r.Visit.Outcome == "answered" {
					sum.answered++
					if len(sum.some) < 4096 {
						sum.some = append(sum.some, r.Peer)
					}
				}
				add(r.Neighbours)
			}
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return sum
}

// BenchmarkWalk reads every table of 20,000 nodes in another process: CPU
// seconds of this process per million queries, allocations per query, and how
// many times more CPU dht.Server.Query takes for a query to the same nodes.
func BenchmarkWalk(b *testing.B) {
	bootstrap := swarmProcess(b, 20000)
	for b.Loop() {
		cfg := local(bootstrap...)
		cfg.Slots = 256 // without latency more would only wait in queues
		w := newWalker(b, cfg)
		before, start := used(b), time.Now()
		sum := count(b.Context(), b, w)
		elapsed, after := time.Since(start), used(b)
		if sum.answered < 10000 {
			b.Fatalf("%+v", sum)
		}
		perQuery := func(x float64) float64 { return x / float64(sum.queries) }
		own := perQuery(float64(after.cpu-before.cpu) / 1e3)
		b.ReportMetric(own, "CPU-s/Mqueries")
		b.ReportMetric(perQuery(float64(after.allocs-before.allocs)), "allocs/query")
		b.ReportMetric(float64(sum.queries)/elapsed.Seconds(), "queries/s")
		b.ReportMetric(float64(sum.queries)/float64(sum.answered), "queries/node")
		b.ReportMetric(float64(sum.answered), "nodes")
		b.ReportMetric(float64(sum.edges), "edges")
		degraded, notes := w.Health()
		b.Logf("degraded %v: %v", degraded, notes)
		b.StopTimer()
		b.ReportMetric(serverQuery(b, sum.some)/own, "times-dht.Server")
		b.StartTimer()
	}
}

// BenchmarkSurvey finds who is there among 20,000 nodes.
func BenchmarkSurvey(b *testing.B) {
	bootstrap := swarmProcess(b, 20000)
	for b.Loop() {
		cfg := local(bootstrap...)
		cfg.ReadTables = false
		sum := count(b.Context(), b, newWalker(b, cfg))
		b.ReportMetric(float64(sum.queries)/float64(sum.answered), "queries/node")
		b.ReportMetric(float64(sum.answered), "nodes")
	}
}

// BenchmarkLoop is the floor: a query sent and a reply received, with no more
// around it.
func BenchmarkLoop(b *testing.B) {
	bootstrap := swarmProcess(b, 1000)
	conn, err := net.Dial("udp", bootstrap[0])
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	query := []byte("d1:ad2:id20:iiiiiiiiiiiiiiiiiiii6:target20:tttttttttttttttttttte1:q9:find_node2:roi1e1:t2:aa1:y1:qe")
	buf := make([]byte, 2048)
	before := used(b)
	for b.Loop() {
		if _, err := conn.Write(query); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(used(b).cpu-before.cpu)/1e3/float64(b.N), "CPU-s/Mqueries")
}

// serverQuery is the CPU time, in microseconds, of one find_node through
// anacrolix/dht in a walk that asks each peer for 16 buckets and keeps who is
// named.
func serverQuery(b *testing.B, peers []peer) float64 {
	b.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s, err := dht.NewServer(&dht.ServerConfig{
		Conn: conn, NoSecurity: true, SendLimiter: rate.NewLimiter(rate.Inf, 1),
		StartingNodes: func() ([]dht.Addr, error) { return nil, nil }, Logger: log.Default.FilterLevel(log.Critical),
		QueryResendDelay: func() time.Duration { return time.Second },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const workers, buckets = 64, 16
	peers = peers[:min(len(peers), 2048)]
	before := used(b)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(peers); i += workers {
				table := map[peer]struct{}{}
				for bit := range buckets {
					target := anacrolix.ID(peers[i].ID)
					target[bit/8] ^= 0x80 >> (bit % 8)
					input := dht.QueryInput{MsgArgs: anacrolix.MsgArgs{Target: target, InfoHash: target}}
					r := s.Query(b.Context(), dht.NewAddr(net.UDPAddrFromAddrPort(peers[i].Addr())), "find_node", input)
					if r.Err != nil {
						continue
					}
					for _, n := range r.Reply.R.Nodes {
						addr, _ := netip.AddrFromSlice(n.Addr.IP)
						table[mainline.NewPeer(krpc.ID(n.ID), netip.AddrPortFrom(addr, uint16(n.Addr.Port)))] = struct{}{}
					}
				}
			}
		})
	}
	wg.Wait()
	return float64(used(b).cpu-before.cpu) / 1e3 / float64(len(peers)*buckets)
}
