package survival

import (
	"net/netip"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

func TestSessionsFromTheRecord(t *testing.T) {
	s := storetest.Migrated(t, "chdb:"+t.TempDir())
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	crawl := observation.NewCrawlID(start)
	in := analysis.Window{From: start, To: start.Add(24 * time.Hour)}
	if w, err := Read(t.Context(), s.DB(), "alpha", []string{crawl.String()}, in); err != nil || w != nil {
		t.Fatalf("a watch without probes: %+v, %v", w, err)
	}
	at := netip.MustParseAddrPort("45.1.0.1:1")
	visit := observation.Visit{Network: "alpha", CrawlID: crawl, VisitedAt: start.Add(-time.Hour), PeerID: "a", Address: at, Outcome: observation.Answered, Agent: "kubo/1", Facts: observation.Facts{Hosting: observation.HostingHosting}}
	must(t, s.Visits(t.Context(), []observation.Visit{visit}))
	var probes []observation.Probe
	for i, up := range []bool{false, false, true, true, true, false, false} { // every 5 minutes
		p := observation.Probe{Network: "alpha", PeerID: "a", Address: at, ProbedAt: start.Add(time.Duration(5*i) * time.Minute), Outcome: observation.Timeout, ControlOK: true}
		if up {
			p.Outcome = observation.Answered
		}
		probes = append(probes, p)
		if i < 5 { // somebody elsewhere reaches it all the time, but asks less often
			p.Vantage, p.Outcome = "elsewhere", observation.Answered
			probes = append(probes, p)
		}
	}
	must(t, s.Probes(t.Context(), probes))
	must(t, s.Flush(t.Context()))
	w, err := Read(t.Context(), s.DB(), "alpha", []string{crawl.String()}, in)
	must(t, err)
	if w == nil || w.Peers != 1 || w.Probes != 7 || w.Availability != 3.0/7 || len(w.Sessions) != 1 || w.Vantage != "" || w.Elsewhere != 5 {
		t.Fatalf("%+v", w)
	}
	got := w.Sessions[0]
	want := Watched{Spell: Spell{Peer: got.Peer, Began: 10 * time.Minute, Before: 5 * time.Minute, Seen: 10 * time.Minute, After: 5 * time.Minute}, Hosting: "hosting", Agent: "kubo/1", Reason: "departed"}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
