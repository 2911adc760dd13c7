package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
)

// TestDamagedSpool damages segments in every way; the others are delivered.
func TestDamagedSpool(t *testing.T) {
	ctx := context.Background()
	f := newFickle(t)
	dir := t.TempDir()
	s := migrated(t, f.url, Options{Spool: dir})
	sp := newSpool(s.spool.dir, 1<<30, slog.New(slog.DiscardHandler))
	c := newCrawl("mainline")
	for i := range 6 {
		b, err := encodeBlock("visits_log", visitColumns, [][]observation.Visit{numbered(c, i*10, 10)}, 10)
		if err != nil {
			t.Fatal(err)
		}
		if i == 5 {
			b.columns[0] = "no_such_column" // whole, but not for this store
		}
		if err := sp.add(b); err != nil {
			t.Fatal(err)
		}
	}
	paths := sp.segments
	damage(t, paths[1].path, func(raw []byte) []byte { return raw[:len(raw)/2] })
	damage(t, paths[2].path, func(raw []byte) []byte { raw[len(raw)-1] ^= 1; return raw })
	damage(t, paths[3].path, func([]byte) []byte { return nil })
	if err := os.WriteFile(filepath.Join(sp.own, "0000000000000009-visits_log-10.segment.tmp"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	sp.locks[0].Unlock() // its process dies
	if err := s.recover(ctx); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, "SELECT groupArray(n) FROM (SELECT DISTINCT intDiv(number, 10) AS n FROM visits ORDER BY n)", "[0 4]")
	status, err := spoolStatus(s.spool.dir)
	if err != nil || status.Segments != 0 || status.Bad != 4 {
		t.Errorf("spool afterwards: %+v, %v; want 4 set aside", status, err)
	}
	if left, _ := filepath.Glob(filepath.Join(sp.own, "*.tmp")); len(left) > 0 {
		t.Errorf("half-written %v stays", left)
	}
}

func damage(t *testing.T, path string, do func([]byte) []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, do(raw), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFullSpool pauses the crawl, and tells it after a while; nothing that was
// taken over is lost.
func TestFullSpool(t *testing.T) {
	ctx := context.Background()
	f := newFickle(t)
	s := migrated(t, f.url, Options{BatchRows: 100, MaxPending: 500, FlushEvery: time.Millisecond, Spool: t.TempDir(), SpoolBytes: 8 << 10, StallLimit: 100 * time.Millisecond})
	c := newCrawl("mainline")
	if err := s.BeginCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	f.fail(insertFaults["Away"])
	accepted := 0
	var err error
	for err == nil && accepted < 100_000 {
		if err = s.Visits(ctx, numbered(c, accepted, 100)); err == nil {
			accepted += 100
		}
	}
	if !errors.Is(err, errSpoolFull) || accepted < 600 {
		t.Errorf("after %d rows: %v; want a full spool", accepted, err)
	}
	f.mend()
	s.opt.StallLimit = time.Minute
	if err := s.Visits(ctx, numbered(c, accepted, 100)); err != nil { // it pauses until there is room
		t.Fatal(err)
	}
	if err := s.EndCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, "SELECT count() FROM visits", fmt.Sprint(accepted+100))
	wantRows(t, s, "SELECT state, arrayExists(n -> n LIKE '%stood still%', notes) FROM crawls", "degraded 1")
}

// TestSpoolFolderGone loses the folder while rows wait in it: that is noticed,
// and the next rows find a new one.
func TestSpoolFolderGone(t *testing.T) {
	ctx := context.Background()
	f := newFickle(t)
	s := migrated(t, f.url, Options{Spool: t.TempDir(), InsertTimeout: time.Second})
	c := newCrawl("mainline")
	if err := s.BeginCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	f.fail(insertFaults["Away"])
	if err := errors.Join(s.Visits(ctx, numbered(c, 0, 10)), s.Flush(ctx)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.spool.dir); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Visits(ctx, numbered(c, 10, 10)), s.Flush(ctx)); err != nil {
		t.Fatal(err)
	}
	f.mend()
	if err := s.EndCrawl(ctx, c); err == nil || !strings.Contains(err.Error(), "20 visits sent, 10 stored") {
		t.Errorf("EndCrawl after a segment was lost: %v", err)
	}
}

