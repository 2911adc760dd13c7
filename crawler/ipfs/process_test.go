package ipfs

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"canopy/crawler"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
	testipfs "canopy/crawler/testnet/ipfs"
)

// plannedHosts is what the process that runs the hosts tells of them. The
// tables stay in a file until a crawl is over: they would count as its memory.
type plannedHosts struct {
	Bootstrap []string
	Truth     string // file with the tables of the living, by peer ID, as JSON
}

// TestHostProcess is no test: others run it in a process of its own, so that
// the walker's cost can be told from that of the hosts.
func TestHostProcess(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("CANOPY_BENCH_HOSTS"))
	if err != nil {
		t.Skip("runs only for other tests")
	}
	dead, err := strconv.ParseFloat(os.Getenv("CANOPY_BENCH_DEAD"), 64)
	if err != nil {
		t.Fatal(err)
	}
	population := testipfs.Population()
	for i := range population.Personas {
		population.Personas[i].Churn = testnet.Churn{} // nobody comes or goes
	}
	plan, err := testnet.New(population, testnet.Size{Nodes: n, Dead: dead, Horizon: time.Hour}, 1)
	if err != nil {
		t.Fatal(err)
	}
	running, err := testipfs.Start(t.Context(), plan, testipfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tables := make(map[string][]string)
	view := plan.At(0)
	for _, number := range view.Alive() {
		table := []string{}
		for _, entry := range view.Table(int(number)) {
			table = append(table, plan.Nodes[entry].ID)
		}
		tables[plan.Nodes[number].ID] = table
	}
	out := plannedHosts{running.Bootstrap(), filepath.Join(t.TempDir(), "tables.json")}
	raw, err := json.Marshal(tables)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out.Truth, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("PLAN %s\n", line)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
	if err := running.Close(); err != nil {
		t.Error(err)
	}
}

// TestBusyProcess is no test: others run it to keep a processor busy.
func TestBusyProcess(t *testing.T) {
	if os.Getenv("CANOPY_BENCH_BUSY") == "" {
		t.Skip("runs only for other tests")
	}
	runtime.GOMAXPROCS(2) // the loop, and who waits for the end
	var over atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		over.Store(true)
	}()
	for !over.Load() { // to spin is its purpose
	}
}

// startProcess runs one of the tests above until b ends, and returns what it
// prints.
func startProcess(b testing.TB, name string, env ...string) *bufio.Reader {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), env...)
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
	return bufio.NewReader(stdout)
}

// startHosts runs n hosts; dead is the share of the entries of their tables
// that nobody answers, half of them refused and half silent.
func startHosts(b testing.TB, n int, dead float64) (plan plannedHosts) {
	b.Helper()
	out := startProcess(b, "TestHostProcess", "CANOPY_BENCH_HOSTS="+strconv.Itoa(n), fmt.Sprintf("CANOPY_BENCH_DEAD=%g", dead))
	for {
		line, err := out.ReadString('\n')
		if raw, ok := strings.CutPrefix(line, "PLAN "); ok {
			if err := json.Unmarshal([]byte(raw), &plan); err != nil {
				b.Fatal(err)
			}
			return plan
		}
		if err != nil {
			b.Fatalf("read plan of the hosts: %v", err)
		}
	}
}

// keepBusy runs loops beside the test.
func keepBusy(b testing.TB, loops int) {
	for range loops {
		startProcess(b, "TestBusyProcess", "CANOPY_BENCH_BUSY=1")
	}
}

// kept is a crawl that was kept in memory.
type kept struct {
	crawl  observation.Crawl
	visits []observation.Visit
	edges  []observation.Edge
}

func (k *kept) BeginCrawl(context.Context, observation.Crawl) error { return nil }

func (k *kept) Visits(_ context.Context, v []observation.Visit) error {
	k.visits = append(k.visits, v...)
	return nil
}

func (k *kept) Edges(_ context.Context, e []observation.Edge) error {
	k.edges = append(k.edges, e...)
	return nil
}

func (k *kept) EndCrawl(_ context.Context, c observation.Crawl) error {
	k.crawl = c
	return nil
}

// results puts visits and edges together again.
func (k *kept) results(b testing.TB) results {
	peers, found := make(map[uint32]Peer), make(results)
	for _, v := range k.visits {
		id, err := peer.Decode(v.PeerID)
		if err != nil {
			b.Fatal(err)
		}
		peers[v.Number] = id
		found[id] = observation.Result[Peer]{Peer: id, Visit: v}
	}
	for _, e := range k.edges {
		r := found[peers[e.Peer]]
		for _, n := range e.Neighbours {
			r.Neighbours = append(r.Neighbours, peers[n])
		}
		found[r.Peer] = r
	}
	return found
}

// wholeCrawl walks from the plan's entry points as the program does, second
// pass included.
func wholeCrawl(b testing.TB, plan plannedHosts) *kept {
	b.Helper()
	w := newWalker(b, Config{Bootstrap: plan.Bootstrap})
	k := new(kept)
	if _, err := crawler.Run(b.Context(), w, k, crawler.Options{Edges: true}); err != nil {
		b.Fatal(err)
	}
	return k
}

// outcomesByPeer is what a crawl concludes, so that crawls can be compared.
func (k *kept) outcomesByPeer() map[string]observation.Outcome {
	all := make(map[string]observation.Outcome)
	for _, v := range k.visits {
		all[v.PeerID] = v.Outcome
	}
	return all
}

// differing counts the peers that two crawls do not agree upon.
func differing(a, b map[string]observation.Outcome) (n int) {
	for p := range a {
		if a[p] != b[p] {
			n++
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			n++
		}
	}
	return n
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
		if len(r.Neighbours) > len(table) {
			b.Errorf("%s: %d neighbours, planned %d", id, len(r.Neighbours), len(table))
		}
	}
	return peers, edges, missed, queries
}
