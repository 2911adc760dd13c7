package reports

import (
	"fmt"
	"html"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store"
)

// tabled describes a network in which lookups are known.
var tabled = observation.Network{
	Name: "tabled", Title: "Network with tables", K: 3, Alpha: 2, IDBits: 64, Distance: "xor", Identity: "peer ID", KeyDerivation: "hex",
}

// writeTables records one crawl of 60 living peers, each of which knows some
// others, and 20 dead ones. organisation says on whose land a peer stands.
func writeTables(t *testing.T, s *store.Store, n observation.Network, organisation func(i int) string) {
	t.Helper()
	const living, all = 60, 80
	settings := fmt.Sprintf(`{"network":{"name":%q,"title":%q,"k":%d,"alpha":%d,"id_bits":%d,"distance":%q,"identity":%q,"key_derivation":%q},"walker":{"bootstrap":["45.1.0.1:6881","router.example:1"]}}`,
		n.Name, n.Title, n.K, n.Alpha, n.IDBits, n.Distance, n.Identity, n.KeyDerivation)
	c := observation.Crawl{
		ID: observation.NewCrawlID(day), Network: n.Name, Scope: observation.ScopeGlobal, StartedAt: day, State: observation.Running, Settings: settings,
		Discovered: all, Reachable: living,
	}
	must(t, s.BeginCrawl(t.Context(), c))
	var visits []observation.Visit
	var edges []observation.Edge
	for i := range all {
		v := observation.Visit{
			Network: n.Name, CrawlID: c.ID, Number: uint32(i), VisitedAt: day.Add(time.Second), PeerID: fmt.Sprintf("%016x", uint64(i+1)*0x9e3779b97f4a7c15),
			Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{45, 1, byte(i), 1}), 6881), Outcome: observation.Timeout,
			Facts: observation.Facts{Organisation: organisation(i), Hosting: observation.HostingHosting, Country: "DE", ASN: 64500},
		}
		if i < living {
			v.Outcome = observation.Answered
			e := observation.Edge{CrawlID: c.ID, Network: n.Name, Peer: uint32(i)}
			for j := range all {
				if (i*7+j*13)%5 == 0 && i != j {
					e.Neighbours = append(e.Neighbours, uint32(j))
				}
			}
			edges = append(edges, e)
		}
		visits = append(visits, v)
	}
	must(t, s.Visits(t.Context(), visits))
	must(t, s.Edges(t.Context(), edges))
	c.State, c.EndedAt = observation.Complete, day.Add(time.Minute)
	must(t, s.EndCrawl(t.Context(), c))
	must(t, s.Flush(t.Context()))
}

// One store holds a network that can be simulated, among names that are meant
// to hurt, and others that can't: there the page says why.
func TestClearcutInTheReport(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	names := append([]string{"Example Cloud", "Example Cloud"}, hostile...)
	writeTables(t, s, tabled, func(i int) string { return names[i%len(names)] })
	largest := 0
	for i := range 60 { // those that live
		if names[i%len(names)] == "Example Cloud" {
			largest++
		}
	}
	absent := map[string]string{
		"older": "crawl again with this version", "ring": "distance \"ring\"", "single": "fewer than two peers would be left", "unknown": "Nobody is known who could leave",
	}
	for name := range absent {
		n, organisation := tabled, "Example Cloud"
		switch n.Name = name; name {
		case "older":
			n.KeyDerivation = ""
		case "ring":
			n.Distance = "ring"
		case "unknown":
			organisation = ""
		}
		writeTables(t, s, n, func(int) string { return organisation })
	}
	r, err := Build(t.Context(), s.DB(), Options{Generated: day})
	must(t, err)
	for _, n := range r.Networks {
		if n.Name == tabled.Name {
			checkClearcut(t, n.Clearcut, largest)
		} else if n.Clearcut == nil || !strings.Contains(n.Clearcut.Absent, absent[n.Name]) {
			t.Errorf("%s: %+v, want words about %q", n.Name, n.Clearcut, absent[n.Name])
		}
	}
	dir := t.TempDir()
	must(t, r.Write(dir))
	raw, err := os.ReadFile(filepath.Join(dir, Index))
	must(t, err)
	page := html.UnescapeString(string(raw))
	for _, want := range append(slices.Collect(maps.Values(absent)), "of 100 lookups would still succeed", "What stands after a clear-cut") {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, bad := range []string{"NaN", "<script>window.pwned", "\u202e", "Inf%"} {
		if strings.Contains(string(raw), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "tabled-clearcut.svg")); err != nil {
		t.Error(err)
	}
}

// checkClearcut wants the largest organisation to be named first, with the peers
// of 60 that it runs.
func checkClearcut(t *testing.T, c *Clearcut, largest int) {
	t.Helper()
	if c == nil || c.Absent != "" || c.Organisations == nil || len(c.Organisations.Steps) != cutsShown {
		t.Fatalf("no clear-cut: %+v", c)
	}
	first := c.Organisations.Steps[0]
	if first.Leaves[0] != "Example Cloud" || first.Cut.Removed != largest || first.Cut.Survivors != 60-largest || first.Random == nil {
		t.Errorf("the largest leaves first: %+v", first)
	}
	if e := first.Cut.EntryPoints; e == nil || e.Known != 1 || e.Left != 0 || len(e.Other) != 1 {
		t.Errorf("entry points: %+v, want the one that was met gone with Example Cloud, the other not known", e)
	}
}
