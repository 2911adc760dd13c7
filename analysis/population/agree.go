package population

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"canopy/analysis"
)

// Agreement says whether the estimates can all be of one number.
type Agreement struct {
	Tested  bool    `json:"tested"` // there are two estimates at least
	Agree   bool    `json:"agree"`
	Overlap bool    `json:"overlap"` // the intervals have a number in common
	P       float64 `json:"p"`       // chance of so much difference or more if the two unbiased ones are of one number; 1 if there is one only
	Method  string  `json:"method"`
}

// AgreementMethod says in one sentence how agreement is judged.
const AgreementMethod = "the planted-node correction and the lookup distances agree unless a test of homogeneity rejects at 5 % (Cochran's Q on the log scale, with the widths of the " +
	"intervals); the floor agrees unless its whole interval lies above another's"

// agree tests whether the estimates there are can be of one number.
func (s *Size) agree() Agreement {
	a := Agreement{Method: AgreementMethod, P: 1}
	var all, both []*analysis.Estimate
	for _, answer := range []Answer{s.Corrected, s.Distances} {
		if answer.Estimate != nil {
			both = append(both, answer.Estimate)
		}
	}
	all = append(all, both...)
	floor := s.Floor.Estimate
	if floor != nil {
		all = append(all, floor)
	}
	if len(all) < 2 {
		return a
	}
	a.Tested, a.Agree, a.Overlap = true, true, overlap(all)
	if len(both) == 2 {
		a.P = homogeneous(both)
		a.Agree = a.P >= 1-level
	}
	for _, e := range both {
		if floor != nil && floor.Lower > e.Upper {
			a.Agree = false
		}
	}
	return a
}

func overlap(estimates []*analysis.Estimate) bool {
	lower, upper := 0.0, math.Inf(1)
	for _, e := range estimates {
		lower, upper = max(lower, e.Lower), min(upper, e.Upper)
	}
	return lower <= upper
}

// homogeneous is the p-value of Cochran's Q.
func homogeneous(estimates []*analysis.Estimate) float64 {
	var weights, sum, squares float64
	for _, e := range estimates {
		deviation := math.Log(e.Upper/e.Lower) / (2 * z95)
		if !(deviation > 1e-9) {
			deviation = 1e-9 // a full count has none
		}
		w, v := 1/square(deviation), math.Log(e.Value)
		weights, sum, squares = weights+w, sum+w*v, squares+w*v*v
	}
	q := max(0, squares-sum*sum/weights)
	return distuv.ChiSquared{K: float64(len(estimates) - 1)}.Survival(q)
}

// Below these the estimate is doubtful in ways that its interval does not show.
const (
	fewMarks = 30
	lowShare = 0.7
	unlikely = 0.001 // p-value from which chance is no explanation
)

// warnings tell where the marks may not stand for the other nodes.
func (m Marks) warnings() []string {
	var all []string
	x, hit := m.Total(), m.Found()
	if x > 0 && x < fewMarks {
		all = append(all, fmt.Sprintf("%d marked nodes only: the interval is wide, and one odd node moves it", x))
	}
	if x > 0 && hit > 0 && float64(hit) < lowShare*float64(x) {
		all = append(all, fmt.Sprintf("the walk found %d of %d nodes known to be alive: most of the estimate is correction", hit, x))
	}
	if p := m.kindsDiffer(); p < unlikely {
		all = append(all, fmt.Sprintf("planted and confirmed nodes were found at different rates (%d of %d, %d of %d): one kind or both do not stand for the rest",
			m.PlantedFound, m.Planted, m.ConfirmedFound, m.Confirmed))
	}
	return all
}

// kindsDiffer is the p-value of the test that both kinds of marks are found
// equally often, 1 if there is one kind.
func (m Marks) kindsDiffer() float64 {
	a, b := float64(m.Planted), float64(m.Confirmed)
	p := float64(m.Found()) / (a + b)
	if !(a > 0 && b > 0 && p > 0 && p < 1) {
		return 1
	}
	z := (float64(m.PlantedFound)/a - float64(m.ConfirmedFound)/b) / math.Sqrt(p*(1-p)*(1/a+1/b))
	return 2 * distuv.UnitNormal.Survival(math.Abs(z))
}

// crowded warns when the IDs of a zone are less even than chance makes them: a
// sign of nodes that chose their IDs. The test is that of Poisson's index of
// dispersion.
func crowded(cells []int) []string {
	var sum, worst int
	for _, n := range cells {
		sum, worst = sum+n, max(worst, n)
	}
	if len(cells) < 2 || sum == 0 {
		return nil
	}
	mean := float64(sum) / float64(len(cells))
	var q float64
	for _, n := range cells {
		q += square(float64(n)-mean) / mean
	}
	if p := (distuv.ChiSquared{K: float64(len(cells) - 1)}).Survival(q); p >= unlikely {
		return nil
	}
	return []string{fmt.Sprintf("IDs are crowded: one of %d equal parts of the zone holds %d nodes, where %.1f are the mean; nodes that chose their IDs make the zone no fair sample", len(cells), worst, mean)}
}
