package figure

import "gonum.org/v1/plot/vg"

// Bars is a chart of horizontal bars, one for each row, each made of one part
// for each key.
type Bars struct {
	Axis   string // what a bar's length is, with its unit
	Format Format // of the marks on the axis
	Keys   []Key  // looks of the parts; a legend is drawn if there are several
	Rows   []Bar
	Bound  string // legend of Bar.Bound, empty if no bar has one
	Whisk  string // legend of the whiskers, such as "95 % interval"
}

// Bar is one row.
type Bar struct {
	Label        string
	Parts        []float64   // lengths, one for each key
	Lower, Upper float64     // interval of the whole, drawn as a whisker unless both are equal
	Bound        *[2]float64 // where the whole may lie at all, drawn as a band
	Value        string      // beside the bar
}

func (b Bars) check() error {
	if len(b.Rows) == 0 || len(b.Keys) == 0 {
		return errEmpty
	}
	for _, r := range b.Rows {
		if err := finite(append([]float64{r.Lower, r.Upper}, r.Parts...)...); err != nil {
			return err
		}
		if r.Bound != nil {
			if err := finite(r.Bound[0], r.Bound[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	barHeight = 20
	barGap    = 12
)

func (b Bars) lay(p *pen, width vg.Length) vg.Length {
	y := vg.Length(0)
	if len(b.Keys) > 1 {
		y = legend(p, width, b.Keys, false)
	}
	y = b.layMarks(p, width, y)
	var labels, values []string
	for _, r := range b.Rows {
		labels, values = append(labels, r.Label), append(values, r.Value)
	}
	stacked := width < 500 // on a phone the label stands above its bar
	left, row, right := min(bodyText.widest(labels)+8, 0.36*width), vg.Length(barHeight+barGap), valueText.widest(values)+10
	if stacked {
		left, row, right = 0, barHeight+barGap+17, 8
	}
	s := newScale(b.longest(), 4+int(width)/250, width-left-right)
	bottom := y + row*vg.Length(len(b.Rows))
	p.shifted(left, 0, func(p *pen) { b.axis(p, s, y, bottom) })
	for i, r := range b.Rows {
		top := y + row*vg.Length(i)
		if stacked {
			p.text(0, top, bodyText, fit(r.Label, bodyText, width-valueText.width(r.Value)-8))
			p.text(width-valueText.width(r.Value), top, valueText, r.Value)
			top += 17
		} else {
			p.text(0, top+3, bodyText, fit(r.Label, bodyText, left-8))
			p.text(width-right+10, top+3, valueText, r.Value)
		}
		p.shifted(left, top, func(p *pen) { b.bar(p, s, r) })
	}
	p.text(left, bottom+20, axisText, fit(b.Axis, axisText, width-left))
	return bottom + 38
}

// layMarks explains whiskers and bands.
func (b Bars) layMarks(p *pen, width, y vg.Length) vg.Length {
	const sample = 22
	x := vg.Length(0)
	put := func(name string, draw func(x, y vg.Length)) {
		if name == "" {
			return
		}
		need := sample + 6 + bodyText.width(name)
		if x > 0 && x+need > width {
			x, y = 0, y+20
		}
		if p != nil {
			draw(x, y+7.5)
		}
		p.text(x+sample+6, y, bodyText, fit(name, bodyText, width-sample-6))
		x += need + 18
	}
	put(b.Bound, func(x, y vg.Length) { p.band(x+1, x+sample, y) })
	put(b.Whisk, func(x, y vg.Length) { p.whisker(x+2, x+sample-2, y, 4, 1.4) })
	if x == 0 {
		return y
	}
	return y + 26
}

func (b Bars) longest() (top float64) {
	for _, r := range b.Rows {
		top = max(top, r.Upper, sum(r.Parts))
		if r.Bound != nil {
			top = max(top, r.Bound[1])
		}
	}
	return top
}

func sum(parts []float64) (total float64) {
	for _, v := range parts {
		total += v
	}
	return total
}

func (b Bars) axis(p *pen, s scale, top, bottom vg.Length) {
	for i := range s.marks + 1 {
		x := s.of(s.mark(i))
		p.line(x, top-2, x, bottom, 0.7, grid)
		label := b.Format(s.mark(i))
		at := max(0, x-axisText.width(label)/2)
		if i == s.marks {
			at = min(at, s.size-axisText.width(label)+8)
		}
		p.text(at, bottom+4, axisText, label)
	}
}

func (b Bars) bar(p *pen, s scale, r Bar) {
	x := vg.Length(0)
	for i, part := range r.Parts {
		w := s.of(part)
		p.swatch(x, 0, w, barHeight, b.Keys[i].Look)
		if i > 0 && w > 0 {
			p.line(x, 0, x, barHeight, 1.2, paper) // parts stay apart in print
		}
		x += w
	}
	p.line(0, -2, 0, barHeight+2, 1, muted)
	if r.Bound != nil && r.Bound[1] > r.Bound[0] {
		p.band(s.of(r.Bound[0]), s.of(r.Bound[1]), barHeight/2)
	}
	if r.Upper > r.Lower {
		p.whisker(s.of(r.Lower), s.of(r.Upper), barHeight/2, 4, 1.4)
	}
}

// band draws where a value may lie at all: a thick outlined bracket.
func (p *pen) band(x0, x1, y vg.Length) {
	const half = 5
	p.rect(x0-1, y-half-1, x1-x0+2, 2*half+2, ink)
	p.rect(x0, y-half, x1-x0, 2*half, paper)
}
