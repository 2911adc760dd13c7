package figure

import (
	"image/color"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Lines is a chart of values over time, each with a band.
type Lines struct {
	Axis   string      // what the height is, with its unit
	Times  []time.Time // UTC, ascending, at least two
	Format Format
	Series []Series
}

// Series is one line: a value and its interval for each time.
type Series struct {
	Key
	Values, Lower, Upper []float64
}

func (l Lines) check() error {
	if len(l.Times) < 2 || len(l.Series) == 0 {
		return errEmpty
	}
	for _, s := range l.Series {
		if len(s.Values) != len(l.Times) || len(s.Lower) != len(l.Times) || len(s.Upper) != len(l.Times) {
			return errEmpty
		}
		for _, v := range [][]float64{s.Values, s.Lower, s.Upper} {
			if err := finite(v...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l Lines) lay(p *pen, width vg.Length) vg.Length {
	var keys []Key
	top := 0.0
	for _, s := range l.Series {
		keys = append(keys, s.Key)
		for _, v := range s.Upper {
			top = max(top, v)
		}
	}
	y := legend(p, width, keys, true)
	for _, line := range wrap(l.Axis, axisText, width) {
		p.text(0, y, axisText, line)
		y += axisText.lineHeight()
	}
	y += 8
	high := vg.Length(230)
	s := newScale(top, 5, high)
	var marks []string
	for i := range s.marks + 1 {
		marks = append(marks, l.Format(s.mark(i)))
	}
	left := axisText.widest(marks) + 8
	area := plotArea{left, y, width - left - 8, high}
	for i, mark := range marks {
		at := area.y + high - s.of(s.mark(i))
		p.line(left, at, left+area.w, at, 0.7, grid)
		p.text(left-8-axisText.width(mark), at-7, axisText, mark)
	}
	l.timeAxis(p, area)
	for _, series := range l.Series {
		l.band(p, area, s, series)
	}
	for _, series := range l.Series {
		l.line(p, area, s, series)
	}
	return area.y + high + 40
}

type plotArea struct{ x, y, w, h vg.Length }

// x is where time i lies: true to time, not to rank.
func (l Lines) x(a plotArea, i int) vg.Length {
	const inset = 8
	span := l.Times[len(l.Times)-1].Sub(l.Times[0]).Seconds()
	at := float64(i) / float64(len(l.Times)-1)
	if span > 0 {
		at = l.Times[i].Sub(l.Times[0]).Seconds() / span
	}
	return a.x + inset + vg.Length(at)*(a.w-2*inset)
}

func (l Lines) timeAxis(p *pen, a plotArea) {
	first, last := l.Times[0], l.Times[len(l.Times)-1]
	form := "2 Jan"
	switch span := last.Sub(first); {
	case span < 10*time.Minute:
		form = "15:04:05"
	case span < 48*time.Hour:
		form = "15:04"
	case span > 300*24*time.Hour:
		form = "Jan 2006"
	}
	var widest vg.Length
	for _, t := range l.Times {
		widest = max(widest, axisText.width(t.Format(form)))
	}
	stride := l.stride(a, widest+10)
	for i, t := range l.Times {
		x, label := l.x(a, i), t.Format(form)
		p.line(x, a.y+a.h, x, a.y+a.h+4, 1, muted)
		if i%stride == 0 {
			w := axisText.width(label)
			p.text(max(a.x-8, min(x-w/2, a.x+a.w+8-w)), a.y+a.h+6, axisText, label)
		}
	}
	about := "start of each crawl, UTC, " + first.Format("2 January 2006")
	if end := last.Format("2 January 2006"); end != first.Format("2 January 2006") {
		about += " to " + end
	}
	p.text(a.x, a.y+a.h+22, axisText, fit(about, axisText, a.w))
}

// stride is how many times to go on so that labels of a width stay apart.
func (l Lines) stride(a plotArea, width vg.Length) int {
	for stride := 1; stride < len(l.Times); stride++ {
		apart := true
		for i := stride; i < len(l.Times); i += stride {
			apart = apart && l.x(a, i)-l.x(a, i-stride) >= width
		}
		if apart {
			return stride
		}
	}
	return len(l.Times)
}

func (l Lines) band(p *pen, a plotArea, s scale, series Series) {
	if p == nil {
		return
	}
	c := series.Look.Color
	c.A = 0x30
	n := len(l.Times)
	points := make([]vg.Point, 2*n)
	for i := range n {
		points[i] = p.at(l.x(a, i), a.y+a.h-s.of(series.Upper[i]))
		points[2*n-1-i] = p.at(l.x(a, i), a.y+a.h-s.of(series.Lower[i]))
	}
	p.polygon(color.NRGBA(c), points...)
}

func (l Lines) line(p *pen, a plotArea, s scale, series Series) {
	if p == nil {
		return
	}
	points := make([]vg.Point, len(l.Times))
	for i, v := range series.Values {
		points[i] = p.at(l.x(a, i), a.y+a.h-s.of(v))
	}
	p.StrokeLines(draw.LineStyle{Color: series.Look.Color, Width: 2, Dashes: series.Look.Dashes}, points)
	if len(points) > 60 { // markers would hide the line
		return
	}
	for i, v := range series.Values {
		p.glyph(l.x(a, i), a.y+a.h-s.of(v), series.Look)
	}
}
