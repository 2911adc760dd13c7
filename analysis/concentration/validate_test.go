package concentration

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"canopy/analysis/truth"
)

// holding is a plan of 30 holders, the largest a fifth.
func holding() []float64 {
	plan, sum := make([]float64, 30), 0.0
	for i := range plan {
		plan[i] = 1 / float64(i+3)
		sum += plan[i]
	}
	for i := range plan {
		plan[i] /= sum
	}
	return plan
}

func drawnCounts(rng *rand.Rand, plan []float64, peers int) []int {
	counts := make([]int, len(plan))
	for range peers {
		at, i := rng.Float64(), 0
		for ; i < len(plan)-1 && at >= plan[i]; i++ {
			at -= plan[i]
		}
		counts[i]++
	}
	return counts
}

// Validation against planned holders; see truth.Env.
func TestValidate(t *testing.T) {
	runs := 3 * truth.Runs()
	if runs == 0 {
		t.Skip("set " + truth.Env + " to the number of runs")
	}
	plan := holding()
	want := measure(plan)
	rows := []*truth.Row{
		{Quantity: "effective number of holders, 1/HHI, bootstrap", Truth: want[effective]}, {Quantity: "effective number of holders, entropy, bootstrap", Truth: want[shannon]},
		{Quantity: "effective number of holders, one crawl of a trend", Truth: want[effective]},
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for seed := range runs {
		counts := drawnCounts(rng, plan, 1000)
		var holders []Holder
		for i, k := range counts {
			holders = append(holders, Holder{fmt.Sprint(i), float64(k)})
		}
		r, err := Compute("holders", holders, Options{Peers: 1000, N: 1000, Replicates: 500, Seed: uint64(seed)})
		if err != nil {
			t.Fatal(err)
		}
		rows[0].Add(r.Effective)
		rows[1].Add(r.Shannon)
		rows[2].Add(Effective("holders", counts, "peers"))
	}
	for _, row := range rows {
		fmt.Println(row)
		if !row.Kept() {
			t.Errorf("coverage of %s: %.3f", row.Quantity, row.Coverage())
		}
	}
}

func TestTrendOfFewHolders(t *testing.T) {
	for name, counts := range map[string][]int{"one": {7}, "two": {1, 1}, "one of many": {5, 0, 0}, "equal": {50, 50, 50, 50}} {
		if e := Effective("holders", counts, "peers"); !(e.Lower <= e.Value && e.Value <= e.Upper) || e.Lower < 1 || e.Upper > 1e6 {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if e := Effective("holders", nil, "peers"); len(e.Warnings) == 0 || e.Value != 0 {
		t.Errorf("nobody: %+v", e)
	}
}