// TestSpoolCannotBeWritten keeps rows in memory where a file stands in the way
// of the folder.
func TestSpoolCannotBeWritten(t *testing.T) {
	ctx := context.Background()
	f := newFickle(t)
	file := filepath.Join(t.TempDir(), "file")
	s := migrated(t, f.url, Options{Spool: filepath.Join(t.TempDir(), "spool")})
	s.spool.dir = file // where nothing can be made
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCrawl("mainline")
	if err := s.BeginCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	f.fail(insertFaults["Away"])
	if err := s.Visits(ctx, numbered(c, 0, 10)); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); err == nil || !strings.Contains(err.Error(), "--spool") {
		t.Errorf("flush with neither store nor spool: %v", err)
	}
	f.mend()
	if err := s.EndCrawl(ctx, c); err != nil {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count() FROM visits", "10")
}

// TestSpoolsOfTwoProcesses: each minds its own folder.
func TestSpoolsOfTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	b := &block{table: "visits_log", columns: []string{"number"}, rows: 1, data: []byte("x")}
	one, two := newSpool(dir, 1<<20, quiet), newSpool(dir, 1<<20, quiet)
	if err := errors.Join(one.add(b), two.adopt(), two.add(b)); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := two.pending(); n != 1 {
		t.Errorf("the second holds %d segments: it took from the first, which lives", n)
	}
	one.close()
	if err := two.adopt(); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := two.pending(); n != 2 {
		t.Errorf("the second holds %d segments after the first has gone; want 2", n)
	}
}

// TestUnreachable is quick and names the address.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	for _, scheme := range []string{"http", "clickhouse"} {
		_, err := Open(context.Background(), scheme+"://me:s3cret@"+addr+"/db", Options{})
		if err == nil || !strings.Contains(err.Error(), addr) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func FuzzDecodeSegment(f *testing.F) {
	b, err := encodeBlock("visits_log", visitColumns, [][]observation.Visit{numbered(observation.Crawl{}, 0, 3)}, 3)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := encodeSegment(b)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := decodeSegment(raw)
		if err != nil {
			return
		}
		again, err := encodeSegment(b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeSegment(again)
		if err != nil || !bytes.Equal(back.data, b.data) || back.table != b.table || back.rows != b.rows {
			t.Fatalf("a segment that was read changes when it is written again: %v", err)
		}
	})
}

// TestSlowWayIsTheSame sends a block row by row, as to a server's native port.
func TestSlowWayIsTheSame(t *testing.T) {
	ctx := context.Background()
	needEngine(t)
	s := migrated(t, "chdb:"+dataDir+"?database="+emptyDatabase(), Options{})
	c := newCrawl("mainline")
	visits := hostileVisits(c)
	b, err := encodeBlock("visits_log", visitColumns, [][]observation.Visit{visits}, len(visits))
	if err != nil {
		t.Fatal(err)
	}
	const sum = "SELECT count(), sum(cityHash64(*)) FROM visits"
	if err := s.insertHTTP(ctx, b); err != nil {
		t.Fatal(err)
	}
	var n, want, got uint64
	if err := s.DB().QueryRow(sum).Scan(&n, &want); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Exec(ctx, "TRUNCATE TABLE visits_log"); err != nil {
		t.Fatal(err)
	}
	if err := s.insertNative(ctx, b); err != nil {
		t.Fatal(err)
	}
	if err := s.DB().QueryRow(sum).Scan(&n, &got); err != nil || got != want || n != uint64(len(visits)) {
		t.Errorf("%d rows with sum %d, want %d with %d: %v", n, got, len(visits), want, err)
	}
}
