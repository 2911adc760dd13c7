// Package typeface is the typeface that figures are measured in, in pieces that
// a page or an SVG file carries with it: text is then shown as wide as it was
// measured, whatever fonts the reader's machine has.
//
// The typeface is Liberation Sans under a name of our own, since its licence
// (SIL Open Font License 1.1, OFL.txt) reserves the original's name. Its regular
// and bold faces are cut into slices by script, as slices.csv says, so that a
// file holds no more than its text needs. `make typeface` cuts them.
package typeface

import (
	"embed"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Family is the name of the typeface in style sheets.
const Family = "Canopy Sans"

// Stack is the typeface and what text is set in where a reader blocks it: fonts
// of the same widths, if there are any. Its quotes fit into an attribute.
const Stack = "'" + Family + "','Liberation Sans',Arimo,Arial,Helvetica,sans-serif"

//go:embed slices.csv *.woff2
var files embed.FS

// notice is what the licence wants to be told where the typeface goes.
const notice = "/* Canopy Sans is a subset of Liberation Sans. " +
	"Copyright 2010 Google Corporation, 2012 Red Hat, Inc. SIL Open Font License 1.1. */\n"

// slice is a part of the typeface, one row of slices.csv.
type slice struct {
	spans [][2]rune // first and last characters
	rules string    // @font-face rules of its faces
}

var pieces = sync.OnceValue(func() []slice {
	list, err := read()
	if err != nil {
		panic(err) // the files are part of the program
	}
	return list
})

func read() ([]slice, error) {
	f, err := files.Open("slices.csv")
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	var list []slice
	for _, row := range rows[1:] {
		name, ranges := row[0], row[1]
		var s slice
		if s.spans, err = parse(ranges); err != nil {
			return nil, err
		}
		for _, face := range []struct {
			style  string
			weight int
		}{{"regular", 400}, {"bold", 700}} {
			content, err := files.ReadFile(name + "-" + face.style + ".woff2")
			if err != nil {
				return nil, err
			}
			s.rules += fmt.Sprintf("@font-face{font-family:'%s';font-weight:%d;unicode-range:%s;", Family, face.weight, ranges) +
				fmt.Sprintf("src:url(data:font/woff2;base64,%s) format('woff2')}\n", base64.StdEncoding.EncodeToString(content))
		}
		list = append(list, s)
	}
	return list, nil
}

// parse reads a list of ranges such as "U+0100-024F, U+0259".
func parse(ranges string) (spans [][2]rune, err error) {
	for part := range strings.SplitSeq(ranges, ", ") {
		first, last, several := strings.Cut(strings.TrimPrefix(part, "U+"), "-")
		if !several {
			last = first
		}
		var span [2]rune
		for i, s := range []string{first, last} {
			n, err := strconv.ParseInt(s, 16, 32)
			if err != nil {
				return nil, fmt.Errorf("parse range %q: %w", part, err)
			}
			span[i] = rune(n)
		}
		spans = append(spans, span)
	}
	return spans, nil
}

func (s slice) holds(r rune) bool {
	for _, span := range s.spans {
		if r >= span[0] && r <= span[1] {
			return true
		}
	}
	return false
}

// Rules returns the style sheet that carries the slices of the typeface, regular
// and bold, which a text needs; markup around the text does no harm. It requests
// nothing: a content security policy needs `font-src data:`.
func Rules(text string) string {
	seen := map[rune]bool{}
	for _, r := range text {
		seen[r] = true
	}
	rules := notice
	for _, s := range pieces() {
		for r := range seen {
			if s.holds(r) {
				rules += s.rules
				break
			}
		}
	}
	return rules
}
