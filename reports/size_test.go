package reports

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store"
)

// writeZone records a walk of the zone 4/a in which the first of 256 nodes stay
// unfound, with 40 planted nodes of which as many as given are found, 20
// confirmed ones, and lookups as a network of 4,000 nodes has them.
func writeZone(t *testing.T, s *store.Store, network observation.Network, start time.Time, unfound, plantedFound int) {
	t.Helper()
	c := observation.Crawl{
		ID: observation.NewCrawlID(start), Network: network.Name, Vantage: "here", Scope: observation.ScopeLocal, Zone: "4/a", StartedAt: start,
		Software: "canopy test", Settings: fmt.Sprintf(`{"network":{"name":%q,"title":%q}}`, network.Name, network.Title),
	}
	must(t, s.BeginCrawl(t.Context(), c))
	var visits []observation.Visit
	var marks []observation.Mark
	visit := func(id, address string, outcome observation.Outcome) {
		visits = append(visits, observation.Visit{
			Network: network.Name, CrawlID: c.ID, Number: uint32(len(visits)), VisitedAt: start.Add(time.Second), PeerID: id,
			Address: netip.MustParseAddrPort(address), Outcome: outcome, Queries: 2,
		})
	}
	mark := func(id, address string, kind observation.MarkKind, named bool) {
		marks = append(marks, observation.Mark{
			Network: network.Name, CrawlID: c.ID, PeerID: id, Address: netip.MustParseAddrPort(address), Kind: kind, Named: named, LookedUp: named, Lookup: named,
		})
	}
	id := func(place int, kind string) string { return fmt.Sprintf("a%02x", place) + strings.Repeat(kind, 37) }
	for i := range 256 {
		address, outcome := fmt.Sprintf("45.1.%d.1:6881", i), observation.Answered
		if i < unfound {
			outcome = observation.Timeout
		}
		visit(id(i, "0"), address, outcome)
		if i%13 == 0 {
			mark(id(i, "0"), address, observation.Confirmed, true)
		}
	}
	for i := range 40 {
		address := fmt.Sprintf("45.9.9.9:%d", 7000+i)
		mark(id(6*i, "1"), address, observation.Planted, true)
		if i < plantedFound {
			visit(id(6*i, "1"), address, observation.Answered)
		}
	}
	mark(id(9, "2"), "45.9.9.9:9999", observation.Planted, false)
	for i := range 3 { // one endpoint with several IDs: no nodes
		visit(id(100+i, "3"), "45.2.2.2:6881", observation.Answered)
	}
	visit(id(200, "4"), "45.3.3.3:6881", observation.Answered) // one ID at two endpoints: no node
	visit(id(200, "4"), "45.3.3.4:6881", observation.Answered)
	visit("b"+strings.Repeat("0", 39), "45.4.4.4:6881", observation.Answered) // outside of the zone
	must(t, s.Visits(t.Context(), visits))
	var lookups []observation.Lookup
	for i := range 100 {
		lookups = append(lookups, observation.Lookup{Network: network.Name, CrawlID: c.ID, Number: uint32(i), K: 8, Found: 8, Distance: 8. / 4000, Queries: 30})
	}
	lookups = append(lookups, observation.Lookup{Network: network.Name, CrawlID: c.ID, Number: 100, K: 8, Found: 7, Distance: 0.9})
	for range 2 { // written again, they count once
		must(t, s.Marks(t.Context(), marks))
		must(t, s.Lookups(t.Context(), lookups))
	}
	c.State, c.EndedAt, c.Reachable = observation.Complete, start.Add(time.Minute), 256
	must(t, s.EndCrawl(t.Context(), c))
}

func TestReportTellsTheSize(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	network := observation.Network{Name: "zoned", Title: "The Zoned Network"}
	write(t, s, network, crawlsEvery(2, time.Minute, observation.ScopeLocal), population("zoned"))
	writeZone(t, s, network, day.Add(time.Hour), 16, 38)
	writeZone(t, s, network, day.Add(2*time.Hour), 26, 36)
	r := build(t, s.DB())
	n := r.Networks[0]
	if len(n.Used) != 2 || n.Peers > 200 {
		t.Errorf("zone crawls are among the %d that shares are made of, with %d peers", len(n.Used), n.Peers)
	}
	e := n.Size.Evidence
	if e.Found != 230 || e.SetAside != 4 || e.Marks.Planted != 40 || e.Marks.PlantedFound != 36 || e.Marks.Confirmed != 20 || e.Marks.ConfirmedFound != 18 ||
		n.Size.Unseen != 1 || e.Distances.Lookups != 100 || e.Distances.Short != 1 || e.Pair == nil || e.Pair.First != 240 || e.Pair.Both != 230 {
		t.Errorf("%+v, %+v, %+v", e, e.Distances, e.Pair)
	}
	if c := n.Size.Corrected.Estimate; c == nil || c.Lower > 4096 || c.Upper < 4096 {
		t.Errorf("corrected: %+v", n.Size.Corrected)
	}
	_, html := writeTo(t, r)
	for _, want := range []string{"How large is it", "zone 4/a", "The estimates agree", "zone scaled, uncorrected", "nobody had named them", "left out of every share"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// A network of which only a zone was walked has a size and no shares.
func TestReportOfAZoneAlone(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	writeZone(t, s, observation.Network{Name: "zoned", Title: "The Zoned Network"}, day, 0, 40)
	r := build(t, s.DB())
	if n := r.Networks[0]; n.Absent == "" || n.Size.Corrected.Estimate == nil || n.Size.Floor.Estimate != nil {
		t.Errorf("absent %q, size %+v", n.Absent, n.Size.Size)
	}
	if _, html := writeTo(t, r); !strings.Contains(html, "walked once only") && !strings.Contains(html, "was walked once only") {
		t.Error("the page does not say why there is no floor")
	}
}

func TestReportWithoutAZoneSaysSo(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, observation.Network{Name: "whole", Title: "Whole"}, crawlsEvery(1, time.Minute, observation.ScopeLocal), population("whole"))
	r := build(t, s.DB())
	if _, html := writeTo(t, r); r.Networks[0].Size.Absent == "" || !strings.Contains(html, "kept to a zone") {
		t.Error("the page does not say that no zone was walked")
	}
}
