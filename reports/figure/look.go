package figure

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Colours of the frame. A page may replace them by those of its theme.
var (
	ink       = color.NRGBA{0x1c, 0x21, 0x28, 0xff}
	muted     = color.NRGBA{0x57, 0x60, 0x6a, 0xff}
	grid      = color.NRGBA{0xd8, 0xdd, 0xe3, 0xff}
	paper     = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	warning   = color.NRGBA{0xff, 0xe0, 0x8a, 0xff}
	onWarning = color.NRGBA{0x3a, 0x2a, 0x01, 0xff}
)

func hex(c color.NRGBA) string { return fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B) }

// Pattern is how an area is hatched.
type Pattern int

// The patterns.
const (
	Solid Pattern = iota
	Rising
	Falling
	Upright
	Dense
)

// Look is how a class is told from others: by colour, and by pattern or marker.
type Look struct {
	Color   color.NRGBA
	Pattern Pattern
	Marker  draw.GlyphDrawer
	Dashes  []vg.Length
}

// hatch is the distance of hatch lines, 0 for none, and how far they lean.
func (l Look) hatch() (step, slope float64) {
	switch l.Pattern {
	case Rising:
		return 7, -1
	case Falling:
		return 7, 1
	case Upright:
		return 5, 0
	case Dense:
		return 3.5, 1
	}
	return 0, 0
}

// Looks for classes, after Okabe & Ito (2008). The order is of no rank.
var (
	Green   = Look{Color: color.NRGBA{0x00, 0x9e, 0x73, 0xff}, Marker: draw.CircleGlyph{}}
	Orange  = Look{Color: color.NRGBA{0xd5, 0x5e, 0x00, 0xff}, Pattern: Rising, Marker: draw.SquareGlyph{}, Dashes: []vg.Length{6, 2}}
	Sky     = Look{Color: color.NRGBA{0x56, 0xb4, 0xe9, 0xff}, Pattern: Upright, Marker: draw.TriangleGlyph{}, Dashes: []vg.Length{2, 2}}
	Yellow  = Look{Color: color.NRGBA{0xe6, 0x9f, 0x00, 0xff}, Pattern: Falling, Marker: draw.PyramidGlyph{}, Dashes: []vg.Length{8, 2, 2, 2}}
	Purple  = Look{Color: color.NRGBA{0xcc, 0x79, 0xa7, 0xff}, Pattern: Dense, Marker: draw.RingGlyph{}, Dashes: []vg.Length{4, 4}}
	Blue    = Look{Color: color.NRGBA{0x00, 0x72, 0xb2, 0xff}, Marker: draw.BoxGlyph{}}
	Neutral = Look{Color: color.NRGBA{0x7d, 0x85, 0x90, 0xff}, Pattern: Dense, Marker: draw.CrossGlyph{}, Dashes: []vg.Length{2, 3}}
)

// Key names a look in a legend.
type Key struct {
	Name string
	Look Look
}

// legend lays keys in rows, wrapping at the width.
func legend(p *pen, width vg.Length, keys []Key, lines bool) vg.Length {
	const box, gap, between = 22, 6, 18
	x, y := vg.Length(0), vg.Length(0)
	for _, k := range keys {
		name := fit(k.Name, bodyText, width-box-gap)
		need := box + gap + bodyText.width(name)
		if x > 0 && x+need > width {
			x, y = 0, y+20
		}
		if lines {
			p.sample(x, y+7.5, box, k.Look)
		} else {
			p.swatch(x, y+1, box, 13, k.Look)
		}
		p.text(x+box+gap, y, bodyText, name)
		x += need + between
	}
	return y + 24
}

// sample draws a piece of line with its marker.
func (p *pen) sample(x, y, w vg.Length, look Look) {
	p.line(x, y, x+w, y, 2, look.Color, look.Dashes...)
	p.glyph(x+w/2, y, look)
}

func (p *pen) glyph(x, y vg.Length, look Look) {
	if p != nil {
		p.DrawGlyphNoClip(draw.GlyphStyle{Color: look.Color, Radius: 3.5, Shape: look.Marker}, p.at(x, y))
	}
}
