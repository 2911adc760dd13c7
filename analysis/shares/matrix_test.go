package shares

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

var classes = []string{"residential", "hosting", "unknown"}

// By hand: crawl 1 holds A and B, crawl 2 holds A, B and C. A is of class 0 in
// both, B of class 1 and then of 0, C of 1. Only A and C answered.
func TestMatrixByHand(t *testing.T) {
	const up = true
	sample := [][]mark{
		{{!up, 1, 0}, {!up, 2, 0}, {!up, 0, 0}, {up, 1, 0}, {up, 2, 0}, {up, 0, 0}},
		{{!up, 1, 1}, {!up, 2, 0}, {!up, 0, mixed}},
		{{!up, 2, 1}, {!up, 0, 1}, {up, 2, 1}, {up, 0, 1}},
	}
	of := tally{unit: "peer", classes: classes, crawls: 2, counts: map[mark]int{}, sample: sample}
	for _, marks := range sample {
		for _, m := range marks {
			of.counts[m]++
		}
	}
	want := map[string]float64{
		"mean of snapshots, per discovered peer residential": (1.0/2 + 2.0/3) / 2, "mean of snapshots, per discovered peer hosting": (1.0/2 + 1.0/3) / 2,
		"union of the window, per discovered peer residential": 1.0 / 3, "union of the window, per discovered peer hosting": 1.0 / 3, "union of the window, per discovered peer mixed": 1.0 / 3,
		"mean of snapshots, per reachable peer residential": (1 + 1.0/2) / 2, "mean of snapshots, per reachable peer hosting": 1.0 / 4,
		"union of the window, per reachable peer residential": 1.0 / 2, "union of the window, per reachable peer hosting": 1.0 / 2,
	}
	cells := of.cells()
	for _, c := range cells {
		sum := 0.0
		for _, class := range c.Classes {
			sum += class.Share.Value
			if class.Share.Value > 0 {
				near(t, c.Name()+" "+class.Class, class.Share.Value, want[c.Name()+" "+class.Class], 1e-12)
			}
			if e := class.Share; e.Lower > e.Value || e.Upper < e.Value || e.Upper == e.Lower {
				t.Errorf("%s: interval %+v", c.Name(), e)
			}
		}
		near(t, c.Name()+" in all", sum, 1, 1e-12)
	}
	low, high, ok := Range(cells, "residential")
	if !ok || low.Name() != "union of the window, per discovered peer" || high.Name() != "mean of snapshots, per reachable peer" {
		t.Errorf("range from %q to %q", low.Name(), high.Name())
	}
	if len(tally{classes: classes, crawls: 1}.cells()) != 0 {
		t.Error("cells of nothing")
	}
}

// The cell of headlines, of groups that are all peers of two crawls.
func TestMatrixOfGroups(t *testing.T) {
	groups := Counted([][]int{{2, 2}, {1, 0}, {1, 1}, {4, 4}})
	cell, err := ByGroups(groups, classes, func(i int) int { return []int{0, 0, 1, 2}[i] })
	must(t, err)
	near(t, "mean per peer", cell.Share("residential").Value, (3.0/8+2.0/7)/2, 1e-12)
	near(t, "mean per peer", cell.Share("hosting").Value, (1.0/8+1.0/7)/2, 1e-12)
	if cell.Name() != "mean of snapshots, per reachable peer" {
		t.Errorf("cell %q", cell.Name())
	}
}

