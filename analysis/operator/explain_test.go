package operator

import (
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/crawler/identifier"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

func TestChangesAreTrue(t *testing.T) {
	traits := Traits{Hosting: "hosting", Agent: "kubo/0.39.0", Siblings: 1, Neighbourhood: 1, ASN: 64500}
	changes := Default().Changes(traits)
	want := map[string]Operator{"class of its address were residential": Community, "were institutional": Institutional,
		"itself included, were 8": Commercial, "desktop": Community, "an entry that is commercial": Commercial}
	for part, operator := range want {
		found := false
		for _, c := range changes {
			found = found || strings.Contains(c.If, part) && c.Operator == operator
		}
		if !found {
			t.Errorf("no change holds %q with verdict %s: %+v", part, operator, changes)
		}
	}
	now := Default().Judge(traits).Operator
	for _, c := range changes {
		if c.Operator == now {
			t.Errorf("no change at all: %+v", c)
		}
	}
}

func TestChangesNameTheEvidenceThatDecides(t *testing.T) {
	for _, c := range Default().Changes(Traits{Hosting: "residential"}) {
		if c.If == "the evidence household-line did not hold" && c.Operator == Unknown {
			return
		}
	}
	t.Error("nobody says that the verdict hangs on household-line")
}

// TestSightingsAgreeWithTheCensus holds the verdict on single peers against
// those of all of them.
func TestSightingsAgreeWithTheCensus(t *testing.T) {
	r := &recorder{store: storetest.Migrated(t, "chdb:"+t.TempDir()), start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	both := []int{0, 1}
	plan := []planned{
		{id: "home", address: "10.1.0.1:6881", agent: "libtorrent 2.0.11", asn: 64500, organisation: "Example Telecom", hosting: observation.HostingResidential, up: both},
		{id: "gone", address: "10.3.0.1:6881", asn: 64500, organisation: "Example Telecom", hosting: observation.HostingResidential},
	}
	for i := range 30 {
		plan = append(plan, planned{id: "fleet" + string(rune('A'+i)), address: "10.2.0." + string(rune('1'+i%9)) + ":4001", agent: "fleet/1",
			asn: 64501, organisation: "Example Cloud", hosting: observation.HostingHosting, up: both})
	}
	r.crawl(t, 0, observation.Complete, plan)
	r.crawl(t, 1, observation.Complete, plan)
	for id, want := range map[string]Operator{"home": Community, "fleetA": Commercial} {
		got, err := Sightings(t.Context(), r.store.DB(), id)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %d sightings, %v", id, len(got), err)
		}
		s := got[0]
		if v := Default().Judge(s.Traits); v.Operator != want || s.Answered != 2 || s.Network != "net" || s.FactsSource != "plan" || !s.First.Before(s.Last) {
			t.Errorf("%s: %s, %+v", id, v.Operator, s)
		}
	}
	fleet, _ := Sightings(t.Context(), r.store.DB(), "fleetA")
	if tr := fleet[0].Traits; tr.Siblings != 30 || tr.Neighbourhood != 30 || tr.AgentHere != 30 || tr.AgentAnywhere != 30 || tr.Prefix.String() != "10.2.0.0/16" {
		t.Errorf("crowd: %+v", tr)
	}
	together, err := Sightings(t.Context(), r.store.DB(), "home")
	if err != nil || together[0].Traits.Together != 0 {
		t.Errorf("together with itself, which was always there: %+v, %v", together, err)
	}
	gone, err := Sightings(t.Context(), r.store.DB(), "gone")
	if err != nil || len(gone) != 1 || gone[0].Answered != 0 || gone[0].Traits.Siblings != 0 {
		t.Errorf("a peer that never answered: %+v, %v", gone, err)
	}
	if none, err := Sightings(t.Context(), r.store.DB(), "nobody"); err != nil || len(none) != 0 {
		t.Errorf("nobody: %+v, %v", none, err)
	}
}

// TestMarksMakeTheShareOfVentureBackedCompaniesAQuery counts the weight of the
// groups whose entry bears all four marks.
func TestMarksMakeTheShareOfVentureBackedCompaniesAQuery(t *testing.T) {
	r := Default()
	if n := len(r.Registry()); n < 60 {
		t.Errorf("%d entries", n)
	}
	for id, want := range map[string]Marks{
		"protocol-labs":    {Company: true, Core: true, Venture: true, Recent: true},
		"rainberry":        {Company: true, Core: true, Venture: true},
		"cloudflare":       {Company: true},
		"internet-archive": {},
		"tribler":          {Core: true},
	} {
		entry, ok := r.Entry(id)
		if got := r.Marks(entry); !ok || got != want {
			t.Errorf("%s: %+v, want %+v", id, got, want)
		}
	}
	v := r.Judge(Traits{Hosting: "hosting", Agent: "hydra-booster/0.7.4"})
	if entry, ok := r.Entry(v.Entry); !ok || entry.ID != "hydra-boosters" || !r.Marks(entry).Venture {
		t.Errorf("a judged peer leads to %+v of %+v", entry, v)
	}
	if _, ok := r.Entry("nobody"); ok {
		t.Error("found an entry that is not there")
	}
}

// TestThoseWhoComeTogetherAreNoticed records a fleet whose peers miss one crawl
// together, among peers of the same agent that come and go as they like.
func TestThoseWhoComeTogetherAreNoticed(t *testing.T) {
	r := &recorder{store: storetest.Migrated(t, "chdb:"+t.TempDir()), start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	var plan []planned
	for i := range 9 {
		p := planned{id: "fleet" + string(rune('A'+i)), address: "10.2.0." + string(rune('1'+i)) + ":4001", agent: "kubo/0.39.0", asn: 64501,
			organisation: "Example Cloud", hosting: observation.HostingHosting, up: []int{0, 2}}
		if i >= 6 { // strangers beside it
			p.id, p.up = "other"+string(rune('A'+i)), [][]int{{0, 1}, {1, 2}, {0, 1, 2}}[i-6]
		}
		plan = append(plan, p)
	}
	for number := range 3 {
		r.crawl(t, number, observation.Complete, plan)
	}
	c, err := Record(t.Context(), r.store.DB(), Default(), "net", r.ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range c.Groups {
		if has := slices.Contains(names(g.Verdict.Evidence), "come-and-go-together"); has != (g.Peers == 6) {
			t.Errorf("%d peers: %v", g.Peers, names(g.Verdict.Evidence))
		}
	}
	for id, want := range map[string]int{"fleetA": 6, "otherG": 1, "otherI": 0} {
		s, err := Sightings(t.Context(), r.store.DB(), id)
		if err != nil || len(s) != 1 || s[0].Traits.Together != want {
			t.Errorf("%s: %+v, %v, want %d together", id, s, err, want)
		}
	}
}

// TestSightingsInAnySpelling finds a peer that an old record has in another form
// than today's.
func TestSightingsInAnySpelling(t *testing.T) {
	const peer = "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP"
	recorded := identifier.Spellings(peer)[3]
	r := &recorder{store: storetest.Migrated(t, "chdb:"+t.TempDir()), start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	r.crawl(t, 0, observation.Complete, []planned{{id: recorded, address: "10.2.0.1:4001", up: []int{0}}, {id: "other", address: "10.2.0.2:4001", up: []int{0}}})
	s, err := Sightings(t.Context(), r.store.DB(), peer)
	if err != nil || len(s) != 1 || s[0].Traits.PeerID != recorded || s[0].Answered != 1 || s[0].Traits.Neighbourhood != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}
