package shares

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance {
		t.Errorf("%s = %.6f, want %.6f", what, got, want)
	}
}

// The published example of Wilson's interval: 15 of 148 (Newcombe 1998, table I).
func TestWilsonAgainstNewcombe(t *testing.T) {
	for _, c := range []struct{ k, n, lower, upper float64 }{
		{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718},
	} {
		lower, upper := Wilson(c.k/c.n, c.n)
		near(t, "lower", lower, c.lower, 5e-5)
		near(t, "upper", upper, c.upper, 5e-5)
	}
}

func TestWilsonWithoutObservationsKnowsNothing(t *testing.T) {
	if lower, upper := Wilson(0.5, 0); lower != 0 || upper != 1 {
		t.Errorf("Wilson(0.5, 0) = %v, %v", lower, upper)
	}
	if e := Proportion(0, 0, "share", "peers"); e.Lower != 0 || e.Upper != 1 || len(e.Warnings) == 0 {
		t.Errorf("Proportion(0, 0) = %+v", e)
	}
}

// grouped makes one group for each peer; seen[i][t] says whether peer i answered in crawl t.
func grouped(seen [][]bool) []Group {
	totals := make([]int, len(seen[0]))
	for _, peer := range seen {
		for t, up := range peer {
			if up {
				totals[t]++
			}
		}
	}
	groups := make([]Group, len(seen))
	for i, peer := range seen {
		g := Group{Counts: make([]int, len(totals))}
		for t, up := range peer {
			if up {
				g.Counts[t] = 1
				g.Weight += 1 / float64(totals[t])
			}
		}
		if g.Weight > 0 {
			g.Peers = 1
		}
		g.Squares = g.Weight * g.Weight
		groups[i] = g
	}
	return groups
}

// By hand: crawl 1 sees peers A, B, C, D; crawl 2 sees A, B. The class is {A, C}.
// p = (2/4 + 1/2) / 2 = 1/2. a = 3/4, 3/4, 1/4, 1/4. Over peers: (2*9/16 + 2*1/16) / 4 / 4 = 5/64; between crawls: 0.
// Effective size: 1/4 / (5/64) = 3.2.
func TestShareByHand(t *testing.T) {
	s, err := NewSample("reachable peers", grouped([][]bool{{true, true}, {true, true}, {true, false}, {true, false}}))
	if err != nil {
		t.Fatal(err)
	}
	in := func(i int) bool { return i == 0 || i == 2 }
	e := s.Share(in)
	near(t, "share", e.Value, 0.5, 1e-12)
	near(t, "effective size", s.effective(0.5, in), 3.2, 1e-9)
	lower, upper := Wilson(0.5, 3.2)
	near(t, "lower", e.Lower, lower, 1e-9)
	near(t, "upper", e.Upper, upper, 1e-9)
	near(t, "effective peers", s.EffectivePeers(), 4/1.25, 1e-9)
	if e.N != 4 || e.NUnit != "reachable peers in 2 crawls" {
		t.Errorf("n = %d %s", e.N, e.NUnit)
	}
	// With {A} alone the crawls differ: 1/4 and 1/2, variance 1/32, of the mean 1/64.
	near(t, "between crawls", s.overTime(func(i int) bool { return i == 0 }), 1.0/64, 1e-12)
}

func TestShareOfNothingAndOfAll(t *testing.T) {
	s, err := NewSample("reachable peers", grouped([][]bool{{true}, {true}, {true}}))
	if err != nil {
		t.Fatal(err)
	}
	none := s.Share(func(int) bool { return false })
	all := s.Share(func(int) bool { return true })
	if none.Value != 0 || none.Lower != 0 || none.Upper <= 0 || all.Value != 1 || all.Upper != 1 || all.Lower >= 1 {
		t.Errorf("none %+v, all %+v", none, all)
	}
	if len(all.Warnings) != 1 || !strings.Contains(all.Warnings[0], "one crawl") {
		t.Errorf("warnings of one crawl: %q", all.Warnings)
	}
}

