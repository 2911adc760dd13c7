package clearcut

import (
	"math"
	"testing"

	"canopy/analysis"
)

// Intervals cover the truth in about 95 of 100 runs: that of one removal, and
// that of random sets, whose truth is the mean over all of them.
func TestIntervalsCoverTheTruth(t *testing.T) {
	const runs, lookups = 400, 200
	network := small
	network.K, network.Alpha = 3, 2
	g := random(t, network, 150, 40, 8)
	removed := g.draw(90, 1)
	r := g.Without(removed)
	many, err := r.search(t.Context(), 200_000, 99)
	if err != nil {
		t.Fatal(err)
	}
	one := each(many)
	covered := map[string]int{}
	check := func(name string, e analysis.Estimate, truth float64) {
		if e.Lower <= truth && truth <= e.Upper {
			covered[name]++
		}
	}
	for run := range runs {
		traces, err := r.search(t.Context(), lookups, uint64(run)+1000)
		if err != nil {
			t.Fatal(err)
		}
		s := summarise(singly(traces), []float64{1})
		check("success", s.Success, one.success)
		check("recall", s.Recall, one.recall)
		check("messages", s.Messages, one.messages)
		check("hops", *s.Hops, one.hops)
	}
	var all []Trace
	const sets = 4000
	for set := range sets {
		traces, err := g.Without(g.draw(90, uint64(set)+5)).search(t.Context(), 50, uint64(set))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, traces...)
	}
	drawn := each(all)
	for run := range runs {
		c, err := g.RandomCut(t.Context(), 90, Options{Lookups: lookups, Repetitions: 8, Seed: uint64(run) + 3})
		if err != nil {
			t.Fatal(err)
		}
		check("success of random sets", c.Recorded.Success, drawn.success)
		check("messages of random sets", c.Recorded.Messages, drawn.messages)
	}
	for name, k := range covered {
		rate := 100 * float64(k) / runs
		t.Logf("%s: true value in %.1f %% of intervals", name, rate)
		if rate < 92 || rate > 98 {
			t.Errorf("%s: a 95 %% interval covered the truth in %.1f %% of %d runs", name, rate, runs)
		}
	}
	if len(covered) != 6 || one.success < 0.05 || one.success > 0.95 {
		t.Errorf("nothing to cover: %+v, %v", one, covered)
	}
}

type given struct{ success, recall, messages, hops float64 }

func each(traces []Trace) (m given) {
	found := 0.0
	for _, t := range traces {
		m.recall += t.Recall
		m.messages += float64(t.Messages)
		if t.Found {
			found++
			m.hops += float64(t.Hops)
		}
	}
	n := float64(len(traces))
	return given{found / n, m.recall / n, m.messages / n, m.hops / math.Max(1, found)}
}
