package figure

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Spans is a chart of shares against time spans, on a logarithmic axis, each
// with a band.
type Spans struct {
	AxisX, AxisY string
	Curves       []SpanCurve
}

// SpanCurve is one line; Seconds ascend and are above zero.
type SpanCurve struct {
	Key
	Seconds, Values, Lower, Upper []float64
}

func (c Spans) check() error {
	if len(c.Curves) == 0 {
		return errEmpty
	}
	for _, curve := range c.Curves {
		n := len(curve.Seconds)
		if n < 2 || len(curve.Values) != n || len(curve.Lower) != n || len(curve.Upper) != n || curve.Seconds[0] <= 0 || !slices.IsSorted(curve.Seconds) {
			return errEmpty
		}
		for _, v := range [][]float64{curve.Seconds, curve.Values, curve.Lower, curve.Upper} {
			if err := finite(v...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c Spans) lay(p *pen, width vg.Length) vg.Length {
	var keys []Key
	for _, curve := range c.Curves {
		keys = append(keys, curve.Key)
	}
	y := legend(p, width, keys, true)
	p.text(0, y, axisText, fit(c.AxisY, axisText, width))
	y += axisText.lineHeight() + 8
	high := vg.Length(230)
	s := newScale(1, 5, high)
	left := axisText.width(Percent(1)) + 8
	area := plotArea{left, y, width - left - 8, high}
	for i := range s.marks + 1 {
		at, mark := area.y+high-s.of(s.mark(i)), Percent(s.mark(i))
		p.line(left, at, left+area.w, at, 0.7, grid)
		p.text(left-8-axisText.width(mark), at-7, axisText, mark)
	}
	c.spans(p, area)
	for _, curve := range c.Curves {
		c.draw(p, area, s, curve)
	}
	p.text(area.x, area.y+high+22, axisText, fit(c.AxisX, axisText, area.w))
	return area.y + high + 40
}

// ends are the shortest and the longest span.
func (c Spans) ends() (first, last float64) {
	first = math.Inf(1)
	for _, curve := range c.Curves {
		first, last = min(first, curve.Seconds[0]), max(last, curve.Seconds[len(curve.Seconds)-1])
	}
	return first, max(last, first*1.01)
}

func (c Spans) x(a plotArea, seconds float64) vg.Length {
	first, last := c.ends()
	return a.x + vg.Length(math.Log(seconds/first)/math.Log(last/first))*a.w
}

// spans marks the axis with round time spans.
func (c Spans) spans(p *pen, a plotArea) {
	marks := []struct {
		span time.Duration
		name string
	}{
		{time.Second, "1 s"}, {2 * time.Second, "2 s"}, {5 * time.Second, "5 s"}, {10 * time.Second, "10 s"}, {30 * time.Second, "30 s"},
		{time.Minute, "1 min"}, {2 * time.Minute, "2 min"}, {5 * time.Minute, "5 min"}, {10 * time.Minute, "10 min"}, {30 * time.Minute, "30 min"},
		{time.Hour, "1 h"}, {2 * time.Hour, "2 h"}, {4 * time.Hour, "4 h"}, {8 * time.Hour, "8 h"}, {24 * time.Hour, "1 day"}, {48 * time.Hour, "2 days"},
		{7 * 24 * time.Hour, "1 week"}, {30 * 24 * time.Hour, "30 days"}, {90 * 24 * time.Hour, "90 days"}, {365 * 24 * time.Hour, "1 year"},
	}
	first, last := c.ends()
	edge := a.x - 20
	for _, m := range marks {
		if m.span.Seconds() < first*(1-1e-9) || m.span.Seconds() > last*(1+1e-9) {
			continue
		}
		x := c.x(a, m.span.Seconds())
		w := axisText.width(m.name)
		at := min(x-w/2, a.x+a.w+8-w)
		p.line(x, a.y, x, a.y+a.h+4, 0.7, grid)
		if at > edge+8 {
			p.text(at, a.y+a.h+6, axisText, m.name)
			edge = at + w
		}
	}
}

func (c Spans) draw(p *pen, a plotArea, s scale, curve SpanCurve) {
	if p == nil {
		return
	}
	n := len(curve.Seconds)
	band, line := make([]vg.Point, 2*n), make([]vg.Point, n)
	for i, t := range curve.Seconds {
		x := c.x(a, t)
		band[i] = p.at(x, a.y+a.h-s.of(curve.Upper[i]))
		band[2*n-1-i] = p.at(x, a.y+a.h-s.of(curve.Lower[i]))
		line[i] = p.at(x, a.y+a.h-s.of(curve.Values[i]))
	}
	fill := curve.Look.Color
	fill.A = 0x30
	p.polygon(fill, band...)
	p.StrokeLines(draw.LineStyle{Color: curve.Look.Color, Width: 2, Dashes: curve.Look.Dashes}, line)
	for i := 0; i < n; i += max(1, n/8) {
		p.glyph(c.x(a, curve.Seconds[i]), a.y+a.h-s.of(curve.Values[i]), curve.Look)
	}
}
