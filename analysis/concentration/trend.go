package concentration

import (
	"fmt"
	"math"

	"canopy/analysis"
)

// TrendMethod says in one sentence how [Effective] computes.
const TrendMethod = "1/HHI from the unbiased estimate of HHI; interval from the multinomial variance of HHI, on the logarithm (delta method); " +
	"of a single holder from the Wilson bound of its share"

// Effective estimates the effective number of holders, 1/HHI, from the peers
// that each holds in one crawl, for a trend: it needs no resamples. unit names
// the holders in the plural, nUnit what is counted.
func Effective(unit string, counts []int, nUnit string) analysis.Estimate {
	e := analysis.Estimate{Unit: "effective number of " + unit, Level: level, NUnit: nUnit, Method: TrendMethod}
	holders := 0
	for _, k := range counts {
		if k > 0 {
			e.N += k
			holders++
		}
	}
	if e.N == 0 {
		e.Warnings = []string{fmt.Sprintf("nothing was counted: there are no %s", nUnit)}
		return e
	}
	n := float64(e.N)
	var squares, cubes float64
	for _, k := range counts {
		p := float64(k) / n
		squares, cubes = squares+p*p, cubes+p*p*p
	}
	e.Value = 1 / squares
	if holders == 1 { // others may hold what none of n peers shows: Wilson's bound of a share of which all are seen
		least := n / (n + z*z)
		e.Lower, e.Upper = 1, 1/(least*least)
		return e
	}
	h := max(squares/2, (n*squares-1)/max(1, n-1)) // two peers of one holder each give 0
	// Of equal shares the first term vanishes; the second is the variance of that case.
	variance := 4*max(0, cubes-squares*squares)/n + 2*squares/(n*n)
	half := z * math.Sqrt(variance) / h
	e.Lower, e.Upper = max(1, 1/h*math.Exp(-half)), 1/h*math.Exp(half)
	e.Value = 1 / h
	return e
}

const z = 1.959963984540054 // standard normal quantile of 1-(1-level)/2
