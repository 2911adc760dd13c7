package store

import (
	"testing"
	"time"

	"canopy/crawler/observation"
)

// TestVisitTime keeps times to a tick, and none before the crawl began.
func TestVisitTime(t *testing.T) {
	for ms := range 2 * visitTick.Milliseconds() { // wherever within a tick the crawl begins
		start := time.UnixMilli(1_780_000_000_000 + ms).UTC()
		id := observation.NewCrawlID(start)
		for _, after := range []time.Duration{0, 1, time.Millisecond, visitTick - 1, visitTick, time.Second + 999, time.Hour} {
			at := start.Add(after)
			got := visitTime(&observation.Visit{CrawlID: id, VisitedAt: at})
			if got.Before(start) || got.After(at) || at.Sub(got) >= visitTick {
				t.Fatalf("%v after a crawl began at %v is kept as %v", after, start, got)
			}
		}
		before := start.Add(-time.Minute) // as of another clock
		if got := visitTime(&observation.Visit{CrawlID: id, VisitedAt: before}); got.After(before) || before.Sub(got) >= visitTick {
			t.Fatalf("%v is kept as %v", before, got)
		}
	}
	if got := visitTime(&observation.Visit{}); got.Unix() != 0 {
		t.Errorf("no time is kept as %v", got)
	}
}
