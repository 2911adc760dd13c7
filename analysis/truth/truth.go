// Package truth compares estimates with what was planned, over many seeded
// runs. Only tests use it: `make validate` prints its rows as one table.
package truth

import (
	"fmt"
	"os"
	"strconv"

	"canopy/analysis"
)

// Env is the environment variable that asks for validation; its value is the
// number of runs, at least 100.
const Env = "CANOPY_VALIDATE"

// Runs is the number of runs that the environment asks for, 0 if it asks for
// none.
func Runs() int {
	n, err := strconv.Atoi(os.Getenv(Env))
	if err != nil {
		return 0
	}
	return max(n, 100)
}

// Row is one quantity, estimated in many runs.
type Row struct {
	Quantity            string
	Truth               float64
	value, lower, upper float64 // sums
	runs, covered       int
}

// Add adds the estimate of one run.
func (r *Row) Add(e analysis.Estimate) { r.Against(r.Truth, e) }

// Against adds the estimate of one run that has a truth of its own; Truth is
// then the mean.
func (r *Row) Against(truth float64, e analysis.Estimate) {
	r.Truth += (truth - r.Truth) / float64(r.runs+1)
	r.value, r.lower, r.upper = r.value+e.Value, r.lower+e.Lower, r.upper+e.Upper
	r.runs++
	if e.Lower <= truth && truth <= e.Upper {
		r.covered++
	}
}

// Coverage is the share of runs whose interval held the truth.
func (r *Row) Coverage() float64 { return float64(r.covered) / float64(max(1, r.runs)) }

// Kept says whether the coverage of the 95 % intervals lies between 92 % and
// 98 %.
func (r *Row) Kept() bool { return r.Coverage() >= 0.92 && r.Coverage() <= 0.98 }

// String is the row of the table.
func (r *Row) String() string {
	n := float64(max(1, r.runs))
	return fmt.Sprintf("| %s | %.5g | %.5g | %.5g to %.5g | %d | %d | %.1f %% |",
		r.Quantity, r.Truth, r.value/n, r.lower/n, r.upper/n, r.runs, r.covered, 100*r.Coverage())
}
