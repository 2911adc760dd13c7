package store

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
)

func TestPrune(t *testing.T) {
	needEngine(t)
	ctx := context.Background()
	s := migrated(t, "chdb:"+dataDir+"?database="+emptyDatabase(), Options{})
	var probes []observation.Probe
	for _, at := range []string{"2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z", "2026-03-15T12:00:00Z"} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		probes = append(probes, observation.Probe{Network: "ipfs", PeerID: "a", Address: netip.MustParseAddrPort("192.0.2.1:1"), ProbedAt: when, Outcome: observation.Answered})
	}
	if err := s.Probes(ctx, probes); err != nil {
		t.Fatal(err)
	}
	store(t, s, newCrawl("ipfs"), numbered(newCrawl("ipfs"), 0, 0), nil)
	now := time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		keep   time.Duration
		months string
	}{
		{365 * 24 * time.Hour, ""},
		{59 * 24 * time.Hour, ""},         // 31 January is young enough by seconds
		{58 * 24 * time.Hour, "202601"},   // all of January is older
		{24 * time.Hour, "202601 202602"}, // March is not over
	} {
		got := prunedMonths(t, s, Retention{"probes": test.keep}, now, true)
		if got != test.months {
			t.Errorf("keeping %s would remove %q, want %q", test.keep, got, test.months)
		}
	}
	wantRows(t, s, "SELECT count() FROM probes", "3")
	if got := prunedMonths(t, s, Retention{"probes": 40 * 24 * time.Hour}, now, false); got != "202601" {
		t.Errorf("removed %q", got)
	}
	wantRows(t, s, "SELECT count(), toString(min(probed_at)) FROM probes", "2 2026-02-01 00:00:00.000")
	wantRows(t, s, "SELECT count() FROM crawls", "1")
	status, err := s.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range status.Tables {
		if table.Name == "probes" && (len(table.Months) != 2 || table.Months[0].Month != "202602" || table.Months[0].Bytes == 0) {
			t.Errorf("status shows the months %+v", table.Months)
		}
	}
	if _, err := s.Prune(ctx, Retention{"probes": 0}, now, false); err == nil || !strings.Contains(err.Error(), "keep probes for 0s") {
		t.Errorf("keeping nothing at all: %v", err)
	}
	if _, err := s.Prune(ctx, Retention{"peers": time.Hour}, now, true); err == nil || !strings.Contains(err.Error(), "peers") {
		t.Errorf("a table that is none: %v", err)
	}
}

func prunedMonths(t *testing.T, s *Store, r Retention, now time.Time, dry bool) string {
	t.Helper()
	pruned, err := s.Prune(context.Background(), r, now, dry)
	if err != nil {
		t.Fatal(err)
	}
	var months []string
	for _, p := range pruned {
		months = append(months, p.Month)
	}
	return strings.Join(months, " ")
}
