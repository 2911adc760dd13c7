package dataset

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"canopy/analysis"
	"canopy/analysis/operator"
	"canopy/crawler/observation"
	"canopy/reports"
)

// madeUpChecks are one run: content that twelve hold, two of them alone on
// their land, and an entry point.
func madeUpChecks() []observation.Check {
	run := observation.NewCrawlID(day)
	land := func(asn uint32, name string, hosting observation.Hosting) observation.Facts {
		return observation.Facts{ASN: asn, Organisation: name, Country: "DE", Hosting: hosting, Source: "test", Date: day}
	}
	check := func(kind observation.CheckKind, subject string, outcome observation.Outcome) observation.Check {
		return observation.Check{Network: "alpha", RunID: run, Kind: kind, Subject: subject, Vantage: "here", Scope: observation.ScopeGlobal, CheckedAt: day.Add(time.Minute), Outcome: outcome}
	}
	content, entry, start := check(observation.CheckContent, "00ff", observation.Found), check(observation.CheckEntry, "entry.example:1", observation.Answered), check(observation.CheckStart, "all", observation.Entered)
	content.Name, content.Detail, content.Entries = "Disk <b>image</b>", "asked 198.51.100.23:5", []string{"entry.example:1"}
	content.Search = observation.Search{Took: 2 * time.Second, First: time.Second, Queries: 60, Hops: 4, Answered: 30, Closest: 8, K: 8, Namers: 7, Found: 12}
	content.Holders = []observation.Holders{{Facts: land(64501, "Lonely House", observation.HostingResidential), Count: 2}, {Facts: land(64500, "Example Hosting", observation.HostingHosting), Count: 10}}
	entry.Clients, entry.Address, entry.Named = []string{"client"}, netip.MustParseAddrPort("198.51.100.24:1"), 8
	return []observation.Check{content, entry, start}
}

// TestFindings exports what checks found: the same as in a report of the
// record, but for groups of few, details and addresses.
func TestFindings(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 2, 600)
	must(t, s.Checks(t.Context(), madeUpChecks()))
	must(t, s.Flush(t.Context()))
	in := analysis.Window{From: day.Add(-time.Hour)}
	for _, format := range []string{Parquet, CSV} {
		t.Run(format, func(t *testing.T) {
			_, sum, loaded, _ := published(t, s, Options{Window: in, Format: format, Findings: func(ctx context.Context, network, scope string) (string, error) {
				return reports.Found(ctx, s.DB(), operator.Default(), network, scope, in, Smallest)
			}})
			var network, scope, result string
			must(t, loaded.DB().QueryRowContext(t.Context(), "SELECT network, scope, result FROM findings").Scan(&network, &scope, &result))
			if network != "alpha" || scope != observation.ScopeGlobal || sum.Rows["findings"] != 1 {
				t.Errorf("%d findings, of %s (%s)", sum.Rows["findings"], network, scope)
			}
			for _, hidden := range []string{"Lonely House", "residential", "198.51.100"} {
				if strings.Contains(result, hidden) {
					t.Errorf("%q is told: %s", hidden, result)
				}
			}
			record, err := reports.Build(t.Context(), s.DB(), reports.Options{Generated: day})
			must(t, err)
			again, err := reports.Build(t.Context(), loaded.DB(), reports.Options{Generated: day, Published: true})
			must(t, err)
			want, have := record.Networks[0].Findability, again.Networks[0].Findability
			if want == nil || have == nil || len(want.Content) != 1 || len(have.Content) != 1 {
				t.Fatalf("findings of the record %+v, of the dataset %+v", want, have)
			}
			if len(want.Content[0].Holders) != 2 || len(have.Content[0].Holders) != 1 || have.Content[0].Holders[0].Name != "Example Hosting" || have.Content[0].Holders[0].Count != 10 {
				t.Errorf("holders in the record %+v, in the dataset %+v", want.Content[0].Holders, have.Content[0].Holders)
			}
			if diff := cmp.Diff([]any{want.Content[0].Checks, want.Content[0].Name, want.Entries[0].Checks, want.Entries[0].Clients, want.Newcomers},
				[]any{have.Content[0].Checks, have.Content[0].Name, have.Entries[0].Checks, have.Entries[0].Clients, have.Newcomers}); diff != "" {
				t.Errorf("the dataset differs (-record +dataset):\n%s", diff)
			}
		})
	}
	_, sum, loaded, _ := published(t, s, Options{Window: in}) // without findings the table is there, and empty
	var n uint64
	must(t, loaded.DB().QueryRowContext(t.Context(), "SELECT count() FROM findings").Scan(&n))
	if n != 0 || sum.Rows["findings"] != 0 {
		t.Errorf("%d findings nobody asked for", n)
	}
}
