package operator

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"canopy/crawler/address"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
	"canopy/crawler/testnet/ipfs"
	"canopy/crawler/testnet/mainline"
)

// TestPlannedNetworksAreJudgedByTheirTruth puts the demo's networks into the
// record as a perfect crawl would see them, with facts from their address
// table, and holds the verdicts against who really runs each node.
func TestPlannedNetworksAreJudgedByTheirTruth(t *testing.T) {
	for name, demo := range map[string]struct {
		population testnet.Population
		size       testnet.Size
	}{
		"mainline": {mainline.Population(), mainline.DefaultSize()},
		"ipfs":     {ipfs.Population(), ipfs.DefaultSize()},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := testnet.New(demo.population, demo.size, 1)
			if err != nil {
				t.Fatal(err)
			}
			judgePlan(t, plan)
		})
	}
}

func judgePlan(t *testing.T, plan *testnet.Plan) {
	r := &recorder{store: storetest.Migrated(t, "chdb:"+t.TempDir()), start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	facts := planFacts(t, plan)
	truth := map[Operator]map[string]int{}
	for number := range 4 {
		r.planCrawl(t, number, plan, facts, truth)
	}
	c, err := Record(t.Context(), r.store.DB(), Default(), "net", r.ids)
	if err != nil {
		t.Fatal(err)
	}
	judged := map[Operator]map[string]int{} // by operator and organisation: peers times crawls
	all := 0
	for _, g := range c.Groups {
		if judged[g.Verdict.Operator] == nil {
			judged[g.Verdict.Operator] = map[string]int{}
		}
		for _, n := range g.Counts {
			judged[g.Verdict.Operator][g.Organisation] += n
			all += n
		}
		if g.Verdict.Operator != Unknown && len(g.Verdict.Evidence) == 0 {
			t.Errorf("judged without evidence: %+v", g)
		}
		if g.Verdict.Operator == Commercial && g.Verdict.Name != g.Organisation {
			t.Errorf("company named %q on the land of %q", g.Verdict.Name, g.Organisation)
		}
	}
	undecided := 0
	for _, n := range judged[Unknown] {
		undecided += n
	}
	for _, kind := range decided {
		certain, really := 0, 0
		for organisation, n := range judged[kind] {
			certain += n
			if n > truth[kind][organisation] {
				t.Errorf("%d of %s judged %s, of whom really %d", n, organisation, kind, truth[kind][organisation])
			}
		}
		for _, n := range truth[kind] {
			really += n
		}
		t.Logf("%s: certain %.1f %%, truth %.1f %%, certain and undecided %.1f %%", kind,
			100*float64(certain)/float64(all), 100*float64(really)/float64(all), 100*float64(certain+undecided)/float64(all))
		if certain > really || really > certain+undecided || certain*2 < really {
			t.Errorf("%s: %d certain, %d really, %d undecided", kind, certain, really, undecided)
		}
	}
}

// planFacts opens the plan's address table.
func planFacts(t *testing.T, plan *testnet.Plan) *address.Table {
	t.Helper()
	var csv bytes.Buffer
	if err := plan.AddressTable(&csv); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plan.csv"), csv.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	table, err := address.Open(dir, address.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// planCrawl records everyone who is up at a moment of the plan, and counts
// them by who really runs them and on whose land.
func (r *recorder) planCrawl(t *testing.T, number int, plan *testnet.Plan, facts *address.Table, truth map[Operator]map[string]int) {
	t.Helper()
	moment := time.Duration(number) * 6 * time.Hour
	at := r.start.Add(moment)
	c := observation.Crawl{ID: observation.NewCrawlID(at), Network: "net", Scope: observation.ScopeLocal, StartedAt: at, EndedAt: at, State: observation.Complete}
	var visits []observation.Visit
	for _, n := range plan.AliveAt(moment) {
		f := facts.Lookup(n.Address.Addr())
		visits = append(visits, observation.Visit{
			Network: c.Network, CrawlID: c.ID, Number: uint32(n.Number), VisitedAt: at, PeerID: n.ID, Address: n.Address,
			Agent: n.Agent.Read, Outcome: observation.Answered, Facts: f,
		})
		kind := Operator(n.Persona.Operator)
		if truth[kind] == nil {
			truth[kind] = map[string]int{}
		}
		truth[kind][f.Organisation]++
	}
	ctx := context.Background()
	if err := r.store.BeginCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := r.store.Visits(ctx, visits); err != nil {
		t.Fatal(err)
	}
	if err := r.store.EndCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	r.ids = append(r.ids, c.ID.String())
}
