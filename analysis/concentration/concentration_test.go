package concentration

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"canopy/analysis"
)

func compute(t *testing.T, holders []Holder, opt Options) Result {
	t.Helper()
	r, err := Compute("organisations", holders, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > 1e-9 {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// Shares 0.5, 0.3, 0.2: HHI 0.38; entropy 1.0297; ascending 0.2, 0.3, 0.5: Gini 2(0.2+0.6+1.5)/3 - 4/3 = 0.2.
func TestByHand(t *testing.T) {
	r := compute(t, []Holder{{"b", 3}, {"a", 4}, {"c", 2}, {"a", 1}, {"nothing", 0}}, Options{Peers: 100, N: 120, Seed: 1})
	near(t, "HHI", r.HHI.Value, 0.38)
	near(t, "effective number", r.Effective.Value, 1/0.38)
	near(t, "Shannon", r.Shannon.Value, math.Exp(-0.5*math.Log(0.5)-0.3*math.Log(0.3)-0.2*math.Log(0.2)))
	near(t, "Gini", r.Gini.Value, 0.2)
	want := [][]string{{"a"}, {"a", "b"}, {"a", "b"}}
	for i, n := range r.Nakamoto {
		if !reflect.DeepEqual(n.Names, want[i]) || int(n.Size.Value) != len(want[i]) {
			t.Errorf("more than %.2f: %v (%v), want %v", n.Threshold, n.Names, n.Size.Value, want[i])
		}
	}
	for _, e := range []analysis.Estimate{r.HHI, r.Effective, r.Shannon, r.Gini} {
		if !(e.Lower <= e.Value && e.Value <= e.Upper) || e.Lower == e.Upper || e.N != 120 {
			t.Errorf("estimate out of shape: %+v", e)
		}
	}
}

// Exactly half is not more than half, whatever rounding says.
func TestEqualHolders(t *testing.T) {
	r := compute(t, []Holder{{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}, {"f", 1}}, Options{Peers: 60, Seed: 1})
	for i, want := range []float64{3, 4, 5} {
		near(t, "Nakamoto", r.Nakamoto[i].Size.Value, want)
	}
	near(t, "effective number", r.Effective.Value, 6)
	near(t, "Gini", r.Gini.Value, 0)
}

func TestOneHolderHasEverything(t *testing.T) {
	r := compute(t, []Holder{{"a", 7}}, Options{Peers: 7, N: 7, Seed: 1})
	for _, e := range []analysis.Estimate{r.HHI, r.Effective, r.Shannon, r.Nakamoto[0].Size, r.Nakamoto[2].Size} {
		if e.Value != 1 || e.Lower != 1 || e.Upper != 1 {
			t.Errorf("one holder: %+v", e)
		}
	}
	if r.Gini.Value != 0 || r.Gini.Upper != 0 {
		t.Errorf("Gini of one holder: %+v", r.Gini)
	}
}

func TestNobodyHoldsAnything(t *testing.T) {
	if _, err := Compute("organisations", []Holder{{"a", 0}}, Options{}); err == nil || !strings.Contains(err.Error(), "nobody holds anything") {
		t.Errorf("concentration of nothing: %v", err)
	}
}

func TestEqualSeedsGiveEqualIntervals(t *testing.T) {
	holders := []Holder{{"a", 5}, {"b", 3}, {"c", 1}, {"d", 1}}
	opt := Options{Peers: 50, Replicates: 200, Seed: 3}
	if a, b := compute(t, holders, opt), compute(t, holders, opt); !reflect.DeepEqual(a, b) {
		t.Error("two computations differ")
	}
}

// The interval covers the effective number of the population that peers were drawn from.
func TestIntervalCoversPlannedConcentration(t *testing.T) {
	const runs, peers = 300, 400
	plan := []float64{0.3, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03, 0.02, 0.02, 0.01, 0.01}
	truth := measure(plan)
	rng := rand.New(rand.NewPCG(5, 8))
	covered := map[int]int{}
	for run := range runs {
		holders := make([]Holder, len(plan))
		for range peers {
			at, sum := rng.Float64(), 0.0
			for i, s := range plan {
				if sum += s; at < sum || i == len(plan)-1 {
					holders[i].Name, holders[i].Weight = string(rune('a'+i)), holders[i].Weight+1
					break
				}
			}
		}
		r := compute(t, holders, Options{Peers: peers, Replicates: 300, Seed: uint64(run)})
		for part, e := range map[int]analysis.Estimate{hhi: r.HHI, effective: r.Effective, shannon: r.Shannon} {
			if e.Lower <= truth[part] && truth[part] <= e.Upper {
				covered[part]++
			}
		}
	}
	for part, k := range covered {
		if rate := float64(k) / runs; rate < 0.91 || rate > 0.99 {
			t.Errorf("part %d: a 95 %% interval covered the plan in %.1f %% of %d runs", part, 100*rate, runs)
		}
	}
}

// That all of a few peers are of one holder does not show that there is no other.
func TestOneHolderInACrawlLeavesRoomForOthers(t *testing.T) {
	few, many := Effective("operators", []int{20, 0}, "peers"), Effective("operators", []int{20_000}, "peers")
	if few.Value != 1 || few.Lower != 1 || few.Upper < 1.2 || few.Upper > 1.6 {
		t.Errorf("20 peers of one holder: %+v", few)
	}
	if many.Upper < 1 || many.Upper > 1.001 {
		t.Errorf("20,000 peers of one holder: %+v", many)
	}
}
