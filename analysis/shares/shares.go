// Package shares computes which part of a network's reachable peers belongs to
// a class: on whose land they stand, who runs them, which program they run.
//
// A share is the mean of snapshots, per reachable peer: the mean over crawls
// of the part of the peers of that crawl which is in the class. One peer
// answers in many crawls, so crawls are no independent samples. The interval
// therefore takes each peer as one cluster, adds the variance between crawls,
// and is a Wilson interval on the effective sample size that follows. Where
// every peer of a complete crawl is counted it says how other moments, and
// other peers of the same process, would differ.
package shares

import (
	"fmt"

	"canopy/analysis"
)

// Method says in one sentence how [Sample.Share] computes.
const Method = "mean over crawls of the share in each; Wilson interval on the effective sample size " +
	"p(1-p)/(variance over peers as clusters + variance between crawls); every peer of a complete crawl is counted, " +
	"so the interval says how other moments and other peers of the same process would differ"

// BoundMethod says in one sentence what [Bounded] holds.
const BoundMethod = "partial identification: at least the peers judged for certain, at most those and all that are undecided"

// Group is peers that are alike in all that a report tells apart. a is a
// peer's weight: the sum, over the crawls in which it was reachable, of one
// over the number of reachable peers of that crawl.
type Group struct {
	Peers   int     // distinct peers
	Counts  []int   // reachable peers in each crawl
	Weight  float64 // sum of a over its peers
	Squares float64 // sum of a² over its peers
}

// Sample is all peers of several crawls of one network that are counted.
type Sample struct {
	of     string
	totals []int // reachable peers of each crawl
	groups []Group
	peers  int
	weight float64 // of all groups: the number of crawls with a peer
}

// Counted makes groups from counts by crawl alone, counts[i][t] of group i in
// crawl t, where it is not known who came again. It takes the peers of all
// crawls for the same, which gives the widest interval; the number of peers is
// that of the largest crawl.
func Counted(counts [][]int) []Group {
	totals := map[int]int{}
	for _, group := range counts {
		for t, n := range group {
			totals[t] += n
		}
	}
	always := 0.0 // weight of a peer that is in every crawl
	for _, n := range totals {
		if n > 0 {
			always += 1 / float64(n)
		}
	}
	groups := make([]Group, len(counts))
	for i, group := range counts {
		g := Group{Counts: group}
		for t, n := range group {
			if totals[t] > 0 {
				g.Weight += float64(n) / float64(totals[t])
			}
			g.Peers = max(g.Peers, n)
		}
		g.Squares = g.Weight * always
		groups[i] = g
	}
	return groups
}

// Class says whether a group, by its position in the sample, is in a class.
type Class func(group int) bool

// NewSample takes groups that together hold each peer of each crawl once; of
// names what is counted, such as "reachable peers". It returns an error if a
// group has another number of crawls than the first, or if there is no peer.
func NewSample(of string, groups []Group) (*Sample, error) {
	s := &Sample{of: of, groups: groups}
	for i, g := range groups {
		if i == 0 {
			s.totals = make([]int, len(g.Counts))
		}
		if len(g.Counts) != len(s.totals) {
			return nil, fmt.Errorf("sample shares: group %d counts %d crawls, the first %d", i, len(g.Counts), len(s.totals))
		}
		for t, n := range g.Counts {
			s.totals[t] += n
		}
		s.peers += g.Peers
		s.weight += g.Weight
	}
	if s.weight <= 0 || s.Mean() <= 0 {
		return nil, fmt.Errorf("sample shares: there are no %s", of)
	}
	return s, nil
}

// Peers is the number of distinct peers.
func (s *Sample) Peers() int { return s.peers }

// Totals is the number of reachable peers in each crawl.
func (s *Sample) Totals() []int { return s.totals }

// Mean is the mean number of reachable peers of a crawl that had any.
func (s *Sample) Mean() float64 {
	sum, crawls := 0, 0
	for _, n := range s.totals {
		if n > 0 {
			sum, crawls = sum+n, crawls+1
		}
	}
	if crawls == 0 {
		return 0
	}
	return float64(sum) / float64(crawls)
}

