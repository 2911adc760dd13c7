package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fickle serves the embedded engine over HTTP as badly as it is told to.
type fickle struct {
	url    string
	whole  http.Handler                                                      // without faults
	fault  atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool] // says whether it has dealt with r
	served atomic.Int64                                                      // inserts that went through
}

func newFickle(t *testing.T) *fickle {
	needEngine(t)
	database := emptyDatabase()
	f := &fickle{whole: servedHandler(t, database, "")}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		insert := strings.HasPrefix(r.URL.Query().Get("query"), "INSERT")
		if fault := f.fault.Load(); fault != nil && insert && (*fault)(w, r) {
			return
		}
		f.whole.ServeHTTP(w, r)
		if insert {
			f.served.Add(1)
		}
	}))
	t.Cleanup(server.Close)
	f.url = server.URL + "/" + database
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
				fault = func(w http.ResponseWriter, r *http.Request) bool {
					f.whole.ServeHTTP(httptest.NewRecorder(), r)
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
