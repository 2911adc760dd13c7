package figure

import (
	"fmt"
	"image/color"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode"

	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	textwidth "golang.org/x/text/width"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

var fonts = sync.OnceValue(func() *font.Cache { return font.NewCache(liberation.Collection()) })

// textStyle is a size, weight and colour of Liberation Sans.
type textStyle struct {
	font  font.Font
	color color.Color
}

func sans(size vg.Length, weight xfont.Weight, c color.Color) textStyle {
	return textStyle{font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: size}, c}
}

var (
	titleText   = sans(17, xfont.WeightBold, ink)
	bodyText    = sans(12, xfont.WeightNormal, ink)
	valueText   = sans(12, xfont.WeightBold, ink)
	axisText    = sans(11, xfont.WeightNormal, muted)
	captionText = sans(10.5, xfont.WeightNormal, muted)
	bannerText  = sans(12, xfont.WeightBold, onWarning)
)

func (s textStyle) face() font.Face { return fonts().Lookup(s.font, s.font.Size) }

// width is how wide a text is drawn. What the font lacks is shown in another
// one, stretched or squeezed to the width that is allowed for here.
func (s textStyle) width(text string) vg.Length {
	face := s.face()
	known, missing := split(face, legible(text))
	w := face.Width(known)
	for _, r := range missing {
		w += s.allowed(r)
	}
	return w
}

// allowed is the width for a character that the font lacks: about what it takes
// in most other fonts.
func (s textStyle) allowed(r rune) vg.Length {
	switch kind := textwidth.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me): // lies over the one before
		return 0
	case kind == textwidth.EastAsianWide || kind == textwidth.EastAsianFullwidth:
		return s.font.Size
	}
	return 0.65 * s.font.Size
}

// split parts the characters that a font has from those that it lacks.
func split(face font.Face, text string) (known string, missing []rune) {
	var buf sfnt.Buffer
	known = strings.Map(func(r rune) rune {
		if glyph, err := face.Face.GlyphIndex(&buf, r); err != nil || glyph == 0 {
			missing = append(missing, r)
			return -1
		}
		return r
	}, text)
	return known, missing
}

func (s textStyle) lineHeight() vg.Length { return s.font.Size * 1.3 }
func (s textStyle) widest(t []string) (w vg.Length) {
	for _, text := range t {
		w = max(w, s.width(text))
	}
	return w
}

// mostMarks is how many marks a character may carry: more pile up over the lines
// above, which no width shows. Written languages need three.
const mostMarks = 3

// legible drops what no font shows and XML forbids, marks that pile up or have
// nothing to lie over, and spaces that SVG joins with the one before.
func legible(text string) string {
	marks, space := mostMarks, true
	text = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || r == unicode.ReplacementChar || r == ' ' && space {
			return -1
		}
		space = r == ' '
		if !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
		} else if marks++; marks > mostMarks {
			return -1
		}
		return r
	}, text)
	return strings.TrimSuffix(text, " ")
}

// spelled writes a text with the characters that the font has: a name by
// what else it is known by, other runs by the code point of their first.
func (s textStyle) spelled(text string, plain map[string]string) string {
	face := s.face()
	if _, missing := split(face, text); len(missing) == 0 {
		return text
	}
	room := s.width(text)
	for _, name := range slices.Sorted(maps.Keys(plain)) {
		known := plain[name]
		short, cut := strings.CutSuffix(text, "…")
		if _, missing := split(face, known); len(missing) > 0 || name == "" {
			continue
		}
		if whole := strings.ReplaceAll(text, name, known); whole != text && s.width(whole) <= room {
			text = whole
		} else if cut && short != "" && strings.HasPrefix(name, short) && s.width(known) <= room {
			return known
		}
	}
	var b strings.Builder
	var run []rune // of missing characters
	end := func() {
		if len(run) > 0 {
			b.WriteString(s.code(run))
		}
		run = nil
	}
	for _, r := range text {
		if _, missing := split(face, string(r)); len(missing) > 0 {
			run = append(run, r)
			continue
		}
		end()
		b.WriteRune(r)
	}
	end()
	return b.String()
}

// code stands for a run of missing characters, and is no wider.
func (s textStyle) code(run []rune) string {
	room := s.width(string(run))
	for _, code := range []string{fmt.Sprintf("[U+%04X…]", run[0]), "…"} {
		if s.width(code) <= room {
			return code
		}
	}
	return ""
}

// fit cuts text to a width, ending in an ellipsis.
func fit(text string, style textStyle, width vg.Length) string {
	text = legible(text)
	if style.width(text) <= width {
		return text
	}
	runes := []rune(text)
	// No character is narrower than a point, but for its marks: this many runes are enough to begin with.
	runes = runes[:min(len(runes), (1+mostMarks)*(int(width)+1))]
	for len(runes) > 0 && style.width(string(runes)+"…") > width {
		runes = runes[:len(runes)-1]
	}
	return strings.TrimRight(string(runes), " ") + "…"
}

