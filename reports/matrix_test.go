package reports

import (
	"math"
	"strings"
	"testing"
	"time"

	"canopy/analysis/operator"
	"canopy/analysis/shares"
	"canopy/crawler/observation"
)

// Seventy peers are a company's fleet in one /24, on the land of one
// organisation of seven; every other peer that answers has a /24 of its own.
// The forty that never answer share another, whose organisation nobody knows.
func TestOperatorsInEveryCell(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(6, 80e9, observation.ScopeLocal), population("alpha"))
	n := build(t, s.DB()).Networks[0]
	if len(n.Counting.Hosting) != 16 || len(n.Counting.Operator) != 16 {
		t.Fatalf("%d and %d cells", len(n.Counting.Hosting), len(n.Counting.Operator))
	}
	commercial := map[string]float64{
		"union of the window, per reachable peer": 70.0 / 165, "union of the window, per discovered peer": 70.0 / 205,
		"union of the window, per reachable IP address": 70.0 / 165, "union of the window, per discovered IP address": 70.0 / 205,
		"union of the window, per reachable /24 or /56": 1.0 / 96, "union of the window, per discovered /24 or /56": 1.0 / 97,
		"union of the window, per reachable AS organisation": 1.0 / 7, "union of the window, per discovered AS organisation": 1.0 / 7,
		"mean of snapshots, per reachable peer":       (70.0/152 + 70.0/151 + 70.0/150) / 3,
		"mean of snapshots, per reachable IP address": (70.0/152 + 70.0/151 + 70.0/150) / 3,
		"mean of snapshots, per reachable /24 or /56": (1.0/83 + 1.0/82 + 1.0/81) / 3,
	}
	seen := 0
	for _, c := range n.Counting.Operator {
		sum, want := 0.0, -1.0
		if v, ok := commercial[c.Name()]; ok {
			want = v
			seen++
		}
		for _, class := range c.Classes {
			sum += class.Share.Value
			if class.Class == string(operator.Commercial) && want >= 0 && (math.Abs(class.Share.Value-want) > 1e-9 || class.Share.Lower > want || class.Share.Upper < want) {
				t.Errorf("%s: %v (%v to %v), planned %v", c.Name(), class.Share.Value, class.Share.Lower, class.Share.Upper, want)
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%s: shares sum to %v", c.Name(), sum)
		}
		if undecided := c.Share(unknown); c.Of == shares.Discovered && c.Per == "peer" && (undecided == nil || undecided.Value < 40.0/205) {
			t.Errorf("%s: %+v undecided, though forty never answered", c.Name(), undecided)
		}
	}
	if seen != len(commercial) {
		t.Errorf("%d of %d planned cells", seen, len(commercial))
	}
}

// A walk asks some peers whether they sample info-hashes and estimate swarms,
// and some of those can.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	crawls := crawlsEvery(2, 80e9, observation.ScopeLocal)
	write(t, s, alpha, crawls, population("alpha"))
	// Twenty more peers are all asked; ten can sample, five of them only in the second crawl.
	_, err := s.DB().ExecContext(t.Context(), `
INSERT INTO visits_log (network, crawl_id, number, visited_at, peer_id, address, port, outcome, protocols)
SELECT network, crawl_id, number + 10000, visited_at, concat('asked-', toString(number)), toIPv6(concat('45.77.', toString(number), '.1')), port, 'answered',
       arrayConcat(['asked=bep51', 'asked=bep33'], if(number < 5 OR number < 10 AND crawl_id = (SELECT max(crawl_id) FROM visits), ['bep51'], []), if(number < 2, ['bep33'], []))
FROM visits WHERE number < 20`)
	must(t, err)
	r := build(t, s.DB())
	want := map[string][2]int{"bep51": {20, 10}, "bep33": {20, 2}}
	for _, c := range r.Networks[0].Capabilities {
		if c.Asked != want[c.Name][0] || c.Able != want[c.Name][1] {
			t.Errorf("%s: %d of %d are able, planned %v", c.Name, c.Able, c.Asked, want[c.Name])
		}
		if v := float64(c.Able) / float64(c.Asked); c.Share.Value != v || c.Share.Lower >= v || c.Share.Upper <= v || c.Share.N != c.Asked {
			t.Errorf("%s: %+v", c.Name, c.Share)
		}
		delete(want, c.Name)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	html := checkNumbers(t, r)
	for _, words := range []string{"names a sample of what it indexes (BEP 51)", "estimates the size of swarms (BEP 33)", "50.0", "10.0"} {
		if !strings.Contains(html, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
}

// Half of the homes stand on rented land from the third crawl on: the cell of
// the headline counts both, the headline the last, and the page says so.
func TestPeersThatMoved(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	crawls, peers := crawlsEvery(4, time.Hour, observation.ScopeGlobal), population("alpha")
	write(t, s, alpha, crawls[:2], peers)
	if n := build(t, s.DB()).Networks[0]; n.Counting.Moved != "" {
		t.Errorf("nobody moved: %s", n.Counting.Moved)
	}
	for i := range peers {
		if peers[i].facts.Hosting == observation.HostingResidential && i%2 == 0 {
			peers[i].facts.Hosting = observation.HostingHosting
		}
	}
	write(t, s, alpha, crawls[2:], peers)
	r := build(t, s.DB())
	n := r.Networks[0]
	for _, c := range n.Counting.Hosting {
		if !headlineCell(c) {
			continue
		}
		last := largestOf(n.Hosting).Share
		here := percent(*c.Share("hosting"))
		if here == percent(last) || !strings.Contains(n.Counting.Moved, here+" here and "+percent(last)+" there") {
			t.Errorf("%s in the cell, %s in the headline: %q", here, percent(last), n.Counting.Moved)
		}
	}
	if html := checkNumbers(t, r); !strings.Contains(html, "Some peers changed land") {
		t.Error("the page does not say that peers moved")
	}
}
