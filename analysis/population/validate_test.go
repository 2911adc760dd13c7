package population

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"canopy/analysis/truth"
)

// Validation against networks of known size, of whose nodes every answer misses
// a fifth; see truth.Env.
func TestValidate(t *testing.T) {
	runs := 6 * truth.Runs()
	if runs == 0 {
		t.Skip("set " + truth.Env + " to the number of runs")
	}
	const nodes, missing = 30_000, 0.2
	rows := []*truth.Row{
		{Quantity: "size in nodes, planted-node correction"}, {Quantity: "size in nodes, lookup distances"}, {Quantity: "size in nodes, two crawls"},
	}
	for seed := range runs {
		m := newModel(rand.New(rand.NewPCG(uint64(seed), 17)), nodes, missing)
		s := Compute(m.walk(survey{bits: 4, planted: 50, confirmed: 50, lookups: 100, k: 8}))
		for i, a := range []Answer{s.Corrected, s.Distances, s.Floor} {
			if a.Estimate == nil {
				t.Fatalf("%s: %s", rows[i].Quantity, a.Absent)
			}
			rows[i].Against(nodes, *a.Estimate)
		}
	}
	for _, row := range rows {
		fmt.Println(row)
		if !row.Kept() {
			t.Errorf("coverage of %s: %.3f", row.Quantity, row.Coverage())
		}
	}
}
