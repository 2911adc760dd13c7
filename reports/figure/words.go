package figure

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// This file says charts in words: what each bar comes to, where each line
// begins and ends.

// mostWords is how many values a text goes through.
const mostWords = 32

// listed joins what is said of the parts of a chart.
func listed(kind string, parts []string) string {
	if more := len(parts) - mostWords; more > 0 {
		parts = append(parts[:mostWords:mostWords], fmt.Sprintf("and %d more", more))
	}
	return kind + ": " + strings.Join(parts, "; ") + "."
}

// spoken writes a number of a chart with three digits, which is what one can
// read off it.
func spoken(format Format, v float64) string {
	if v == 0 {
		return format(0)
	}
	step := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return format(math.Round(v/step) * step)
}

func (b Bars) words() string {
	parts := make([]string, len(b.Rows))
	for i, r := range b.Rows {
		parts[i] = r.Label + " " + r.Value
	}
	return listed("Bars, "+b.Axis, parts)
}

func (l Lines) words() string {
	const day = "2 January 2006 15:04"
	parts := make([]string, len(l.Series))
	last := len(l.Times) - 1
	for i, s := range l.Series {
		parts[i] = fmt.Sprintf("%s from %s to %s", s.Name, spoken(l.Format, s.Values[0]), spoken(l.Format, s.Values[last]))
	}
	return listed(fmt.Sprintf("Lines over time, %s, first on %s and last on %s", l.Axis, l.Times[0].Format(day), l.Times[last].Format(day)), parts)
}

func (c Curves) words() string {
	parts := make([]string, len(c.Curves))
	for i, s := range c.Curves {
		last := len(s.X) - 1
		parts[i] = fmt.Sprintf("%s from %s at %s to %s at %s", s.Name,
			spoken(c.FormatY, s.Values[0]), spoken(c.FormatX, s.X[0]), spoken(c.FormatY, s.Values[last]), spoken(c.FormatX, s.X[last]))
	}
	return listed(fmt.Sprintf("Curves, %s, over %s", c.AxisY, c.AxisX), parts)
}

func (c Spans) words() string {
	parts := make([]string, len(c.Curves))
	for i, curve := range c.Curves {
		at := len(curve.Values) - 1
		for k, v := range curve.Values {
			if v <= 0.5 {
				at = k
				break
			}
		}
		parts[i] = fmt.Sprintf("%s %s at %s", curve.Name, spoken(Percent, curve.Values[at]), span(curve.Seconds[at]))
	}
	return listed(fmt.Sprintf("Curves, %s, over %s", c.AxisY, c.AxisX), parts)
}

// span writes a length of time in the largest unit that it fills.
func span(seconds float64) string {
	for _, unit := range []struct {
		name    string
		seconds float64
	}{{"days", 86400}, {"h", 3600}, {"min", 60}} {
		if seconds >= 2*unit.seconds {
			return strconv.FormatFloat(seconds/unit.seconds, 'f', 1, 64) + nbsp + unit.name
		}
	}
	return strconv.FormatFloat(seconds, 'f', 0, 64) + nbsp + "s"
}

func (h Histogram) words() string {
	parts := make([]string, len(h.Counts))
	for i, v := range h.Counts {
		parts[i] = fmt.Sprintf("%d: %s", i+1, Count(v))
	}
	return listed(fmt.Sprintf("Bars, %s, by %s", h.AxisY, h.AxisX), parts)
}
