package store

import (
	"net/netip"
	"testing"
	"time"

	"canopy/crawler/observation"
)

// Checks come back as they were written, once however often they are given.
func TestChecks(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			s := migrated(t, b.url(t, emptyDatabase()), Options{})
			run := observation.NewCrawlID(time.Now())
			land := observation.Facts{ASN: 64500, Organisation: "Example\tHosting", Country: "DE", Hosting: observation.HostingHosting, Source: "test", Date: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
			checks := []observation.Check{
				{
					Network: "mainline", RunID: run, Kind: observation.CheckContent, Subject: "00ff", Name: "<b>images</b>", Outcome: observation.Found, CheckedAt: time.Now(),
					Entries: []string{"a:1", "b:2"},
					Search:  observation.Search{Took: 2 * time.Second, First: time.Second, Queries: 60, Hops: 4, Answered: 30, Closest: 16, K: 16, Namers: 7, Found: 12, Seeds: 10.5, Leechers: 1.5, Filters: 5, Full: 1, Cut: true},
					Holders: []observation.Holders{{Count: 2}, {Facts: land, Count: 10}},
				},
				{
					Network: "mainline", RunID: run, Kind: observation.CheckEntry, Subject: "a:1", Outcome: observation.Timeout, Address: netip.MustParseAddrPort("45.1.2.3:1"),
					Clients: []string{"one", "two"}, CheckedAt: time.Now(),
				},
				{Network: "mainline", RunID: run, Kind: observation.CheckStart, Subject: "only a:1", Outcome: observation.ShutOut, CheckedAt: time.Now()},
				{Network: "mainline", RunID: run, Kind: observation.CheckStart, Subject: "only a:1", Number: 1, Outcome: observation.Entered, CheckedAt: time.Now()},
			}
			for range 2 {
				if err := s.Checks(t.Context(), checks); err != nil {
					t.Fatal(err)
				}
			}
			wantRows(t, s, "SELECT name, outcome, took_ms, first_ms, queries, hops, found, seeds, filters, full_filters, cut FROM checks WHERE kind = 'content'",
				"<b>images</b> found 2000 1000 60 4 12 10.5 5 1 1")
			wantRows(t, s, "SELECT hosting, asn, n, facts_source, facts_date FROM checks ARRAY JOIN holder_hostings AS hosting, holder_asns AS asn, holder_counts AS n WHERE kind = 'content' ORDER BY n",
				"unknown 0 2 test 2026-11-01", "hosting 64500 10 test 2026-11-01")
			wantRows(t, s, "SELECT subject, toString(address), port, outcome, length(clients), isNull(rtt_ms) FROM checks WHERE kind = 'entry_point'", "a:1 ::ffff:45.1.2.3 1 timeout 2 1")
			wantRows(t, s, "SELECT number, outcome FROM checks WHERE kind = 'start' ORDER BY number", "0 shut_out", "1 entered")
			if status, err := s.Status(t.Context()); err != nil || status.Tables[len(status.Tables)-1].Name != "checks" || status.Tables[len(status.Tables)-1].Rows != 4 {
				t.Errorf("%+v, %v", status.Tables, err)
			}
		})
	}
}
