package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/crawler/observation"
)

// soaking says whether to run the long forms, as `make soak` does.
func soaking() bool { return os.Getenv("CANOPY_SOAK") != "" }

// killCrawl is the crawl that all writers of a kill test write to.
var killCrawl = observation.Crawl{ID: observation.CrawlID{6: 0x70, 8: 0x80, 15: 1}, Network: "mainline", StartedAt: time.Unix(1_780_000_000, 0)}

// writeUntilKilled is what the victims do: write visits, numbered from first
// on, and print how many are acknowledged after each flush.
func writeUntilKilled(url, spool string, first int) error {
	ctx := context.Background()
	s, err := Open(ctx, url, Options{Spool: spool, BatchRows: 300, InsertTimeout: 2 * time.Second})
	if err != nil {
		return err
	}
	if err := errors.Join(s.Migrate(ctx), s.BeginCrawl(ctx, killCrawl)); err != nil {
		return err
	}
	fmt.Println(first)
	for n := first; ; {
		for range 3 {
			if err := s.Visits(ctx, numbered(killCrawl, n, 200)); err != nil {
				return err
			}
			n += 200
		}
		if err := s.Flush(ctx); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// serveUntilKilled serves the embedded engine on addr.
func serveUntilKilled(dir, addr string) error {
	ctx := context.Background()
	s, err := Open(ctx, "chdb:"+dir, Options{Spool: NoSpool})
	if err == nil {
		err = s.Migrate(ctx)
	}
	if err != nil {
		return err
	}
	handler, err := s.Handler(ctx, "")
	if err != nil {
		return err
	}
	return http.ListenAndServe(addr, handler) //nolint:gosec // it lives for seconds
}

// child runs this test binary again, as a writer or a server.
func child(t *testing.T, variable string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+strings.Join(args, "\n"))
	cmd.Stderr = os.Stderr
	return cmd
}

// killWriter lets a writer go on until a random moment, and returns how many
// rows it had acknowledged by then.
func killWriter(t *testing.T, url, spool string, first int, within time.Duration, begun func()) int {
	t.Helper()
	cmd := child(t, "CANOPY_TEST_WRITE", url, spool, strconv.Itoa(first))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the writer says %q", lines.Text())
		}
		if acknowledged < 0 { // it has begun: from now on any moment will do
			begun()
			time.AfterFunc(rand.N(within), func() { _ = cmd.Process.Kill() })
		}
		acknowledged = n
	}
	_ = cmd.Wait()
	if acknowledged < 0 {
		t.Fatal("the writer ended before it began")
	}
	return acknowledged
}

// checkKilled compares what was acknowledged with what is there once the spool
// has been replayed.
func checkKilled(t *testing.T, url, spool string, acknowledged int) {
	t.Helper()
	s, err := Open(t.Context(), url, Options{Spool: spool})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows, distinct, there uint64
	err = s.DB().QueryRow(fmt.Sprintf("SELECT count(), uniqExact(number), uniqExactIf(number, number < %d) FROM visits", acknowledged)).Scan(&rows, &distinct, &there)
	if err != nil {
		t.Fatal(err)
	}
	lost, doubled := uint64(acknowledged)-there, rows-distinct
	t.Logf("%d kills, %d rows acknowledged: lost %d, doubled %d", kills(), acknowledged, lost, doubled)
	if acknowledged == 0 || lost != 0 || doubled != 0 {
		t.Errorf("%d rows acknowledged, lost %d, doubled %d", acknowledged, lost, doubled)
	}
	status, err := s.Status(t.Context())
	if err != nil || status.Spool.Segments != 0 || status.Spool.Bad != 0 {
		t.Errorf("spool afterwards: %+v, %v", status.Spool, err)
	}
}

// server is one more process with the engine in it.
type server struct{ cmd *exec.Cmd }

func (s server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func startServer(t *testing.T, dir, addr string) server {
	t.Helper()
	cmd := child(t, "CANOPY_TEST_SERVE", dir, addr)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for { // the listener comes last: then all is up
		res, err := http.Get("http://" + addr + "/ping")
		if err == nil {
			res.Body.Close()
			return server{cmd}
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the server does not start")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freeAddress is one on loopback where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// kills is how many writers are killed: with two, the server is once.
func kills() int {
	switch {
	case soaking():
		return 100
	case testing.Short():
		return 2
	}
	return 4
}

// TestKilledWriters kills writers with SIGKILL at random moments. In the end a
// server reads the store, as this process may have another folder open.
func TestKilledWriters(t *testing.T) {
	needEngine(t)
	dir, addr := t.TempDir(), freeAddress(t)
	spool := t.TempDir()
	acknowledged := 0
	within := 400 * time.Millisecond
	for round := 0; round < kills() || acknowledged == 0; round++ { // a busy machine may do nothing in time
		acknowledged = killWriter(t, "chdb:"+dir, spool, acknowledged, within, func() {})
		if acknowledged == 0 {
			within *= 2
		}
	}
	server := startServer(t, dir, addr)
	defer server.stop()
	checkKilled(t, "http://"+addr+"/canopy", spool, acknowledged)
}

// TestKilledServed kills the writers, and now and then the server that they
// write to.
func TestKilledServed(t *testing.T) {
	needEngine(t)
	dir, addr := t.TempDir(), freeAddress(t)
	server := startServer(t, dir, addr)
	defer func() { server.stop() }()
	spool := t.TempDir()
	acknowledged := 0
	within := time.Second
	for round := 0; round < kills() || acknowledged == 0; round++ {
		var outage sync.WaitGroup
		acknowledged = killWriter(t, "http://"+addr+"/canopy", spool, acknowledged, within, func() {
			if round%3 != 1 {
				return
			}
			outage.Go(func() { // the server dies under the writer, and comes back for the next one
				<-time.After(rand.N(time.Second / 2))
				server.stop()
			})
		})
		outage.Wait()
		if acknowledged == 0 {
			within *= 2
		}
		if round%3 == 1 {
			server = startServer(t, dir, addr)
		}
	}
	checkKilled(t, "http://"+addr+"/canopy", spool, acknowledged)
}
