// Package comparison sets a figure beside the same figure of another time. It
// says how far the two are apart, with an interval, and nothing of why.
package comparison

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"canopy/analysis"
)

// Method says in one sentence how a difference and its interval are computed.
const Method = "difference of two estimates with the interval of Zou and Donner (MOVER, 2008), which for shares is Newcombe's tenth method: " +
	"the distances to the ends of both intervals add up as squares; peers that are in both periods make it wider than need be"

// Difference is now less before. The two are taken as independent, and both
// have intervals of one level.
func Difference(now, before analysis.Estimate) analysis.Estimate {
	d := now.Value - before.Value
	return analysis.Estimate{
		Value: d, Unit: "difference of " + now.Unit, Level: min(now.Level, before.Level), N: now.N + before.N, NUnit: now.NUnit + ", both periods", Method: Method,
		Lower: d - math.Hypot(now.Value-now.Lower, before.Upper-before.Value),
		Upper: d + math.Hypot(now.Upper-now.Value, before.Value-before.Lower),
	}
}

// Mean is the mean of one figure over crawls, with the interval of Student's t.
// One crawl has no interval: ok is false.
func Mean(values []float64, unit, of string) (e analysis.Estimate, ok bool) {
	n := float64(len(values))
	if n < 2 {
		return e, false
	}
	var mean, squares float64
	for _, v := range values {
		mean += v / n
	}
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	half := student(len(values)-1) * math.Sqrt(squares/(n-1)/n)
	return analysis.Estimate{
		Value: mean, Unit: unit, Lower: max(0, mean-half), Upper: mean + half, Level: 0.95, N: len(values), NUnit: of,
		Method: "mean over crawls; interval of Student's t",
	}, true
}

// student is the quantile 0.975 of Student's t.
func student(degrees int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(degrees)}.Quantile(0.975)
}
