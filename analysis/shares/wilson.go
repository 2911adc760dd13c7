package shares

import (
	"fmt"
	"math"

	"canopy/analysis"
)

const (
	level = 0.95
	z     = 1.959963984540054 // standard normal quantile of 1-(1-level)/2
)

// Wilson returns the 95 % score interval of a share p seen in n independent
// observations (Wilson 1927). n may be a fraction: an effective sample size.
// With n of zero or less nothing is known and the interval is [0, 1].
func Wilson(p, n float64) (lower, upper float64) {
	if n <= 0 || math.IsNaN(p) || math.IsNaN(n) {
		return 0, 1
	}
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	// The bounds hold p but for rounding, and a share is never outside [0, 1].
	return max(0, min(p, centre-half)), min(1, max(p, centre+half))
}

// Proportion is count of total independent observations, such as peers of one
// crawl, with its Wilson interval. unit names the share, nUnit what total
// counts.
func Proportion(count, total int, unit, nUnit string) analysis.Estimate {
	e := analysis.Estimate{Unit: unit, Level: level, N: total, NUnit: nUnit, Method: "share; Wilson score interval"}
	if total <= 0 {
		e.Upper = 1
		e.Warnings = []string{fmt.Sprintf("nothing was counted: there are no %s", nUnit)}
		return e
	}
	e.Value = float64(count) / float64(total)
	e.Lower, e.Upper = Wilson(e.Value, float64(total))
	return e
}
