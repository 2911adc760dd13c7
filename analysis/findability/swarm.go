package findability

import (
	"math"

	"canopy/analysis"
)

// filterBits is the size of a Bloom filter of BEP 33, which has two hashes.
const filterBits = 2048

// Swarm is a number of peers that the union of Bloom filters counts, with the
// interval that follows from the chance of which bits they set: the standard
// deviation of n is sqrt(m (exp(t) - t - 1)) / 2 with t = 2n/m (Whang et al.,
// A linear-time probabilistic counting algorithm, 1990). That nodes know only
// some of the swarm is not in it.
func Swarm(size float64, filters int, unit string) *analysis.Estimate {
	t := 2 * size / filterBits
	half := 1.959963984540054 * math.Sqrt(filterBits*max(0, math.Exp(t)-t-1)) / 2
	e := &analysis.Estimate{
		Value: size, Unit: unit, Lower: max(0, size-half), Upper: size + half, Level: 0.95, N: filters, NUnit: "filters",
		Method: "union of Bloom filters, inverted (BEP 33); normal interval for linear counting",
	}
	if size > 6000 {
		e.Warnings = []string{"near the most that a filter can count: a floor"}
	}
	return e
}
