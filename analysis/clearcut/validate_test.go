package clearcut

import (
	"fmt"
	"testing"

	"canopy/analysis/truth"
)

// Validation against the success of very many lookups, of one removal before
// and after repair, and of random sets of its size; see truth.Env.
func TestValidate(t *testing.T) {
	runs := 5 * truth.Runs()
	if runs == 0 {
		t.Skip("set " + truth.Env + " to the number of runs")
	}
	const peers, gone, lookups, sets = 150, 90, 200, 8
	network := small
	network.K, network.Alpha = 3, 2
	g := random(t, network, peers, 40, 8)
	recorded := g.Without(g.draw(gone, 1))
	repaired, err := recorded.Repaired(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	search := func(r *Remains, lookups int, seed uint64) []Trace {
		t.Helper()
		traces, err := r.search(t.Context(), lookups, seed)
		if err != nil {
			t.Fatal(err)
		}
		return traces
	}
	var rows []*truth.Row
	for i, r := range []*Remains{recorded, repaired} {
		row := &truth.Row{Quantity: "lookup success, " + []string{"tables as recorded", "after repair"}[i], Truth: each(search(r, 200_000, 99)).success}
		for run := range runs {
			row.Add(summarise(singly(search(r, lookups, uint64(run)+1000)), []float64{1}).Success)
		}
		rows = append(rows, row)
	}
	var all []Trace
	for set := range 4000 {
		all = append(all, search(g.Without(g.draw(gone, uint64(set)+5)), 50, uint64(set))...)
	}
	random := &truth.Row{Quantity: "lookup success, random sets", Truth: each(all).success}
	for run := range runs {
		c, err := g.RandomCut(t.Context(), gone, Options{Lookups: lookups, Repetitions: sets, Seed: uint64(run) + 3})
		if err != nil {
			t.Fatal(err)
		}
		random.Add(c.Recorded.Success)
	}
	for _, row := range append(rows, random) {
		fmt.Println(row)
		if !row.Kept() {
			t.Errorf("coverage of %s: %.3f", row.Quantity, row.Coverage())
		}
	}
}
