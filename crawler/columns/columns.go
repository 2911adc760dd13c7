// Package columns aligns the cells of a table for a terminal. It counts what a
// character takes there, two cells in East Asian scripts and emoji and none for a
// mark over another, where text/tabwriter counts one for each.
package columns

import (
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/text/width"
)

// Writer is a text/tabwriter with two spaces between columns. The pieces of text
// that are not as wide as they have characters go through it as characters of a
// private plane, as many as they are wide, and come out as they were.
type Writer struct {
	*tabwriter.Writer
	private *private
}

// New makes a writer; flags are those of text/tabwriter.
func New(w io.Writer, flags uint) *Writer {
	p := &private{w: w, codes: map[string]rune{}}
	return &Writer{tabwriter.NewWriter(p, 0, 0, 2, ' ', flags), p}
}

// Write takes whole characters, with cells that end in tabs.
func (w *Writer) Write(text []byte) (int, error) {
	if _, err := w.Writer.Write([]byte(w.private.hide(string(text)))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// The private plane has room for as many different pieces as a table may have:
// those beyond are aligned as text/tabwriter does.
const (
	firstCode = 0xf0000
	lastCode  = 0xffffc
	filler    = 0xffffd // takes the second cell of a wide piece
)

// private is what pieces of text stand for characters of the private plane.
type private struct {
	w      io.Writer
	codes  map[string]rune
	pieces []string // by code
}

// cells is how many a character takes on a terminal.
func cells(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	return 1
}

// hide replaces the pieces that are not as wide as they have characters.
func (p *private) hide(text string) string {
	var b strings.Builder
	runes := []rune(text)
	for i := 0; i < len(runes); {
		end := i + 1
		for end < len(runes) && runes[i] >= ' ' && cells(runes[end]) == 0 {
			end++
		}
		wide := cells(runes[i])
		if wide == 1 && end == i+1 && (runes[i] < firstCode || runes[i] > filler) {
			b.WriteRune(runes[i])
		} else {
			b.WriteString(p.hidden(string(runes[i:end]), wide))
		}
		i = end
	}
	return b.String()
}

func (p *private) hidden(piece string, wide int) string {
	code, known := p.codes[piece]
	if !known {
		code = rune(firstCode + len(p.pieces))
		if code > lastCode || wide == 0 {
			return piece
		}
		p.codes[piece], p.pieces = code, append(p.pieces, piece)
	}
	return string(code) + strings.Repeat(string(rune(filler)), wide-1)
}

// Write puts the pieces back.
func (p *private) Write(text []byte) (int, error) {
	var b strings.Builder
	for _, r := range string(text) {
		switch i := int(r) - firstCode; {
		case r == filler:
		case i >= 0 && i < len(p.pieces):
			b.WriteString(p.pieces[i])
		default:
			b.WriteRune(r)
		}
	}
	if _, err := io.WriteString(p.w, b.String()); err != nil {
		return 0, err
	}
	return len(text), nil
}
