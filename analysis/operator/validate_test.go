package operator_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/analysis/operator"
	"canopy/analysis/shares"
	"canopy/analysis/truth"
	"canopy/crawler/testnet"
	"canopy/crawler/testnet/ipfs"
	"canopy/crawler/testnet/mainline"
)

// judged is one planned network as a perfect crawl would see it, and who really
// runs it.
func judged(t *testing.T, population testnet.Population, nodes int, seed uint64) ([]operator.Group, map[operator.Operator]float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 8))
	plan, err := testnet.New(operator.Varied(population, rng), testnet.Size{Nodes: nodes, Horizon: 24 * time.Hour}, seed)
	if err != nil {
		t.Fatal(err)
	}
	peers := operator.Crowd(plan.AliveAt(12 * time.Hour))
	a := 1 / float64(len(peers))
	groups, really := make([]operator.Group, len(peers)), map[operator.Operator]float64{}
	for i, p := range peers {
		groups[i] = operator.Group{Verdict: operator.Default().Judge(p.Traits), Peers: 1, Counts: []int{1}, Weight: a, Squares: a * a}
		really[p.Operator] += a
	}
	return groups, really
}

var networks = []struct {
	name       string
	population func() testnet.Population
	nodes      int
}{{"Mainline", mainline.Population, 3000}, {"IPFS", ipfs.Population, 600}}

// Validation of the shares of operators on planned networks with personas that
// stand where nobody looks for them; see truth.Env. The bound must hold the
// truth in every run, the interval in about 95 of 100.
func TestValidate(t *testing.T) {
	runs := truth.Runs()
	if runs == 0 {
		t.Skip("set " + truth.Env + " to the number of runs")
	}
	for _, network := range networks {
		intervals, bounds := validate(t, network.name, network.population, network.nodes, runs)
		for i, row := range intervals {
			fmt.Println(row)
			fmt.Println(bounds[i])
			if row.Coverage() < 0.92 {
				t.Errorf("coverage of %s: %.3f", row.Quantity, row.Coverage())
			}
			if bounds[i].Coverage() < 1 {
				t.Errorf("%s left the truth outside: %.3f", bounds[i].Quantity, bounds[i].Coverage())
			}
		}
	}
}

func validate(t *testing.T, name string, population func() testnet.Population, nodes, runs int) (intervals, bounds []*truth.Row) {
	rows := map[operator.Operator][2]*truth.Row{}
	for run := range runs {
		groups, really := judged(t, population(), nodes, uint64(run))
		kinds, err := shares.Operators(groups, operator.Default().Trust())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range kinds {
			if run == 0 {
				what := fmt.Sprintf("share run by %s operators, %s", k.Kind, name)
				rows[k.Kind] = [2]*truth.Row{{Quantity: what}, {Quantity: what + ", bound"}}
				intervals, bounds = append(intervals, rows[k.Kind][0]), append(bounds, rows[k.Kind][1])
			}
			rows[k.Kind][0].Against(really[k.Kind], k.Share)
			rows[k.Kind][1].Against(really[k.Kind], analysis.Estimate{Value: k.Share.Value, Lower: k.AtLeast, Upper: k.AtMost})
		}
	}
	return intervals, bounds
}
