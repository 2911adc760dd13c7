//go:build linux

package main

import (
	"slices"
	"testing"

	"canopy/analysis/clearcut"
)

// lookUp is the iterative lookup of Kademlia in its plainest form: from whom
// the origin names on, alpha at a time of the closest that were not asked yet,
// until the k closest that did not fall silent have answered. It returns those,
// the closest first. ask returns false if a node does not answer.
func lookUp[ID comparable](t *testing.T, origin ID, k, alpha int, closer func(a, b ID) int, ask func(ID) ([]ID, bool)) []ID {
	t.Helper()
	known, asked := map[ID]bool{origin: true}, map[ID]bool{}
	var list []ID
	learn := func(ids []ID) {
		for _, id := range ids {
			if !known[id] {
				known[id] = true
				list = append(list, id)
			}
		}
		slices.SortFunc(list, closer)
	}
	first, ok := ask(origin)
	if !ok {
		t.Fatalf("survivor %v does not answer", origin)
	}
	learn(first)
	for {
		var round, named []ID
		for _, id := range list[:min(k, len(list))] {
			if !asked[id] && len(round) < alpha {
				round = append(round, id)
			}
		}
		if len(round) == 0 {
			return list[:min(k, len(list))]
		}
		for _, id := range round {
			asked[id] = true
			ids, answered := ask(id)
			if !answered {
				list = slices.DeleteFunc(list, func(other ID) bool { return other == id })
			}
			named = append(named, ids...)
		}
		learn(named)
	}
}

// agreement is how often the same lookups succeed on a recorded graph and on
// the network.
type agreement struct{ lookups, simulated, real, differ int }

func (a *agreement) add(simulated, real bool) {
	a.lookups++
	if simulated {
		a.simulated++
	}
	if real {
		a.real++
	}
	if simulated != real {
		a.differ++
	}
}

// check wants them at most two points apart.
func (a *agreement) check(t *testing.T, graph *clearcut.Graph, left int) {
	t.Helper()
	percent := func(n int) float64 { return 100 * float64(n) / float64(a.lookups) }
	t.Logf("%d of %d peers left: %.1f %% of simulated and %.1f %% of real lookups succeed; %d of %d went otherwise",
		left, graph.Living(), percent(a.simulated), percent(a.real), a.differ, a.lookups)
	if abs(percent(a.simulated-a.real)) > 2 {
		t.Errorf("%.1f %% of simulated lookups succeed, %.1f %% of real ones: more than 2 points apart", percent(a.simulated), percent(a.real))
	}
}
