package store

import (
	"net/netip"
	"testing"
	"time"

	"canopy/crawler/observation"
)

// What tells the size of a network comes back as it was written, once however
// often it is given, in its latest form.
func TestMarksLookupsAndZones(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			s := migrated(t, b.url(t, emptyDatabase()), Options{})
			c := observation.Crawl{ID: observation.NewCrawlID(time.Now()), Network: "mainline", Zone: "12/a3f", StartedAt: time.Now(), Settings: "{}"}
			if err := s.BeginCrawl(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			mark := observation.Mark{Network: "mainline", CrawlID: c.ID, PeerID: "a3f0", Address: netip.MustParseAddrPort("45.1.2.3:6881"), Kind: observation.Planted, Named: true}
			unnamed := observation.Mark{Network: "mainline", CrawlID: c.ID, PeerID: "a3f1", Kind: observation.Planted}
			lookup := observation.Lookup{Network: "mainline", CrawlID: c.ID, Number: 7, Target: "00ff", K: 8, Found: 8, Distance: 1.25e-7, Queries: 31}
			for range 2 {
				if err := s.Marks(t.Context(), []observation.Mark{mark, unnamed}); err != nil {
					t.Fatal(err)
				}
				if err := s.Lookups(t.Context(), []observation.Lookup{lookup}); err != nil {
					t.Fatal(err)
				}
				mark.LookedUp, mark.Lookup = true, true
			}
			if err := s.Marks(t.Context(), nil); err != nil {
				t.Errorf("no marks: %v", err)
			}
			wantRows(t, s, "SELECT zone, scope FROM crawls", "12/a3f ")
			wantRows(t, s, "SELECT peer_id, toString(address), port, kind, named, looked_up, lookup FROM marks ORDER BY peer_id",
				"a3f0 ::ffff:45.1.2.3 6881 planted 1 1 1", "a3f1 :: 0 planted 0 0 0")
			wantRows(t, s, "SELECT number, target, k, found, distance, queries FROM lookups", "7 00ff 8 8 1.25e-07 31")
		})
	}
}
