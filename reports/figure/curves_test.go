package figure

import (
	"math"
	"strings"
	"testing"
)

func TestCurves(t *testing.T) {
	line := func(x ...float64) Curve {
		return Curve{Series: Series{Key: Key{Name: "<one>", Look: Blue}, Values: []float64{1, 0.5}, Lower: []float64{0.9, 0.4}, Upper: []float64{1, 0.6}}, X: x}
	}
	chart := Curves{AxisX: "removed", AxisY: "found", FormatX: Percent, FormatY: Percent, Curves: []Curve{line(0, 0.3), line(0.1, 0.9)}}
	f, err := Draw(Frame{Name: "curves", Title: "A finding"}, chart)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"removed", "found", "&lt;one&gt;", "A finding"} {
		if !strings.Contains(string(f.SVG), want) {
			t.Errorf("the figure does not say %q", want)
		}
	}
	for name, bad := range map[string]Curves{
		"none": {}, "descending": {Curves: []Curve{line(0.3, 0)}}, "lengths": {Curves: []Curve{line(0.3)}}, "not a number": {Curves: []Curve{line(0, math.NaN())}},
	} {
		if _, err := Draw(Frame{Name: name}, bad); err == nil || !strings.Contains(err.Error(), "there is nothing to draw") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
