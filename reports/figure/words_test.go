package figure

import (
	"strings"
	"testing"
)

// Whoever can't see a figure hears what it shows.
func TestChartsInWords(t *testing.T) {
	long := Bars{Axis: "share", Keys: []Key{{"", Blue}}, Format: Percent}
	for range 2 * mostWords {
		long.Rows = append(long.Rows, Bar{Label: "x", Parts: []float64{1}, Value: "1"})
	}
	for _, c := range []struct {
		chart Chart
		want  []string
	}{
		{shares(), []string{"share of reachable peers", "residential 35 % (31–39); mobile 3 % (2–5)"}},
		{trend(), []string{"hosting from 50" + nbsp + "% to 53" + nbsp + "%", "first on 1 March 2026"}},
		{Spans{AxisX: "length of a session", Curves: []SpanCurve{survival(Green, 1)}}, []string{"46.4" + nbsp + "% at 4.4" + nbsp + "h", "length of a session"}},
		{Histogram{AxisX: "crawls", AxisY: "peers", Counts: []float64{3, 1200}}, []string{"1: 3; 2: 1" + nbsp + "200."}},
		{long, []string{"and 32 more."}},
	} {
		f, err := Draw(Frame{Name: "x", Title: "A finding"}, c.chart)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range append(c.want, "A finding. ") {
			if !strings.Contains(f.Alt, want) {
				t.Errorf("%q does not say %q", f.Alt, want)
			}
		}
	}
}
