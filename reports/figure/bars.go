package figure

import "gonum.org/v1/plot/vg"

// Bars is a chart of horizontal bars, one for each row, each made of one part
// for each key.
type Bars struct {
	Axis   string // what a bar's length is, with its unit
	Format Format // of the marks on the axis
	Keys   []Key  // looks of the parts; a legend is drawn if there are several
	Rows   []Bar
	Whisk  string // legend of the whiskers, such as "95 % interval"
}

// Bar is one row.
type Bar struct {
	Label        string
	Parts        []float64   // lengths, one for each key
	Lower, Upper float64     // interval of the whole, drawn as a whisker unless both are equal
	First        *[2]float64 // interval of the first part, nil for none
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
		if r.First != nil {
			if err := finite(r.First[:]...); err != nil {
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
	if b.Whisk != "" {
		const sample = 22
		p.whisker(2, sample-2, y+7.5, 4, 1.4)
		p.text(sample+6, y, bodyText, fit(b.Whisk, bodyText, width-sample-6))
		y += 26
	}
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
	p.shifted(left, 0, func(p *pen) { b.axis(p, s, y, bottom, -left, s.size+right) })
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

func (b Bars) longest() (top float64) {
	for _, r := range b.Rows {
		top = max(top, r.Upper, sum(r.Parts))
	}
	return top
}

func sum(parts []float64) (total float64) {
	for _, v := range parts {
		total += v
	}
	return total
}

// axis marks the lengths; labels stay between from and to.
func (b Bars) axis(p *pen, s scale, top, bottom, from, to vg.Length) {
	for i := range s.marks + 1 {
		x := s.of(s.mark(i))
		p.line(x, top-2, x, bottom, 0.7, grid)
		label := b.Format(s.mark(i))
		w := axisText.width(label)
		p.text(max(from, min(x-w/2, to-w)), bottom+4, axisText, label)
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
	y := vg.Length(barHeight) / 2
	if r.First != nil && r.First[1] > r.First[0] { // apart, since the two may overlap
		p.whisker(s.of(r.First[0]), s.of(r.First[1]), y-5, 3, 1.4)
		y += 5
	}
	if r.Upper > r.Lower {
		p.whisker(s.of(r.Lower), s.of(r.Upper), y, 4, 1.4)
	}
}
