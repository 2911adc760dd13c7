package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"canopy/crawler/testnet/process"
)

const diskVariable = "CANOPY_TEST_DISK"

// inMountNamespace runs the test again in a process that may mount what it
// likes on dir.
func inMountNamespace(t *testing.T, run func(t *testing.T, dir string)) {
	if dir := os.Getenv(diskVariable); dir != "" {
		run(t, dir)
		return
	}
	needEngine(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), diskVariable+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("a mount namespace needs root")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestDiskFull writes to an embedded store on a disk of 64 MB until nothing
// goes in any more.
func TestDiskFull(t *testing.T) { inMountNamespace(t, testDiskFull) }

// TestReadOnlySpool keeps rows in memory while the spool's disk takes none,
// says which folder it is, and loses nothing.
func TestReadOnlySpool(t *testing.T) { inMountNamespace(t, testReadOnlySpool) }

func testReadOnlySpool(t *testing.T, dir string) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	f := newFickle(t)
	s := migrated(t, f.url, Options{Spool: dir})
	c := newCrawl("mainline")
	if err := s.BeginCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	f.fail(insertFaults["Away"])
	if err := s.Visits(ctx, numbered(c, 0, 10)); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--spool") {
		t.Errorf("flush with neither store nor spool: %v", err)
	}
	f.mend()
	if err := s.EndCrawl(ctx, c); err != nil {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count() FROM visits", "10")
}

func testDiskFull(t *testing.T, dir string) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s, err := Open(ctx, "chdb:"+filepath.Join(dir, "record"), Options{BatchRows: 20_000, MaxPending: 40_000, StallLimit: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	c := newCrawl("mainline")
	if err := errors.Join(s.Migrate(ctx), s.BeginCrawl(ctx, c)); err != nil {
		t.Fatal(err)
	}
	visits := madeUpVisits(c, 20_000)
	accepted := 0
	for err == nil && accepted < 4_000_000 {
		batch := append(visits[:0:0], visits...)
		for i := range batch {
			batch[i].Number = uint32(accepted + i)
		}
		if err = s.Visits(ctx, batch); err == nil {
			accepted += len(batch)
		}
	}
	if !errors.Is(err, errSpoolFull) {
		t.Fatalf("after %d rows: %v; want a full disk", accepted, err)
	}
	if err := os.Remove(ballast); err != nil { // the steward makes room
		t.Fatal(err)
	}
	if err := s.EndCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, "SELECT count() FROM visits", fmt.Sprint(accepted))
	wantRows(t, s, "SELECT state FROM crawls", "degraded")
	t.Logf("%d rows were taken over before the disk was full, and all are there", accepted)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestSoakOutage takes the server, which is another process, away while 20,000
// visits come in each second: for ten minutes, or for as long as CANOPY_SOAK
// says (as 60s).
func TestSoakOutage(t *testing.T) {
	if !soaking() {
		t.Skip("`make soak` runs this; TestOutages is its short form")
	}
	needEngine(t)
	const rate, batch = 20_000, 2000
	ctx := context.Background()
	dir, addr := t.TempDir(), freeAddress(t)
	server := startServer(t, dir, addr)
	defer func() { server.stop() }()
	s, err := Open(ctx, "http://"+addr+"/canopy", Options{Spool: t.TempDir(), SettleWithin: 20 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	c := newCrawl("mainline")
	if err := errors.Join(s.Migrate(ctx), s.BeginCrawl(ctx, c)); err != nil {
		t.Fatal(err)
	}
	visits := madeUpVisits(c, 200_000)
	server.stop()
	outage := 10 * time.Minute
	if d, err := time.ParseDuration(os.Getenv("CANOPY_SOAK")); err == nil {
		outage = d
	}
	sent, began, processor := 0, time.Now(), process.CPU()
	beat := time.NewTicker(time.Second * batch / rate)
	defer beat.Stop()
	for time.Since(began) < outage {
		<-beat.C
		some := append(visits[:0:0], visits[sent%len(visits):][:batch]...)
		for i := range some {
			some[i].Number = uint32(sent + i)
		}
		if err := s.Visits(ctx, some); err != nil {
			t.Fatal(err)
		}
		sent += batch
	}
	took, spooled := time.Since(began), s.SpooledBytes()
	server = startServer(t, dir, addr)
	began = time.Now()
	if err := s.EndCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, "SELECT count(), uniqExact(number) FROM visits", fmt.Sprint(sent, sent))
	wantRows(t, s, "SELECT state FROM crawls", "complete")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	ours, err := process.Memory(os.Getpid(), process.Peak)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := process.Memory(server.cmd.Process.Pid, process.Peak)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d visits in %s without a server (%.0f/s, %s of processor): %d MiB spooled, taken in %s, none lost, none doubled",
		sent, took.Round(time.Second), float64(sent)/took.Seconds(), (process.CPU() - processor).Round(time.Second), spooled>>20, time.Since(began).Round(time.Second))
	t.Logf("at most %d MiB resident, the visits to send among them; the server %d MiB", ours>>20, theirs>>20)
	if ours>>20 > 512 {
		t.Errorf("%d MiB resident, want at most 512", ours>>20)
	}
}
