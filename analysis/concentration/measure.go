package concentration

import (
	"math"
	"math/rand/v2"
	"slices"
)

// The parts of one measurement. Nakamoto sizes follow one another, in the
// order of Thresholds.
const (
	hhi = iota
	effective
	shannon
	gini
	nakamoto
)

// measure computes every index from shares, which sum to 1 and descend.
func measure(p []float64) []float64 {
	m := make([]float64, nakamoto, nakamoto+len(Thresholds()))
	var entropy, rank float64
	for i, s := range p {
		if s > 0 {
			m[hhi] += s * s
			entropy -= s * math.Log(s)
		}
		rank += float64(len(p)-i) * s // ascending rank of the i-th largest
	}
	n := float64(len(p))
	m[effective] = 1 / m[hhi]
	m[shannon] = math.Exp(entropy)
	m[gini] = max(0, 2*rank/n-(n+1)/n)
	for _, threshold := range Thresholds() {
		m = append(m, float64(smallestSet(p, threshold)))
	}
	return m
}

// smallestSet is how many of the largest shares together exceed threshold.
func smallestSet(p []float64, threshold float64) int {
	sum := 0.0
	for i, s := range p {
		// Thirds and sums of shares are not exact: exactly a third is not more than a third.
		if sum += s; sum > threshold+1e-12 {
			return i + 1
		}
	}
	return len(p)
}

// resample draws peers anew, with replacement, and measures each draw. It
// returns the draws of each part, ascending.
func resample(p []float64, opt Options) [][]float64 {
	rng := rand.New(rand.NewPCG(opt.Seed, uint64(len(p))))
	spread := make([][]float64, nakamoto+len(Thresholds()))
	d := newDrawer(p, int(math.Max(1, math.Round(opt.Peers))))
	for range opt.Replicates {
		for part, value := range measure(d.draw(rng)) {
			spread[part] = append(spread[part], value)
		}
	}
	for _, values := range spread {
		slices.Sort(values)
	}
	return spread
}

// interval is the basic bootstrap interval on the logarithm: resamples stray
// from the value as the value strays from the truth, so that a bias of the
// plug-in is corrected to first order (Davison & Hinkley 1997, section 5.2).
// Sizes of sets are whole numbers, which do not mirror; theirs is the
// percentile interval.
func interval(part int, value float64, draws []float64) (lower, upper float64) {
	lower, upper = quantile(draws, (1-level)/2), quantile(draws, 1-(1-level)/2)
	switch {
	case part >= nakamoto:
		lower, upper = math.Floor(lower), math.Ceil(upper)
	case value > 0:
		mirrored := func(draw float64) float64 { return value * value / math.Max(draw, 1e-12) }
		lower, upper = mirrored(upper), mirrored(lower)
	}
	return min(value, lower), max(value, upper)
}

// quantile reads ascending values at q, which lies in [0, 1].
func quantile(values []float64, q float64) float64 {
	at := q * float64(len(values)-1)
	i := int(at)
	if i >= len(values)-1 {
		return values[len(values)-1]
	}
	return values[i] + (at-float64(i))*(values[i+1]-values[i])
}

// clamp keeps an interval's end where the part can lie. Holders that nobody
// saw may exist, so effective numbers have no upper end.
func clamp(part, holders int, v float64) float64 {
	switch {
	case part == hhi || part == gini:
		return min(1, max(0, v))
	case part >= nakamoto:
		return max(1, v)
	case holders == 1:
		return 1
	}
	return max(1, v)
}
