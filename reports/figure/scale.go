package figure

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/plot/vg"
)

// nbsp keeps a number and its unit on one line.
const nbsp = "\u00a0"

// Format writes a number of an axis or beside a bar.
type Format func(float64) string

// Percent writes a share as a percentage, with decimals only where the step
// between marks needs them.
func Percent(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e4)/1e2, 'f', -1, 64) + nbsp + "%"
}

// Count writes a whole number with its thousands apart.
func Count(v float64) string {
	s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + nbsp + s[i:]
	}
	return s
}

// Number writes a number with decimals only where the step between marks needs
// them.
func Number(v float64) string {
	if math.Abs(v) >= 100 {
		return Count(v)
	}
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// scale maps values from 0 to the topmost mark onto a length.
type scale struct {
	step  float64
	marks int // beside zero
	size  vg.Length
}

// newScale takes a round step so that about want marks reach over top.
func newScale(top float64, want int, size vg.Length) scale {
	if top <= 0 {
		top = 1
	}
	raw := top / float64(want)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * power
	for _, nice := range []float64{1, 2, 5} {
		if nice*power >= raw*(1-1e-9) {
			step = nice * power
			break
		}
	}
	return scale{step, max(1, int(math.Ceil(top/step-1e-9))), size}
}

// whole keeps the marks of a count on whole numbers.
func (s scale) whole() scale {
	if s.step < 1 {
		s.marks, s.step = max(1, int(math.Ceil(s.top()-1e-9))), 1
	}
	return s
}

func (s scale) top() float64 { return s.step * float64(s.marks) }

func (s scale) of(v float64) vg.Length {
	return vg.Length(max(0, min(1, v/s.top()))) * s.size
}

func (s scale) mark(i int) float64 { return s.step * float64(i) }

var errEmpty = errors.New("there is nothing to draw")

func finite(values ...float64) error {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return fmt.Errorf("%v is no length", v)
		}
	}
	return nil
}
