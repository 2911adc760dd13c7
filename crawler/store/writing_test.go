package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/crawler/observation"
)

func testReplay(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	c := newCrawl("mainline")
	other := newCrawl("mainline") // same numbers, another crawl
	store(t, s, other, numbered(other, 0, 10), nil)
	edges := []observation.Edge{{CrawlID: c.ID, Network: c.Network, Peer: 1, Neighbours: []uint32{2}}}
	for range 3 {
		store(t, s, c, numbered(c, 0, 100), edges)
	}
	// Rows given again within one crawl, before and after a flush.
	if err := errors.Join(s.Visits(ctx, numbered(c, 0, 100)), s.Visits(ctx, numbered(c, 50, 50)), s.Flush(ctx), s.Visits(ctx, numbered(c, 90, 10)), s.Edges(ctx, edges)); err != nil {
		t.Fatal(err)
	}
	if err := s.EndCrawl(ctx, c); err != nil {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count(), uniqExact(number) FROM visits WHERE crawl_id = '"+c.ID.String()+"'", "100 100")
	wantRows(t, s, "SELECT count() FROM edges", "1")
	wantRows(t, s, "SELECT state, count() FROM crawls GROUP BY state", "complete 2")
}

func testReconcile(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	c := newCrawl("mainline")
	if err := errors.Join(s.BeginCrawl(ctx, c), s.Visits(ctx, numbered(c, 0, 12)), s.Flush(ctx)); err != nil {
		t.Fatal(err)
	}
	asOwner(t, s, "TRUNCATE TABLE %s.visits_log")
	if err := s.Visits(ctx, numbered(c, 12, 5)); err != nil {
		t.Fatal(err)
	}
	err := s.EndCrawl(ctx, c)
	if err == nil || !strings.Contains(err.Error(), "17 visits sent, 5 stored") {
		t.Errorf("EndCrawl after 12 of 17 rows were lost: %v", err)
	}
	wantRows(t, s, "SELECT state, ended_at FROM crawls", "running <nil>")
}

// testCancelledContext cancels writers in the midst of blocking on a full
// store and of a flush: what Visits accepted must still arrive.
func testCancelledContext(t *testing.T, url string) {
	s := migrated(t, url, Options{BatchRows: 500, MaxPending: 1000, FlushEvery: time.Millisecond})
	c := newCrawl("mainline")
	if err := s.BeginCrawl(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	accepted, refused := 0, 0
	var wg sync.WaitGroup
	for w := range 4 {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		wg.Go(func() {
			for i := range 60 {
				if i == 10+10*w {
					cancel()
				}
				err := s.Visits(ctx, numbered(c, (w*100+i)*100, 100))
				if i%7 == 0 {
					_ = s.Flush(ctx) // an error here is no loss
				}
				mu.Lock()
				if err == nil {
					accepted += 100
				} else {
					refused++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := s.EndCrawl(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows accepted, %d batches refused", accepted, refused)
	wantRows(t, s, "SELECT count() FROM visits", fmt.Sprint(accepted))

	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.EndCrawl(cancelled, c); !errors.Is(err, context.Canceled) {
		t.Errorf("EndCrawl with a cancelled context: %v", err)
	}
}

// testOutage takes the table away for a while: writers are told once memory is
// full, and what was accepted arrives when the table is back.
func testOutage(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{BatchRows: 100, MaxPending: 1000, FlushEvery: time.Millisecond, Spool: NoSpool, StallLimit: time.Millisecond})
	c := newCrawl("mainline")
	if err := s.BeginCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	asOwner(t, s, "RENAME TABLE %[1]s.visits_log TO %[1]s.away")
	accepted := 0
	var err error
	for err == nil && accepted < 5000 {
		if err = s.Visits(ctx, numbered(c, accepted, 100)); err == nil {
			accepted += 100
		}
	}
	if err == nil || accepted != 1000 {
		t.Errorf("with no table %d rows were accepted, then: %v; want 1000 and the store's error", accepted, err)
	}
	if err := s.EndCrawl(ctx, c); err == nil || !strings.Contains(err.Error(), "UNKNOWN_TABLE") {
		t.Errorf("EndCrawl without a table: %v", err)
	}
	asOwner(t, s, "RENAME TABLE %[1]s.away TO %[1]s.visits_log")
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Visits(ctx, numbered(c, accepted, 100)); err != nil { // what was refused is given again
		t.Fatal(err)
	}
	if err := s.EndCrawl(ctx, c); err != nil {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count(), max(number) FROM visits", "1100 1099")
}

func testConcurrentWriters(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{BatchRows: 2000})
	crawls := []observation.Crawl{newCrawl("mainline"), newCrawl("ipfs")}
	var wg sync.WaitGroup
	for _, c := range crawls {
		if err := s.BeginCrawl(ctx, c); err != nil {
			t.Fatal(err)
		}
		for w := range 4 {
			wg.Go(func() {
				for i := range 20 {
					if err := s.Visits(ctx, numbered(c, w*2000+i*100, 100)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, c := range crawls {
		if err := s.EndCrawl(ctx, c); err != nil {
			t.Error(err)
		}
	}
	wantRows(t, s, "SELECT network, count(), sum(number) FROM visits GROUP BY network ORDER BY network", "ipfs 8000 31996000", "mainline 8000 31996000")
}
