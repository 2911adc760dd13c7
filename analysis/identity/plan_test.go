package identity_test

import (
	"context"
	"testing"
	"time"

	"canopy/analysis/identity"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
	"canopy/crawler/testnet/ipfs"
	swarm "canopy/crawler/testnet/mainline"
)

// TestPlannedNetworksAreCounted: nobody of the planned networks is set aside,
// dense fleets of companies included, and keys are read in either form of ID.
func TestPlannedNetworksAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		population testnet.Population
		size       testnet.Size
	}{"mainline": {swarm.Population(), swarm.DefaultSize()}, "ipfs": {ipfs.Population(), ipfs.DefaultSize()}} {
		t.Run(name, func(t *testing.T) {
			s, at := storetest.Migrated(t, "chdb:"+t.TempDir()), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
			plan, err := testnet.New(c.population, c.size, 1)
			if err != nil {
				t.Fatal(err)
			}
			crawl := observation.Crawl{ID: observation.NewCrawlID(at), Network: name, Scope: observation.ScopeLocal, StartedAt: at, EndedAt: at, State: observation.Complete}
			var visits []observation.Visit
			for _, n := range plan.AliveAt(0) {
				visits = append(visits, observation.Visit{
					Network: name, CrawlID: crawl.ID, Number: uint32(n.Number), VisitedAt: at, PeerID: n.ID, Address: n.Address, Outcome: observation.Answered,
				})
			}
			ctx := context.Background()
			for _, err := range []error{s.BeginCrawl(ctx, crawl), s.Visits(ctx, visits), s.EndCrawl(ctx, crawl)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			r, err := identity.DefaultLimits().SetAside(ctx, s.DB(), name, []string{crawl.ID.String()})
			if err != nil {
				t.Fatal(err)
			}
			if r.Peers != 0 || r.Answered[0] != len(visits) {
				t.Errorf("%d of %v peers are set aside, %d are planned: %+v", r.Peers, r.Answered, len(visits), r.Findings)
			}
		})
	}
}
