package population

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"canopy/analysis"
)

// z95 is the standard normal quantile of 1-(1-level)/2.
const z95 = 1.959963984540054

// factor is a positive number with the interval of its own error.
type factor struct{ value, lower, upper float64 }

// product combines factors whose errors are independent by the method of
// variance estimates recovery on the log scale (Zou & Donner, Statistics in
// Medicine 27, 2008): the distances from the value to the limits of each add
// up as squares. It keeps intervals lopsided that are so, needs no variance,
// and becomes the interval of one factor where the others are certain: with
// few marks and many nodes found it is the Wilson interval of p.
func product(factors ...factor) factor {
	p := factor{value: 1}
	var down, up float64
	for _, f := range factors {
		p.value *= f.value
		down += square(math.Log(f.value / f.lower))
		up += square(math.Log(f.upper / f.value))
	}
	p.lower, p.upper = p.value*math.Exp(-math.Sqrt(down)), p.value*math.Exp(math.Sqrt(up))
	return p
}

func square(x float64) float64 { return x * x }

// around makes an estimate of nodes whose value is not quite that of the
// interval, being freed of bias.
func (f factor) around(value float64) analysis.Estimate {
	return analysis.Estimate{
		Value: value, Lower: min(f.lower, value), Upper: max(f.upper, value), Level: level, Unit: "nodes that answer",
	}
}

// missed is 1/p with its interval, where hit of x marked nodes were found. Its
// limits are those of Wilson's interval, whose coverage is 95 % on average and
// near it for every p also when x is small, while Clopper and Pearson's covers
// more and would make the whole too wide (Brown, Cai & DasGupta 2001). If all
// were found, p may be 1.
func missed(x, hit int) factor {
	n, p := float64(x), float64(hit)/float64(x)
	centre := (p + z95*z95/(2*n)) / (1 + z95*z95/n)
	half := z95 / (1 + z95*z95/n) * math.Sqrt(p*(1-p)/n+z95*z95/(4*n*n))
	return factor{1 / p, 1 / max(p, min(1, centre+half)), 1 / min(p, centre-half)}
}

// unbiased estimates 1/p without bias but for (1-p)^(x+1) of it (Chapman 1951).
func unbiased(x, hit int) float64 { return float64(x+1) / float64(hit+1) }

// marked estimates the nodes of a network from a zone of it. fresh nodes were
// found that were not known before, known ones were; of x marks hit were found.
//
// The doubt has three independent parts: p; which of the nodes not known before
// were found, of variance fresh (1-p)/p²; and how many of all nodes are in the
// zone, of variance Z (1-2^-n). The last two are counts: together they are as
// doubtful as a Poisson count of 1/v, and get the limits of one.
func marked(bits, fresh, known, x, hit int) analysis.Estimate {
	inverse := missed(x, hit)
	u, c, share := float64(fresh), float64(known), math.Ldexp(1, -bits)
	zone := factor{u*inverse.value + c, u*inverse.lower + c, u*inverse.upper + c}
	p := 1 / inverse.value
	v := u*(1-p)/square(p*zone.value) + (1-share)/zone.value
	f := product(zone, chance(v))
	f.value, f.lower, f.upper = f.value/share, f.lower/share, f.upper/share
	return f.around((u*unbiased(x, hit) + c) / share)
}

// chance is 1 with the interval of a Poisson count of 1/v, relative to the
// count, by Jeffreys' prior: its quantiles are those of a gamma distribution of
// shape 1/v + 1/2.
func chance(v float64) factor {
	if v <= 0 {
		return factor{1, 1, 1}
	}
	return factor{1, min(1, quantile(1/v+0.5, (1-level)/2)*v), max(1, quantile(1/v+0.5, (1+level)/2)*v)}
}

// many is the shape from which Wilson and Hilferty's approximation is closer
// than one part in a million.
const many = 50_000

// quantile is that of a gamma distribution of scale 1, which is half that of a
// chi-squared one of twice the shape in degrees of freedom.
func quantile(shape, p float64) float64 {
	if shape > many { // Wilson & Hilferty 1931
		z := distuv.UnitNormal.Quantile(p)
		c := 1 / (9 * shape)
		return shape * math.Pow(1-c+z*math.Sqrt(c), 3)
	}
	return distuv.Gamma{Alpha: shape, Beta: 1}.Quantile(p)
}
