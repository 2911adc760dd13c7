package shares

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"canopy/analysis"
)

// The ways to count. Each combination is one [Cell] of the counting matrix.
const (
	Mean       = "mean of snapshots"
	Union      = "union of the window"
	Discovered = "discovered"
	Reachable  = "reachable"
)

// Mixed is the class of a unit that stands in several classes: it counts once,
// as this.
const Mixed = "mixed"

// MatrixMethod says in one sentence how cells are computed.
const MatrixMethod = "a unit whose visits show several classes, in one crawl for the mean of snapshots or in the window for the union, counts once, as mixed; " +
	"Wilson interval, for the mean on the effective sample size p(1-p)/(variance over units as clusters + variance between crawls), for the union on the number of units"

// Cell is the shares of every class for one way to count.
type Cell struct {
	Over    string       `json:"over"`             // Mean or Union
	Per     string       `json:"per"`              // the unit that is counted
	Of      string       `json:"of"`               // Discovered or Reachable
	Units   int          `json:"units"`            // distinct units that were counted, in the window
	OneIn   int          `json:"one_in,omitempty"` // they are a random one in so many of all, empty: all
	Classes []ClassShare `json:"classes"`
}

// Name names the cell in words.
func (c Cell) Name() string { return c.Over + ", per " + c.Of + " " + c.Per }

// Share is the share of a class, nil if no unit is in it.
func (c Cell) Share(class string) *analysis.Estimate {
	for i := range c.Classes {
		if c.Classes[i].Class == class {
			return &c.Classes[i].Share
		}
	}
	return nil
}

// ClassShare is the share of one class within a cell.
type ClassShare struct {
	Class string            `json:"class"`
	Share analysis.Estimate `json:"share"`
}

// A mark says that a unit was in a class in a crawl, or in the window if crawl
// is 0.
type mark struct {
	reachable bool
	crawl     int // from 1
	class     int // in the list of classes, or mixed
}

const mixed = 255

// tally is how many units bear each mark, and all marks of some units, which
// are a random part of all.
type tally struct {
	unit    string
	classes []string
	crawls  int
	part    int // one in how many units is counted, 0: all
	counts  map[mark]int
	sample  [][]mark
}

// cells computes the cells of one unit; those without a unit are left out.
func (t tally) cells() []Cell {
	var cells []Cell
	for _, of := range []string{Discovered, Reachable} {
		totals := make([]int, t.crawls+1)
		seen := map[int]bool{}
		for m, n := range t.counts {
			if m.reachable == (of == Reachable) {
				totals[m.crawl] += n
				seen[m.class] = true
			}
		}
		if totals[0] == 0 {
			continue
		}
		mean := Cell{Over: Mean, Per: t.unit, Of: of, Units: totals[0]}
		if t.part > 1 {
			mean.OneIn = t.part
		}
		union := mean
		union.Over = Union
		for _, class := range slices.Sorted(maps.Keys(seen)) {
			name := Mixed
			if class != mixed {
				name = t.classes[class]
			}
			mean.Classes = append(mean.Classes, ClassShare{name, t.mean(of, class, totals)})
			union.Classes = append(union.Classes, ClassShare{name, t.union(of, class, totals[0])})
		}
		cells = append(cells, mean, union)
	}
	return cells
}

func (t tally) union(of string, class, total int) analysis.Estimate {
	e := Proportion(t.counts[mark{of == Reachable, 0, class}], total, t.what(of, Union), t.counted(of))
	e.Method = MatrixMethod
	return e
}

func (t tally) what(of, over string) string { return "share of " + of + " " + t.unit + ", " + over }
func (t tally) counted(of string) string {
	return fmt.Sprintf("%s %s in %s", of, t.unit, crawls(t.crawls))
}

// mean is the mean over crawls of the share of a class.
func (t tally) mean(of string, class int, totals []int) analysis.Estimate {
	e := analysis.Estimate{Unit: t.what(of, Mean), Level: level, N: totals[0], NUnit: t.counted(of), Method: MatrixMethod}
	var values []float64
	units := 0
	for crawl := 1; crawl <= t.crawls; crawl++ {
		if totals[crawl] > 0 {
			values = append(values, float64(t.counts[mark{of == Reachable, crawl, class}])/float64(totals[crawl]))
			units += totals[crawl]
		}
	}
	var between float64
	e.Value, between = meanAndVariance(values)
	e.Value = min(1, max(0, e.Value))
	effective := float64(units) / float64(len(values))
	if variance := t.overUnits(of, class, totals, e.Value) + between; e.Value > 0 && e.Value < 1 && variance > 0 {
		effective = e.Value * (1 - e.Value) / variance
	}
	e.Lower, e.Upper = Wilson(e.Value, effective)
	if len(values) == 1 {
		e.Warnings = []string{"one crawl only: how the share changes from crawl to crawl is not in the interval"}
	}
	return e
}

// meanAndVariance returns the mean of values, and the variance of that mean as
// they show it.
func meanAndVariance(values []float64) (mean, variance float64) {
	for _, v := range values {
		mean += v
	}
	mean /= float64(len(values)) // after the sum, so that the mean of ones is one
	if len(values) < 2 {
		return mean, 0
	}
	for _, v := range values {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(values)-1) / float64(len(values))
}

// overUnits is the variance of a mean share p with units as clusters,
// linearised: the sum over units of (b - p a)² over (sum a)², where a is the
// sum of one over the number of units of each crawl with the unit, and b the
// same of those crawls in which it is of the class. It is estimated from the
// sample, whose units stand for all.
func (t tally) overUnits(of string, class int, totals []int, p float64) float64 {
	var sum, weight float64
	sampled := 0
	for _, marks := range t.sample {
		var a, b float64
		for _, m := range marks {
			if m.reachable != (of == Reachable) || m.crawl == 0 || totals[m.crawl] == 0 {
				continue
			}
			w := 1 / float64(totals[m.crawl])
			if a += w; m.class == class {
				b += w
			}
		}
		if a > 0 {
			sampled++
			sum += (b - p*a) * (b - p*a)
		}
	}
	for _, n := range totals[1:] {
		if n > 0 {
			weight++
		}
	}
	if sampled == 0 || weight == 0 {
		return 0
	}
	return sum * float64(totals[0]) / float64(sampled) / (weight * weight)
}

// Range is the smallest and largest share of a class that the cells give; ok
// is false without cells.
func Range(cells []Cell, class string) (lowest, highest Cell, ok bool) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, c := range cells {
		v := 0.0
		if e := c.Share(class); e != nil {
			v = e.Value
		}
		if v < least {
			least, lowest = v, c
		}
		if v > most {
			most, highest = v, c
		}
	}
	return lowest, highest, len(cells) > 0
}