func TestSampleRefusesWhatItCannotCount(t *testing.T) {
	if _, err := NewSample("peers", nil); err == nil || !strings.Contains(err.Error(), "there are no peers") {
		t.Errorf("a sample of no peers: %v", err)
	}
	if _, err := NewSample("peers", []Group{{Counts: []int{0}}}); err == nil || !strings.Contains(err.Error(), "there are no peers") {
		t.Errorf("a sample without a reachable peer: %v", err)
	}
	if _, err := NewSample("peers", []Group{{Counts: []int{1}, Weight: 1}, {Counts: []int{1, 2}, Weight: 1}}); err == nil || !strings.Contains(err.Error(), "group 1 counts 2 crawls") {
		t.Errorf("groups of different lengths: %v", err)
	}
}

// A crawl in which nobody answered has no shares; it must not pull others to zero.
func TestEmptyCrawlIsLeftOut(t *testing.T) {
	s, err := NewSample("reachable peers", grouped([][]bool{{true, false}, {true, false}}))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "share", s.Share(func(i int) bool { return i == 0 }).Value, 0.5, 1e-12)
	if trend := s.Trend(func(i int) bool { return i == 0 }); trend[1].Lower != 0 || trend[1].Upper != 1 {
		t.Errorf("share of an empty crawl: %+v", trend[1])
	}
}

// The same peers in each of two crawls say as much as one crawl of them.
func TestCountsWithoutIdentities(t *testing.T) {
	s, err := NewSample("visited peers", Counted([][]int{{30, 30}, {70, 70}}))
	if err != nil {
		t.Fatal(err)
	}
	e := s.Share(func(i int) bool { return i == 0 })
	lower, upper := Wilson(0.3, 100)
	near(t, "share", e.Value, 0.3, 1e-12)
	near(t, "lower", e.Lower, lower, 1e-9)
	near(t, "upper", e.Upper, upper, 1e-9)
	if e.N != 100 || e.NUnit != "visited peers in 2 crawls" {
		t.Errorf("n = %d %s", e.N, e.NUnit)
	}
}

func TestBoundsHoldTheShare(t *testing.T) {
	s, err := NewSample("reachable peers", grouped([][]bool{{true}, {true}, {true}, {true}}))
	if err != nil {
		t.Fatal(err)
	}
	b := s.Bounded(func(i int) bool { return i < 2 }, func(i int) bool { return i < 1 }, func(i int) bool { return i == 1 || i == 2 })
	near(t, "share", b.Share.Value, 0.5, 1e-12)
	near(t, "at least", b.AtLeast.Value, 0.25, 1e-12)
	near(t, "at most", b.AtMost.Value, 0.75, 1e-12)
}

// The interval covers the share of the process, not of the peers that happened to be there: a share of 0.3 among
// peers that are up with a probability of their own, over 6 crawls.
func TestIntervalCoversPlannedShare(t *testing.T) {
	const runs, peers, times, truth = 400, 300, 6, 0.3
	rng := rand.New(rand.NewPCG(7, 11))
	covered := 0
	for range runs {
		class, seen := make([]bool, peers), make([][]bool, peers)
		for i := range seen {
			class[i] = rng.Float64() < truth
			up := rng.Float64()
			seen[i] = make([]bool, times)
			for t := range seen[i] {
				seen[i][t] = rng.Float64() < up
			}
		}
		s, err := NewSample("reachable peers", grouped(seen))
		if err != nil {
			t.Fatal(err)
		}
		e := s.Share(func(i int) bool { return class[i] })
		if e.Lower <= truth && truth <= e.Upper {
			covered++
		}
	}
	if rate := float64(covered) / runs; rate < 0.93 || rate > 0.985 {
		t.Errorf("a 95 %% interval covered the planned share in %.1f %% of %d runs", 100*rate, runs)
	}
}
