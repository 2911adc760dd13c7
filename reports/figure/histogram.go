package figure

import (
	"strconv"

	"gonum.org/v1/plot/vg"
)

// Histogram is a chart of upright bars over 1, 2, 3, ...
type Histogram struct {
	AxisX, AxisY string
	Look         Look
	Counts       []float64 // of 1, 2, 3, ...
}

func (h Histogram) check() error {
	if len(h.Counts) == 0 {
		return errEmpty
	}
	return finite(h.Counts...)
}

func (h Histogram) lay(p *pen, width vg.Length) vg.Length {
	top := 0.0
	for _, v := range h.Counts {
		top = max(top, v)
	}
	high := vg.Length(190)
	s := newScale(top, 4, high).whole()
	p.text(0, 0, axisText, fit(h.AxisY, axisText, width))
	y := axisText.lineHeight() + 20
	left := vg.Length(0)
	for i := range s.marks + 1 {
		left = max(left, axisText.width(Count(s.mark(i)))+8)
	}
	for i := range s.marks + 1 {
		at, label := y+high-s.of(s.mark(i)), Count(s.mark(i))
		p.line(left, at, width, at, 0.7, grid)
		p.text(left-8-axisText.width(label), at-7, axisText, label)
	}
	h.bars(p, s, left, y, width-left)
	p.text(left, y+high+20, axisText, fit(h.AxisX, axisText, width-left))
	return y + high + 38
}

func (h Histogram) bars(p *pen, s scale, left, y, width vg.Length) {
	slot := width / vg.Length(len(h.Counts))
	thick := min(slot*0.8, 60)
	edge, above := vg.Length(-100), vg.Length(-100)
	for i, v := range h.Counts {
		middle := left + slot*(vg.Length(i)+0.5)
		high := s.of(v)
		p.swatch(middle-thick/2, y+s.size-high, thick, high, h.Look)
		label := strconv.Itoa(i + 1)
		if at := middle - axisText.width(label)/2; at > edge+8 {
			p.text(at, y+s.size+4, axisText, label)
			edge = at + axisText.width(label)
		}
		value := Count(v)
		if at := middle - valueText.width(value)/2; at > above+4 && valueText.width(value) < slot {
			p.text(at, y+s.size-high-16, valueText, value)
			above = at + valueText.width(value)
		}
	}
}
