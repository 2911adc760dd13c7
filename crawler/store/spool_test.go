package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store/chdb"
)

// fickle serves the embedded engine over HTTP as badly as it is told to.
type fickle struct {
	url    string
	fault  atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool] // says whether it has dealt with r
	served atomic.Int64                                                      // inserts that went through
}

func newFickle(t *testing.T) *fickle {
	needEngine(t)
	engine, err := chdb.Open(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	f := &fickle{}
	whole := engine.Handler(chdb.ServeOptions{AllowWrites: true})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		insert := strings.HasPrefix(r.URL.Query().Get("query"), "INSERT")
		if fault := f.fault.Load(); fault != nil && insert && (*fault)(w, r) {
			return
		}
		whole.ServeHTTP(w, r)
		if insert {
			f.served.Add(1)
		}
	}))
	t.Cleanup(func() {
		server.Close()
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	f.url = server.URL + "/" + newDatabase()
	return f
}

func (f *fickle) fail(fault func(w http.ResponseWriter, r *http.Request) bool) { f.fault.Store(&fault) }
func (f *fickle) mend()                                                        { f.fault.Store(nil) }

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		c.Close()
	}
}

var insertFaults = map[string]func(w http.ResponseWriter, r *http.Request) bool{
	"Away": func(w http.ResponseWriter, _ *http.Request) bool { hangUp(w); return true },
	"CutInMidInsert": func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.CopyN(io.Discard, r.Body, 100)
		hangUp(w)
		return true
	},
	"ErrorInMidAnswer": func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "Code: 241. DB::Exception: Memory limit (total) exceeded. (MEMORY_LIMIT_EXCEEDED)")
		return true
	},
	"Refused": func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X-ClickHouse-Exception-Code", "252")
		http.Error(w, "Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS)", http.StatusInternalServerError)
		return true
	},
	"Slow": func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done() // until the client's patience ends
		return true
	},
	"TakenWithoutAWord": nil, // see below: stored, but the answer is lost
}

// TestOutages takes the server away in the midst of a crawl, and back.
func TestOutages(t *testing.T) {
	for name, fault := range insertFaults {
		t.Run(name, func(t *testing.T) {
			f := newFickle(t)
			if fault == nil {
				whole, err := chdb.Open(dataDir)
				if err != nil {
					t.Fatal(err)
				}
				defer whole.Close()
				fault = func(w http.ResponseWriter, r *http.Request) bool {
					whole.Handler(chdb.ServeOptions{AllowWrites: true}).ServeHTTP(httptest.NewRecorder(), r)
					hangUp(w)
					return true
				}
			}
			s := migrated(t, f.url, Options{BatchRows: 100, FlushEvery: time.Millisecond, Spool: t.TempDir(), InsertTimeout: 300 * time.Millisecond})
			testOutageWith(t, s, f, fault)
		})
	}
}

func testOutageWith(t *testing.T, s *Store, f *fickle, fault func(http.ResponseWriter, *http.Request) bool) {
	ctx := context.Background()
	c := newCrawl("mainline")
	if err := errors.Join(s.BeginCrawl(ctx, c), s.Visits(ctx, numbered(c, 0, 300)), s.Flush(ctx)); err != nil {
		t.Fatal(err)
	}
	f.fail(fault)
	for i := 300; i < 1300; i += 100 {
		if err := s.Visits(ctx, numbered(c, i, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatalf("with a spool a flush needs no store: %v", err)
	}
	status, err := spoolStatus(s.spool.dir)
	if err != nil || status.Rows == 0 || status.Bad != 0 {
		t.Errorf("spool during the outage: %+v, %v", status, err)
	}
	f.mend()
	if err := s.EndCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, "SELECT count(), uniqExact(number), max(number) FROM visits", "1300 1300 1299")
	wantRows(t, s, "SELECT state FROM crawls", "complete")
	if status, err := spoolStatus(s.spool.dir); err != nil || status.Segments != 0 {
		t.Errorf("spool afterwards: %+v, %v", status, err)
	}
}

// TestCrawlEndsDuringOutage marks the crawl, and the next run brings its rows.
func TestCrawlEndsDuringOutage(t *testing.T) {
	ctx := context.Background()
	f := newFickle(t)
	spool := t.TempDir()
	first, err := Open(ctx, f.url, Options{Spool: spool, SettleWithin: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	c := newCrawl("mainline")
	if err := first.BeginCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	f.fail(insertFaults["Away"])
	if err := first.Visits(ctx, numbered(c, 0, 100)); err != nil {
		t.Fatal(err)
	}
	if err := first.EndCrawl(ctx, c); !errors.Is(err, ErrSpooled) {
		t.Fatalf("EndCrawl during an outage: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	f.mend()
	var log bytes.Buffer
	second := migrated(t, f.url, Options{Spool: spool, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	wantRows(t, second, "SELECT count() FROM visits", "100")
	wantRows(t, second, "SELECT state, length(notes) FROM crawls", fmt.Sprint("degraded ", len(c.Notes)+1))
	if !strings.Contains(log.String(), "an earlier run") {
		t.Errorf("nothing is said of what was left: %s", log.String())
	}
}

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
	s := migrated(t, "chdb:"+dataDir+"?database="+newDatabase(), Options{})
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