// EffectivePeers is the number of peers of equal weight that would vary as
// much as the sample's (Kish 1965): (sum a)² / sum a².
func (s *Sample) EffectivePeers() float64 {
	var squares float64
	for _, g := range s.groups {
		squares += g.Squares
	}
	if squares <= 0 {
		return 0
	}
	return s.weight * s.weight / squares
}

// Share estimates the share of a class among reachable peers.
func (s *Sample) Share(in Class) analysis.Estimate {
	e := analysis.Estimate{
		Unit: "share of " + s.of + ", mean of snapshots", Level: level,
		N: s.peers, NUnit: fmt.Sprintf("%s in %s", s.of, crawls(len(s.totals))), Method: Method,
	}
	var weight float64
	for i, g := range s.groups {
		if in(i) {
			weight += g.Weight
		}
	}
	e.Value = min(1, weight/s.weight)
	e.Lower, e.Upper = Wilson(e.Value, s.effective(e.Value, in))
	if len(s.totals) == 1 {
		e.Warnings = append(e.Warnings, "one crawl only: how the share changes from crawl to crawl is not in the interval")
	}
	return e
}

// effective is the number of independent peers that would give the share p as
// much doubt as the sample does.
func (s *Sample) effective(p float64, in Class) float64 {
	variance := s.overPeers(p, in) + s.overTime(in)
	if p <= 0 || p >= 1 || variance <= 0 {
		return s.Mean()
	}
	return p * (1 - p) / variance
}

// overPeers is the variance of the share with peers as clusters, linearised:
// the sum over peers of ((y - p) a)² over (sum a)².
func (s *Sample) overPeers(p float64, in Class) float64 {
	var sum float64
	for i, g := range s.groups {
		y := 0.0
		if in(i) {
			y = 1
		}
		sum += (y - p) * (y - p) * g.Squares
	}
	return sum / (s.weight * s.weight)
}

// overTime is the variance of the mean that the crawls' own shares show.
func (s *Sample) overTime(in Class) float64 {
	var values []float64
	for t, k := range s.counts(in) {
		if s.totals[t] > 0 {
			values = append(values, float64(k)/float64(s.totals[t]))
		}
	}
	return ofMean(values)
}

// ofMean is the variance of the mean of values, 0 of fewer than two.
func ofMean(values []float64) float64 {
	if len(values) < 2 {
		return 0
	}
	var mean, squares float64
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	return squares / float64(len(values)-1) / float64(len(values))
}

func (s *Sample) counts(in Class) []int {
	counts := make([]int, len(s.totals))
	for i, g := range s.groups {
		if !in(i) {
			continue
		}
		for t, n := range g.Counts {
			counts[t] += n
		}
	}
	return counts
}

// Trend estimates the share of a class in each crawl by itself.
func (s *Sample) Trend(in Class) []analysis.Estimate {
	trend := make([]analysis.Estimate, len(s.totals))
	for t, k := range s.counts(in) {
		trend[t] = Proportion(k, s.totals[t], "share of "+s.of+" of one crawl", s.of)
	}
	return trend
}

// Bounded is a share whose class can't be decided for every peer.
type Bounded struct {
	Share   analysis.Estimate `json:"share"`    // by verdicts, as far as they go
	AtLeast analysis.Estimate `json:"at_least"` // lower bound, with its own interval
	AtMost  analysis.Estimate `json:"at_most"`  // upper bound, with its own interval
}

// Bounded estimates the share of a class: likely are the groups whose verdict
// is the class, certain those of them that are beyond doubt, undecided the
// groups of any verdict that may yet belong to it.
func (s *Sample) Bounded(likely, certain, undecided Class) Bounded {
	b := Bounded{
		Share:   s.Share(likely),
		AtLeast: s.Share(certain),
		AtMost:  s.Share(func(i int) bool { return certain(i) || undecided(i) }),
	}
	for _, e := range []*analysis.Estimate{&b.AtLeast, &b.AtMost} {
		e.Method = BoundMethod + "; " + Method
	}
	return b
}

func crawls(n int) string {
	if n == 1 {
		return "1 crawl"
	}
	return fmt.Sprintf("%d crawls", n)
}
