// Package concentration measures how few hold how much of a network: the
// Herfindahl-Hirschman index, effective numbers of holders, the Nakamoto sets,
// and the Gini coefficient. A holder is an organisation, an operator or a
// country; what it holds is reachable peers, mean of snapshots.
package concentration

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"canopy/analysis"
)

const level = 0.95

// Method says in one sentence how intervals are made.
const Method = "plug-in over the holders seen; basic bootstrap interval from multinomial resamples of peers, " +
	"on the logarithm (for sizes of sets the percentile interval), widened where needed to hold the value"

// Thresholds are the shares for which a Nakamoto set is given: a third stops
// many agreements, a half outvotes, two thirds decide alone.
func Thresholds() []float64 { return []float64{1.0 / 3, 1.0 / 2, 2.0 / 3} }

// Holder is one organisation, operator or country and the weight of its peers,
// in any unit that is the same for all.
type Holder struct {
	Name   string
	Weight float64
}

// Options say how intervals are made. Equal options and holders give equal
// intervals.
type Options struct {
	Peers      float64 // independent peers behind the weights: the size of a resample
	N          int     // distinct peers, as the estimates state it
	Replicates int     // default 1000
	Seed       uint64
}

func (o Options) withDefaults() Options {
	if o.Replicates <= 0 {
		o.Replicates = 1000
	}
	return o
}

// Result is the concentration of one network over one kind of holder.
type Result struct {
	Unit      string            `json:"unit"`      // what a holder is, in the plural
	HHI       analysis.Estimate `json:"hhi"`       // sum of squared shares
	Effective analysis.Estimate `json:"effective"` // 1/HHI: that many equal holders would be as concentrated
	Shannon   analysis.Estimate `json:"shannon"`   // exp of the entropy: the same, with more weight on the small
	Nakamoto  []Nakamoto        `json:"nakamoto"`  // one for each of Thresholds
	Gini      analysis.Estimate `json:"gini"`      // not comparable between numbers of holders
	Holders   []Share           `json:"holders"`   // largest first
}

// Share is one holder's part of all that is held by somebody known.
type Share struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
}

// Nakamoto is the smallest set of holders that together hold more than
// Threshold.
type Nakamoto struct {
	Threshold float64           `json:"threshold"`
	Size      analysis.Estimate `json:"size"`
	Names     []string          `json:"names"` // largest first
}

// Compute measures the concentration over holders; unit names them in the
// plural. Holders of one name count as one, those without weight not at all.
// It returns an error if nothing is held.
func Compute(unit string, holders []Holder, opt Options) (Result, error) {
	opt = opt.withDefaults()
	r := Result{Unit: unit, Holders: merge(holders)}
	if len(r.Holders) == 0 {
		return Result{}, errors.New("compute concentration: nobody holds anything")
	}
	p := make([]float64, len(r.Holders))
	for i, h := range r.Holders {
		p[i] = h.Share
	}
	seen, spread := measure(p), resample(p, opt)
	estimate := func(part int, unit string) analysis.Estimate {
		e := analysis.Estimate{
			Value: seen[part], Unit: unit, Level: level,
			N: opt.N, NUnit: "reachable peers whose holder is known", Method: Method,
		}
		e.Lower, e.Upper = interval(part, seen[part], spread[part])
		e.Lower, e.Upper = clamp(part, len(p), e.Lower), clamp(part, len(p), e.Upper)
		return e
	}
	r.HHI = estimate(hhi, "sum of squared shares of "+unit)
	r.Effective = estimate(effective, "effective number of "+unit)
	r.Shannon = estimate(shannon, "effective number of "+unit+" by entropy")
	r.Gini = estimate(gini, "Gini coefficient over "+unit)
	for i, threshold := range Thresholds() {
		n := Nakamoto{Threshold: threshold, Size: estimate(nakamoto+i, fmt.Sprintf("%s that together hold more than %.3g", unit, threshold))}
		for _, h := range r.Holders[:int(n.Size.Value)] {
			n.Names = append(n.Names, h.Name)
		}
		r.Nakamoto = append(r.Nakamoto, n)
	}
	return r, nil
}

// merge turns weights into shares, one for each name, the largest first.
func merge(holders []Holder) []Share {
	weights, total := map[string]float64{}, 0.0
	for _, h := range holders {
		if h.Weight > 0 {
			weights[h.Name] += h.Weight
			total += h.Weight
		}
	}
	shares := make([]Share, 0, len(weights))
	for name, w := range weights {
		shares = append(shares, Share{name, w / total})
	}
	slices.SortFunc(shares, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Name, b.Name))
	})
	return shares
}
