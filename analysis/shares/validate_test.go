package shares

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"canopy/analysis/truth"
)

// Validation against planned shares; see truth.Env. Peers are up with a
// probability of their own, over 6 crawls.
func TestValidate(t *testing.T) {
	runs := 3 * truth.Runs()
	if runs == 0 {
		t.Skip("set " + truth.Env + " to the number of runs")
	}
	rng := rand.New(rand.NewPCG(7, 12))
	var rows []*truth.Row
	for _, share := range []float64{0.05, 0.3, 0.8} {
		groups := &truth.Row{Quantity: "share, mean of snapshots per reachable peer", Truth: share}
		mean := &truth.Row{Quantity: "share, the same cell of the matrix", Truth: share}
		union := &truth.Row{Quantity: "share, union of the window per reachable peer", Truth: share}
		for range runs {
			seen, class := population(rng, 400, 6, share)
			s, err := NewSample("reachable peers", grouped(seen))
			if err != nil {
				t.Fatal(err)
			}
			groups.Add(s.Share(func(i int) bool { return class[i] == 1 }))
			cells := tallied(seen, class).cells()
			mean.Add(*cells[0].Share("hosting"))
			union.Add(*cells[1].Share("hosting"))
		}
		rows = append(rows, groups, mean, union)
	}
	for _, row := range rows {
		fmt.Println(row)
		if !row.Kept() {
			t.Errorf("coverage of %s: %.3f", row.Quantity, row.Coverage())
		}
	}
}

func population(rng *rand.Rand, peers, times int, share float64) (seen [][]bool, class []int) {
	for range peers {
		c, up := 0, rng.Float64()
		if rng.Float64() < share {
			c = 1
		}
		row := make([]bool, times)
		for t := range row {
			row[t] = rng.Float64() < up
		}
		seen, class = append(seen, row), append(class, c)
	}
	return seen, class
}

func tallied(seen [][]bool, class []int) tally {
	t := tally{unit: "peer", classes: []string{"residential", "hosting"}, crawls: len(seen[0]), counts: map[mark]int{}}
	for i, row := range seen {
		var marks []mark
		for crawl, up := range row {
			if up {
				marks = append(marks, mark{true, crawl + 1, class[i]})
			}
		}
		if marks == nil {
			continue
		}
		marks = append(marks, mark{true, 0, class[i]})
		for _, m := range marks {
			t.counts[m]++
		}
		t.sample = append(t.sample, marks)
	}
	return t
}
