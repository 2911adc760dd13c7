// Package figure draws the charts of a report to SVG and PNG with gonum/plot's
// canvases and its Liberation fonts. It knows bars, lines and histograms, not
// what they are about. An SVG carries the font that its text was measured in.
//
// Every figure comes in a frame that states the finding, the unit, n, the date
// and the method, and every value with its interval. Classes differ in hatching
// or marker as well as in colour (Okabe & Ito 2008), so that figures survive
// colour blindness and print.
package figure

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"canopy/reports/typeface"
)

// Widths of a figure in points, which a page shows as as many CSS pixels.
const (
	wide   = 720
	narrow = 340
)

// whole is the class of an SVG that is a file of its own.
const whole = "figure"

// dpi of a PNG: two pixels for each point.
const dpi = 144

// Frame is what stands around a chart.
type Frame struct {
	Name    string            // file name without extension, also unique in a page
	Title   string            // the finding, in words
	Caption string            // unit, n, date, method, interval
	Banner  string            // warning that must not be overlooked, empty for none
	Plain   map[string]string // what names are called where the font lacks their characters
}

// Figure is a drawn chart.
type Figure struct {
	Frame
	Alt    string // what it shows, for those who can't see it
	SVG    []byte // whole file with its frame
	PNG    []byte // the same, 1440 pixels wide
	Wide   []byte // chart without frame as an SVG element for a page
	Narrow []byte // the same for a phone
}

// Chart is [Bars], [Lines] or [Histogram].
type Chart interface {
	// lay returns the height that the chart takes at a width, and draws it
	// when it is given a pen.
	lay(p *pen, width vg.Length) vg.Length
	// check says why the chart can't be drawn, if so.
	check() error
	// words says what the chart shows, for those who can't see it.
	words() string
}

// Draw draws a chart in its frame. It returns an error if there is nothing to
// draw or a number is not finite.
func Draw(frame Frame, chart Chart) (Figure, error) {
	if err := chart.check(); err != nil {
		return Figure{}, fmt.Errorf("draw figure %s: %w", frame.Name, err)
	}
	f := Figure{Frame: frame, Alt: frame.Title + ". " + chart.words()}
	framed := func(p *pen, width vg.Length) vg.Length { return frame.lay(p, width, chart) }
	f.SVG = append([]byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"), drawSVG(f.Alt, framed, wide, whole)...)
	f.Wide = drawSVG(f.Alt, chart.lay, wide, "wide")
	f.Narrow = drawSVG(f.Alt, chart.lay, narrow, "narrow")
	var err error
	if f.PNG, err = drawPNG(framed, frame.Plain); err != nil {
		return Figure{}, fmt.Errorf("draw figure %s: %w", frame.Name, err)
	}
	return f, nil
}

type layout func(p *pen, width vg.Length) vg.Length

func drawSVG(alt string, lay layout, width vg.Length, class string) []byte {
	height := lay(nil, width)
	canvas := vgsvg.NewWith(vgsvg.UseWH(width, height))
	p := &pen{Canvas: draw.New(canvas), height: height, widths: new([]vg.Length)}
	if class == whole {
		p.rect(0, 0, width, height, paper)
	}
	lay(p, width)
	var out bytes.Buffer
	_, _ = canvas.WriteTo(&out) // a buffer takes everything
	// Our own head: a name for screen readers, no prologue inside a page.
	_, body, _ := strings.Cut(out.String(), "xmlns:xlink=\"http://www.w3.org/1999/xlink\">\n")
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" class="%s" width="%g" height="%.5g" viewBox="0 0 %g %.5g" font-family="%s" text-rendering="geometricPrecision" role="img" aria-label="%s">`+"\n",
		class, width.Points(), height.Points(), width.Points(), height.Points(), typeface.Stack, html.EscapeString(legible(alt)))
	if class == whole { // the page carries the typeface once for all its figures
		head += "<style>\n" + typeface.Rules(body) + "</style>\n"
	}
	return []byte(head + dressed(body, *p.widths))
}

// dressed rewrites the tags of an SVG, never the text between them: they take
// the colours of a page's theme, and each text takes the width that was
// measured, also where the reader's program blocks the typeface or has no font
// for a character.
func dressed(body string, widths []vg.Length) string {
	return tag.ReplaceAllStringFunc(body, func(s string) string {
		if rest, text := strings.CutPrefix(s, "<text "); text {
			s = fmt.Sprintf(`<text textLength="%.4g" lengthAdjust="spacingAndGlyphs" %s`, widths[0].Points(), rest)
			widths = widths[1:]
		}
		return themed.Replace(s)
	})
}

// tag is an element's tag: where a text or an attribute has < or >, it is escaped.
var tag = regexp.MustCompile(`<[^>]*>`)

// themed lets a page set the colours of its theme, and leaves the font to the
// head.
var themed = strings.NewReplacer(
	hex(ink), "var(--ink,"+hex(ink)+")",
	hex(muted), "var(--muted,"+hex(muted)+")",
	hex(grid), "var(--grid,"+hex(grid)+")",
	hex(paper), "var(--paper,"+hex(paper)+")",
	"font-family:Liberation Sans;font-variant:normal;", "",
	"font-weight:normal;font-style:normal;", "",
	"font-style:normal;", "",
)

func drawPNG(lay layout, plain map[string]string) ([]byte, error) {
	height := lay(nil, wide)
	canvas := vgimg.NewWith(vgimg.UseWH(wide, height), vgimg.UseDPI(dpi))
	p := &pen{Canvas: draw.New(canvas), height: height, raster: true, plain: plain}
	p.rect(0, 0, wide, height, paper)
	lay(p, wide)
	var out bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&out); err != nil {
		return nil, fmt.Errorf("encode PNG: %w", err)
	}
	return out.Bytes(), nil
}

// lay puts banner and title above the chart and the caption below.
func (f Frame) lay(p *pen, width vg.Length, chart Chart) vg.Length {
	const margin = 18
	inner := width - 2*margin
	y := vg.Length(margin)
	if f.Banner != "" {
		lines := wrap(f.Banner, bannerText, inner-16)
		high := bannerText.lineHeight()*vg.Length(len(lines)) + 8
		p.rect(margin, y, inner, high, warning)
		p.lines(margin+8, y+4, bannerText, lines)
		y += high + 10
	}
	lines := wrap(f.Title, titleText, inner)
	y = p.lines(margin, y, titleText, lines) + 10
	p.shifted(margin, y, func(p *pen) { chart.lay(p, inner) })
	y += chart.lay(nil, inner) + 10
	return p.lines(margin, y, captionText, wrap(f.Caption, captionText, inner)) + margin
}