// The record's own count equals one made visit by visit.
func TestMatrixFromTheRecord(t *testing.T) {
	s := storetest.Migrated(t, "chdb:"+t.TempDir())
	rng := rand.New(rand.NewPCG(3, 4))
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var ids []string
	var all []observation.Visit
	for crawl := range 4 {
		id := observation.NewCrawlID(start.Add(time.Duration(crawl) * time.Hour))
		ids = append(ids, fmt.Sprint(id))
		for n := range 300 {
			v := observation.Visit{
				Network: "alpha", CrawlID: id, Number: uint32(n), VisitedAt: start.Add(time.Duration(crawl) * time.Hour), PeerID: fmt.Sprint(rng.IntN(200)),
				Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{45, 0, byte(rng.IntN(10)), byte(rng.IntN(30))}), 1), Outcome: observation.Timeout,
				Facts: observation.Facts{Hosting: observation.Hosting([]string{"residential", "hosting", "residential", ""}[rng.IntN(4)]), Organisation: []string{"", "A", "B", "C"}[rng.IntN(4)]},
			}
			if rng.IntN(2) == 0 {
				v.Outcome = observation.Answered
			}
			all = append(all, v)
		}
	}
	must(t, s.Visits(t.Context(), all))
	must(t, s.Flush(t.Context()))
	// Verdicts on peers, by the hash that the record makes of their IDs.
	verdicts, kinds := map[uint64]int{}, []string{"community", "commercial", "unknown"}
	kind := func(id string) int { return min(2, len(id)-1) }
	rows, err := s.DB().QueryContext(t.Context(), "SELECT DISTINCT peer_id, sipHash64(peer_id) FROM visits")
	must(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		var hash uint64
		must(t, rows.Scan(&id, &hash))
		verdicts[hash] = kind(id)
	}
	must(t, rows.Err())
	in := Question{Network: "alpha", Crawls: ids, Visits: len(all), Land: classes, Kinds: kinds, Verdict: func(peer uint64) int { return verdicts[peer] }}
	land, judged, err := Matrix(t.Context(), s.DB(), in)
	must(t, err)
	if len(land) != 16 || len(judged) != 16 {
		t.Fatalf("%d and %d cells", len(land), len(judged))
	}
	compare(t, land, all, func(v observation.Visit) string { return string(v.Facts.Hosting) })
	compare(t, judged, all, func(v observation.Visit) string { return kinds[kind(v.PeerID)] })

	in.Visits = 3 * mostVisits
	drawn, _, err := Matrix(t.Context(), s.DB(), in)
	must(t, err)
	for i, c := range drawn {
		if c.OneIn != 3 || c.Units > land[i].Units || c.Units == land[i].Units && c.Units > 4 {
			t.Errorf("%s: %d of %d units, one in %d", c.Name(), c.Units, land[i].Units, c.OneIn)
		}
	}
	if _, _, err := Matrix(t.Context(), s.DB(), Question{Network: "alpha"}); err == nil || !strings.Contains(err.Error(), "0 crawls") {
		t.Errorf("a matrix of no crawls: %v", err)
	}
}

// compare compares cells with a count that is made visit by visit.
func compare(t *testing.T, cells []Cell, all []observation.Visit, class func(observation.Visit) string) {
	t.Helper()
	for _, c := range cells {
		for class, want := range counted(all, c, class) {
			e := c.Share(class)
			if e == nil {
				t.Errorf("%s: no share of %s, want %v", c.Name(), class, want)
				continue
			}
			near(t, c.Name()+" "+class, e.Value, want, 1e-9)
		}
	}
}

// counted counts the shares of a cell visit by visit.
func counted(all []observation.Visit, c Cell, classOf func(observation.Visit) string) map[string]float64 {
	seen := map[observation.CrawlID]map[string]map[string]bool{}
	for _, v := range all {
		unit := map[string]string{"peer": v.PeerID, "IP address": v.Address.Addr().String(), "AS organisation": v.Facts.Organisation}[c.Per]
		if c.Per == "/24 or /56" {
			unit = netip.PrefixFrom(v.Address.Addr(), 24).Masked().String()
		}
		if unit == "" || c.Of == Reachable && v.Outcome != observation.Answered {
			continue
		}
		crawl, class := v.CrawlID, classOf(v)
		if c.Over == Union {
			crawl = observation.CrawlID{}
		}
		if class == "" {
			class = "unknown"
		}
		if seen[crawl] == nil {
			seen[crawl] = map[string]map[string]bool{}
		}
		if seen[crawl][unit] == nil {
			seen[crawl][unit] = map[string]bool{}
		}
		seen[crawl][unit][class] = true
	}
	shares := map[string]float64{}
	for _, units := range seen {
		for _, in := range units {
			name := Mixed
			if len(in) == 1 {
				for name = range in {
				}
			}
			shares[name] += 1 / float64(len(units)) / float64(len(seen))
		}
	}
	return shares
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A share that is all in every crawl is all, whatever the number of crawls: by
// rounding below one it would seem to be known without any doubt.
func TestMeanOfAll(t *testing.T) {
	for n := 1; n < 60; n++ {
		if mean, variance := meanAndVariance(slices.Repeat([]float64{1}, n)); mean != 1 || variance != 0 {
			t.Errorf("the mean of %d ones is %v, its variance %v", n, mean, variance)
		}
	}
}
