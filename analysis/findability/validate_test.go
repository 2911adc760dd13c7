package findability

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"canopy/analysis/truth"
)

// counted is a swarm as filters count it: two random bits for each peer.
func counted(rng *rand.Rand, peers int) float64 {
	set := map[int]bool{}
	for range 2 * peers {
		set[rng.IntN(filterBits)] = true
	}
	return math.Log(float64(max(1, filterBits-len(set)))/filterBits) / (2 * math.Log(1-1.0/filterBits))
}

func swarmRows(runs int) (rows []*truth.Row) {
	rng := rand.New(rand.NewPCG(33, 5))
	for _, peers := range []int{100, 1000, 3000} {
		row := &truth.Row{Quantity: "peers of a swarm, by Bloom filters", Truth: float64(peers)}
		for range runs {
			row.Add(*Swarm(counted(rng, peers), 1, "peers"))
		}
		rows = append(rows, row)
	}
	return rows
}

// Validation against planned swarms; see truth.Env.
func TestValidate(t *testing.T) {
	runs := 10 * truth.Runs()
	if runs == 0 {
		t.Skip("set " + truth.Env + " to the number of runs")
	}
	for _, row := range swarmRows(runs) {
		fmt.Println(row)
		if !row.Kept() {
			t.Errorf("coverage of %s: %.3f", row.Quantity, row.Coverage())
		}
	}
}

func TestSwarmIntervalsCover(t *testing.T) {
	for _, row := range swarmRows(1000) {
		if !row.Kept() {
			t.Errorf("%s of %g: coverage %.3f", row.Quantity, row.Truth, row.Coverage())
		}
	}
	if e := Swarm(0, 4, "peers"); e.Lower != 0 || e.Upper != 0 {
		t.Errorf("nobody: %+v", e)
	}
	if e := Swarm(7805, 4, "peers"); len(e.Warnings) != 1 || math.IsNaN(e.Upper) || math.IsInf(e.Upper, 0) {
		t.Errorf("as many as can be counted: %+v", e)
	}
}
