package shares

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"canopy/analysis"
	"canopy/analysis/operator"
)

// OperatorMethod says in one sentence how [Operators] computes.
const OperatorMethod = "mean over crawls of the expected share: the probability of the kind, summed over reachable peers; " +
	"Wilson interval on the effective sample size that follows from the doubt in each combination of evidence, " +
	"from peers as clusters and from the crawls' differences"

// OperatorShare is the share of the peers that one kind of operator runs.
type OperatorShare struct {
	Kind    operator.Operator `json:"kind"`
	Share   analysis.Estimate `json:"share"`    // expected, with its interval
	AtLeast float64           `json:"at_least"` // the bound of operator.Bound
	AtMost  float64           `json:"at_most"`
}

// Operators estimates the share of each kind of operator, in the order of
// operator.Operators without unknown. trust is that of the rules that judged;
// see operator.Rules.Trust. It returns an error if there is no peer.
func Operators(groups []operator.Group, trust int) ([]OperatorShare, error) {
	s, err := NewSample("reachable peers", plain(groups))
	if err != nil {
		return nil, err
	}
	var out []OperatorShare
	for _, kind := range operator.Operators() {
		if kind == operator.Unknown {
			continue
		}
		o := OperatorShare{Kind: kind, Share: s.expected(groups, trust, func(g operator.Group) float64 { return g.Verdict.Chance(kind) })}
		o.AtLeast, o.AtMost = operator.Bound(groups, kind)
		out = append(out, o)
	}
	return out, nil
}

// Marked estimates the share of the peers that operators with certain marks
// run, such as companies with peer-to-peer as their core that live on venture
// capital:
//
//	Marked(groups, trust, func(m operator.Marks) bool { return m.Company && m.Core && m.Venture })
//
// The share is of peers that the registry names, each with its probability.
// Peers that are run by a company, or may be, and whose operator is not named,
// are in the bound and not in the share: it is what is proven, and no estimate
// of what is hidden.
func Marked(groups []operator.Group, trust int, bears func(operator.Marks) bool) (OperatorShare, error) {
	s, err := NewSample("reachable peers", plain(groups))
	if err != nil {
		return OperatorShare{}, err
	}
	named := func(g operator.Group) bool { return g.Verdict.Entry != "" && bears(g.Marks) }
	o := OperatorShare{Share: s.expected(groups, trust, func(g operator.Group) float64 {
		if named(g) {
			return g.Verdict.Probability
		}
		return 0
	})}
	o.Share.Unit = "share of reachable peers whose operator the registry names, mean of snapshots"
	as := slices.Clone(groups)
	for i, g := range as { // who bears the marks is one kind, who can't is another, the rest is open
		switch {
		case named(g):
			as[i].Verdict.Operator = operator.Commercial
		case g.Verdict.Operator == operator.Commercial && g.Verdict.Entry == "":
			as[i].Verdict.Operator = operator.Unknown
		case g.Verdict.Operator == operator.Commercial:
			as[i].Verdict.Operator = operator.Institutional // named, and without the marks
		}
	}
	o.AtLeast, o.AtMost = operator.Bound(as, operator.Commercial)
	return o, nil
}

// plain drops the verdicts of groups.
func plain(groups []operator.Group) []Group {
	out := make([]Group, len(groups))
	for i, g := range groups {
		out[i] = Group{Peers: g.Peers, Counts: g.Counts, Weight: g.Weight, Squares: g.Squares}
	}
	return out
}

// expected estimates a share to which each peer of a group belongs with the
// probability chance.
func (s *Sample) expected(groups []operator.Group, trust int, chance func(operator.Group) float64) analysis.Estimate {
	e := analysis.Estimate{
		Unit: "expected share of " + s.of + ", mean of snapshots", Level: level,
		N: s.peers, NUnit: fmt.Sprintf("%s in %s", s.of, crawls(len(s.totals))), Method: OperatorMethod,
	}
	byCrawl := make([]float64, len(s.totals))
	doubt := map[string]*stratum{}
	for _, g := range groups {
		q := chance(g)
		e.Value += q * g.Weight / s.weight
		for t, n := range g.Counts {
			if s.totals[t] > 0 {
				byCrawl[t] += q * float64(n) / float64(s.totals[t])
			}
		}
		key := reasons(g.Verdict)
		if doubt[key] == nil {
			doubt[key] = &stratum{trust: trust}
		}
		if g.Verdict.Leaning == operator.Unknown {
			doubt[key].trust = 0 // a prior is nothing that was learnt
		}
		doubt[key].weight += g.Weight / s.weight
		doubt[key].chance += q * g.Weight / s.weight
	}
	e.Value = min(1, e.Value)
	variance := s.overCrawls(byCrawl)
	for _, key := range slices.Sorted(maps.Keys(doubt)) {
		variance += doubt[key].variance()
	}
	for _, g := range groups {
		q := chance(g)
		variance += ((q-e.Value)*(q-e.Value) + q*(1-q)) * g.Squares / (s.weight * s.weight)
	}
	if n := s.Mean(); e.Value > 0 && e.Value < 1 && variance > 0 {
		e.Lower, e.Upper = Wilson(e.Value, e.Value*(1-e.Value)/variance)
	} else {
		e.Lower, e.Upper = Wilson(e.Value, n)
	}
	if len(s.totals) == 1 {
		e.Warnings = append(e.Warnings, "one crawl only: how the share changes from crawl to crawl is not in the interval")
	}
	return e
}

// overCrawls is the variance of the mean that the crawls' own shares show.
func (s *Sample) overCrawls(shares []float64) float64 {
	var values []float64
	for t, n := range s.totals {
		if n > 0 {
			values = append(values, shares[t])
		}
	}
	return ofMean(values)
}

// stratum is peers with the same reasons: if one of them is judged wrongly,
// others are too.
type stratum struct {
	weight, chance float64 // sums, as shares of all
	trust          int     // labelled peers that its probability is worth
}

// variance is that of the stratum's part of the share.
func (s stratum) variance() float64 {
	if s.weight <= 0 {
		return 0
	}
	p := min(1, s.chance/s.weight)
	return s.weight * s.weight * p * (1 - p) / float64(s.trust+1)
}

// reasons names the evidence of a verdict.
func reasons(v operator.Verdict) string {
	names := make([]string, len(v.Evidence))
	for i, e := range v.Evidence {
		names[i] = e.Name
	}
	if len(names) == 0 { // as in a published record, which keeps none
		return fmt.Sprintf("%s %.3f", v.Leaning, v.Probability)
	}
	return strings.Join(names, " ")
}