// wrap breaks text into lines of at most a width; longer words are cut.
func wrap(text string, style textStyle, width vg.Length) []string {
	var lines []string
	line := ""
	spaces := func(r rune) bool { return r == ' ' || r == '\n' } // not those that hold words together
	for word := range strings.FieldsFuncSeq(text, spaces) {
		word = fit(word, style, width)
		switch {
		case line == "":
			line = word
		case style.width(line+" "+word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// pen draws with y growing downwards from the top. A nil pen draws nothing, so
// that a layout can be measured before its canvas is made.
type pen struct {
	draw.Canvas
	raster bool // what the font lacks can't be shown
	plain  map[string]string
	widths *[]vg.Length // of each text drawn, in order; nil if they are of no use
	height vg.Length
	x0, y0 vg.Length
}

func (p *pen) at(x, y vg.Length) vg.Point { return vg.Point{X: p.x0 + x, Y: p.height - p.y0 - y} }

// shifted draws with the origin moved.
func (p *pen) shifted(x, y vg.Length, f func(*pen)) {
	if p == nil {
		return
	}
	moved := *p
	moved.x0, moved.y0 = p.x0+x, p.y0+y
	f(&moved)
}

// text draws one line whose top is at y.
func (p *pen) text(x, y vg.Length, style textStyle, text string) {
	if text = legible(text); p == nil || text == "" {
		return
	}
	if p.raster {
		text = style.spelled(text, p.plain)
	}
	if p.widths != nil {
		*p.widths = append(*p.widths, style.width(text))
	}
	p.SetColor(style.color)
	p.FillString(style.face(), p.at(x, y+style.font.Size), text)
}

// lines draws lines one below the other and returns where they end.
func (p *pen) lines(x, y vg.Length, style textStyle, lines []string) vg.Length {
	for _, line := range lines {
		p.text(x, y, style, line)
		y += style.lineHeight()
	}
	return y
}

func (p *pen) rect(x, y, w, h vg.Length, c color.Color) {
	if p == nil || w <= 0 || h <= 0 {
		return
	}
	p.polygon(c, p.at(x, y), p.at(x+w, y), p.at(x+w, y+h), p.at(x, y+h))
}

func (p *pen) polygon(c color.Color, points ...vg.Point) {
	if p != nil {
		p.FillPolygon(c, points)
	}
}

func (p *pen) line(x0, y0, x1, y1, width vg.Length, c color.Color, dashes ...vg.Length) {
	if p != nil {
		p.StrokeLines(draw.LineStyle{Color: c, Width: width, Dashes: dashes}, []vg.Point{p.at(x0, y0), p.at(x1, y1)})
	}
}

// whisker draws an interval as a horizontal line with ends.
func (p *pen) whisker(x0, x1, y, cap, width vg.Length) {
	for _, s := range []struct {
		width vg.Length
		color color.Color
	}{{width + 2.5, paper}, {width, ink}} { // a light rim, so that it shows on every bar
		p.line(x0, y, x1, y, s.width, s.color)
		p.line(x0, y-cap, x0, y+cap, s.width, s.color)
		p.line(x1, y-cap, x1, y+cap, s.width, s.color)
	}
}

// swatch fills a rectangle in the look of a class.
func (p *pen) swatch(x, y, w, h vg.Length, look Look) {
	if p == nil || w <= 0 {
		return
	}
	p.rect(x, y, w, h, look.Color)
	step, slope := look.hatch()
	if step <= 0 {
		return
	}
	for off := step/2 - math.Abs(slope)*h.Points(); off < w.Points(); off += step {
		p.hatchLine(x, y, w, h, off, slope)
	}
}

// hatchLine draws one line across a rectangle: its upper end is off points to
// the right of the left edge, moved by h*slope at the lower end, and it is cut
// at the sides.
func (p *pen) hatchLine(x, y, w, h vg.Length, off, slope float64) {
	run := math.Abs(slope) * h.Points()
	from, to := max(0, off), min(w.Points(), off+run)
	if run == 0 {
		p.line(x+vg.Length(off), y, x+vg.Length(off), y+h, 1.1, paper)
		return
	}
	if to-from < 0.2 {
		return
	}
	top, bottom := (from-off)/run*h.Points(), (to-off)/run*h.Points()
	if slope < 0 {
		top, bottom = h.Points()-top, h.Points()-bottom
	}
	p.line(x+vg.Length(from), y+vg.Length(top), x+vg.Length(to), y+vg.Length(bottom), 1.1, paper)
}
