package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const diskVariable = "CANOPY_TEST_DISK"

// TestDiskFull writes to an embedded store on a disk of 64 MB, in a mount
// namespace of its own, until nothing goes in any more.
func TestDiskFull(t *testing.T) {
	if dir := os.Getenv(diskVariable); dir != "" {
		testDiskFull(t, dir)
		return
	}
	needEngine(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
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
