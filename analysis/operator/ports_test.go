package operator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

// TestPortsInAPattern plants servers whose ports show one hand, and others whose
// ports do not, and asks census and sighting.
func TestPortsInAPattern(t *testing.T) {
	r := &recorder{store: storetest.Migrated(t, "chdb:"+t.TempDir()), start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	var plan []planned
	server := func(id, block string, i, port int) {
		plan = append(plan, planned{id: fmt.Sprintf("%s%d", id, i), address: fmt.Sprintf("%s.%d:%d", block, i+1, port), agent: id,
			asn: 64501, organisation: "Example Cloud", hosting: observation.HostingHosting, up: []int{0}})
	}
	for i := range 6 {
		server("row", "10.2.0", i, 30000+i)
		server("one", "10.2.1", i, 40404)
		server("random", "10.2.2", i, 20000+977*i)
		server("usual", "10.2.3", i, 4001)
		server("scattered", fmt.Sprintf("10.3.%d", i), i, 4001)
	}
	for i := range 4 {
		server("few", "10.2.4", i, 41414)
	}
	r.crawl(t, 0, observation.Complete, plan)
	c, err := Record(t.Context(), r.store.DB(), Default(), "net", r.ids)
	if err != nil {
		t.Fatal(err)
	}
	const rule = "ports-in-a-pattern"
	peers := 0
	for _, g := range c.Groups {
		if slices.Contains(names(g.Verdict.Evidence), rule) {
			peers += g.Peers
		}
	}
	if peers != 12 {
		t.Errorf("the census finds a pattern in the ports of %d peers, want those of 12", peers)
	}
	for id, want := range map[string]int{"row0": 6, "one3": 6, "random1": 1, "usual2": 0, "scattered4": 0, "few0": 4} {
		seen, err := Sightings(t.Context(), r.store.DB(), id)
		if err != nil || len(seen) != 1 {
			t.Fatalf("%s: %d sightings, %v", id, len(seen), err)
		}
		traits := seen[0].Traits
		if traits.Ports != want || slices.Contains(names(Default().Judge(traits).Evidence), rule) != (want >= 5) {
			t.Errorf("%s: ports of %d are in a pattern, want %d", id, traits.Ports, want)
		}
	}
}
