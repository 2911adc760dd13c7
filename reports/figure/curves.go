package figure

import (
	"image/color"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Curves is a chart of values over another value, each with a band. Curves may
// stand at different points.
type Curves struct {
	AxisX, AxisY     string // with their units
	FormatX, FormatY Format
	Curves           []Curve
}

// Curve is one line: at each X, which ascend, a value and its interval.
type Curve struct {
	Series
	X []float64
}

func (c Curves) check() error {
	if len(c.Curves) == 0 {
		return errEmpty
	}
	for _, s := range c.Curves {
		if len(s.X) == 0 || len(s.Values) != len(s.X) || len(s.Lower) != len(s.X) || len(s.Upper) != len(s.X) || !slices.IsSorted(s.X) {
			return errEmpty
		}
		for _, v := range [][]float64{s.X, s.Values, s.Lower, s.Upper} {
			if err := finite(v...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c Curves) lay(p *pen, width vg.Length) vg.Length {
	var keys []Key
	topX, topY := 0.0, 0.0
	for _, s := range c.Curves {
		keys = append(keys, s.Key)
		topX, topY = max(topX, slices.Max(s.X)), max(topY, slices.Max(s.Upper))
	}
	y := p.lines(0, legend(p, width, keys, true), axisText, wrap(c.AxisY, axisText, width)) + 8
	high := vg.Length(230)
	up := newScale(topY, 5, high)
	var marks []string
	for i := range up.marks + 1 {
		marks = append(marks, c.FormatY(up.mark(i)))
	}
	left := axisText.widest(marks) + 8
	a := plotArea{left, y, width - left - 16, high}
	for i, mark := range marks {
		at := a.y + high - up.of(up.mark(i))
		p.line(a.x, at, a.x+a.w, at, 0.7, grid)
		p.text(a.x-8-axisText.width(mark), at-7, axisText, mark)
	}
	along := newScale(topX, 3+int(width)/180, a.w)
	for i := range along.marks + 1 {
		x, label := a.x+along.of(along.mark(i)), c.FormatX(along.mark(i))
		p.line(x, a.y+high, x, a.y+high+4, 1, muted)
		w := axisText.width(label)
		p.text(min(x-w/2, width-w), a.y+high+6, axisText, label)
	}
	for _, s := range c.Curves {
		s.band(p, a, along, up)
	}
	for _, s := range c.Curves {
		s.line(p, a, along, up)
	}
	return p.lines(a.x, a.y+high+22, axisText, wrap(c.AxisX, axisText, a.w)) + 4
}

func (s Curve) band(p *pen, a plotArea, along, up scale) {
	if p == nil || len(s.X) < 2 {
		return
	}
	c := s.Look.Color
	c.A = 0x30
	n := len(s.X)
	points := make([]vg.Point, 2*n)
	for i, x := range s.X {
		points[i] = p.at(a.x+along.of(x), a.y+a.h-up.of(s.Upper[i]))
		points[2*n-1-i] = p.at(a.x+along.of(x), a.y+a.h-up.of(s.Lower[i]))
	}
	p.polygon(color.NRGBA(c), points...)
}

func (s Curve) line(p *pen, a plotArea, along, up scale) {
	if p == nil {
		return
	}
	points := make([]vg.Point, len(s.X))
	for i, x := range s.X {
		points[i] = p.at(a.x+along.of(x), a.y+a.h-up.of(s.Values[i]))
	}
	if len(points) > 1 {
		p.StrokeLines(draw.LineStyle{Color: s.Look.Color, Width: 2, Dashes: s.Look.Dashes}, points)
	}
	for i, x := range s.X {
		p.line(a.x+along.of(x), a.y+a.h-up.of(s.Upper[i]), a.x+along.of(x), a.y+a.h-up.of(s.Lower[i]), 1, s.Look.Color)
		p.glyph(a.x+along.of(x), a.y+a.h-up.of(s.Values[i]), s.Look)
	}
}
