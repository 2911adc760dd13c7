package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
)

func TestCloseAbandoned(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) { testCloseAbandoned(t, b.url(t, emptyDatabase())) })
	}
}

func testCloseAbandoned(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	whole, elsewhere, killed, empty := newCrawl("mainline"), newCrawl("mainline"), newCrawl("ipfs"), newCrawl("mainline")
	elsewhere.Vantage = "elsewhere"
	empty.StartedAt = empty.StartedAt.Add(time.Minute)
	store(t, s, whole, numbered(whole, 0, 3), nil)
	for _, c := range []observation.Crawl{elsewhere, killed, empty} {
		if err := s.BeginCrawl(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	visits := numbered(killed, 0, 10)
	for i := range visits {
		visits[i].Outcome, visits[i].Queries, visits[i].VisitedAt = observation.Timeout, 2, killed.StartedAt.Add(time.Duration(i)*time.Second)
	}
	visits[3].Outcome = observation.Answered
	if err := s.Visits(ctx, visits); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	closed, err := s.CloseAbandoned(ctx, killed.Vantage)
	if err != nil || len(closed) != 2 || closed[0].ID != killed.ID || closed[1].ID != empty.ID {
		t.Fatalf("closed %v, %v", closed, err)
	}
	if c := closed[0]; c.Discovered != 10 || c.Reachable != 1 || c.Queries != 20 || killed.StartedAt.Add(9*time.Second).Sub(c.EndedAt).Abs() >= visitTick || !strings.Contains(c.Notes[len(c.Notes)-1], "ended before") {
		t.Errorf("closed %+v", c)
	}
	wantRows(t, s, "SELECT state, count(), countIf(ended_at IS NULL) FROM crawls GROUP BY state ORDER BY state", "complete 1 0", "cut_short 2 0", "running 1 1")
	if again, err := s.CloseAbandoned(ctx, killed.Vantage); err != nil || len(again) != 0 {
		t.Errorf("closed again: %v, %v", again, err)
	}
}
