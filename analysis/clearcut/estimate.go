package clearcut

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"canopy/analysis"
)

const level = 0.95

// Methods of the estimates, in one sentence each.
const (
	shareMethod = "mean over lookups from random survivors to random keys; Wilson interval on the effective sample size " +
		"p(1-p)/(variance over repetitions), with Student's t"
	meanMethod = "mean over lookups from random survivors to random keys; Student's t interval over repetitions"
	setsMethod = "mean over random sets of peers; Student's t interval over the sets"
	fullMethod = "full count on the recorded tables"
)

// sample is the mean of each of some independent repetitions. Where the set of
// removed peers is given, each lookup is one; where it is drawn, each set is.
type sample struct {
	means   []float64
	lookups int // in all repetitions
}

func (s sample) moments() (mean, variance float64) {
	n := float64(len(s.means))
	for _, v := range s.means {
		mean += v
	}
	mean /= n
	if len(s.means) < 2 {
		return mean, 0
	}
	for _, v := range s.means {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / (n - 1)
}

// quantile is Student's t for a two-sided interval.
func (s sample) quantile() float64 {
	return distuv.StudentsT{Sigma: 1, Nu: max(1, float64(len(s.means)-1))}.Quantile((1 + level) / 2)
}

func (s sample) estimate(unit, method string) analysis.Estimate {
	e := analysis.Estimate{Unit: unit, Level: level, N: s.lookups, NUnit: "lookups", Method: method}
	if len(s.means) < s.lookups {
		e.NUnit = "lookups on " + plural(len(s.means), "random set")
		if len(s.means) == 1 {
			e.Warnings = append(e.Warnings, "one random set only: how sets differ is not in the interval")
		}
	}
	return e
}

// share estimates a mean of values within [0, 1].
func (s sample) share(unit string) analysis.Estimate {
	e := s.estimate(unit, shareMethod)
	p, variance := s.moments()
	n := float64(s.lookups) // repetitions that all agree say no more than their lookups
	if variance > 0 {
		n = p * (1 - p) * float64(len(s.means)) / variance
	}
	e.Value = p
	e.Lower, e.Upper = wilson(p, n, s.quantile())
	return e
}

// mean estimates a mean of positive values.
func (s sample) mean(unit string) analysis.Estimate {
	e := s.estimate(unit, meanMethod)
	mean, variance := s.moments()
	half := s.quantile() * math.Sqrt(variance/float64(len(s.means)))
	e.Value, e.Lower, e.Upper = mean, max(0, mean-half), mean+half
	return e
}

// measured is a share that was counted whole for each of some sets.
func measured(values []float64, unit string) analysis.Estimate {
	if len(values) == 1 {
		return counted(values[0], 1, unit, "set of removed peers")
	}
	e := sample{means: values}.mean(unit)
	e.Upper, e.N, e.NUnit, e.Method = min(1, e.Upper), len(values), "random sets of removed peers", setsMethod
	if e.Lower == e.Upper {
		e.Warnings = append(e.Warnings, "all sets gave the same: how others would differ is not in the interval")
	}
	return e
}

// counted is a share without doubt of its own.
func counted(value float64, n int, unit, nUnit string) analysis.Estimate {
	return analysis.Estimate{Value: value, Lower: value, Upper: value, Level: 1, Unit: unit, N: n, NUnit: nUnit, Method: fullMethod}
}

// wilson is the score interval of a share p of n independent observations
// (Wilson 1927).
func wilson(p, n, z float64) (lower, upper float64) {
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, min(p, centre-half)), min(1, max(p, centre+half))
}
