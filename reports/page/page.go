// Package page writes a report as one HTML file that needs nothing else: its
// figures are inline SVG, it carries its typeface, it has no script, and its
// content security policy forbids every request. It knows sections, tables and figures, not what they
// are about. Every string but a figure's SVG is escaped.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strings"
	"time"

	"canopy/reports/typeface"
)

// Document is one page.
type Document struct {
	Title     string
	Lead      string // one or two sentences below the title
	Banner    string // warning that must not be overlooked, empty for none
	Headlines []Headline
	Sections  []Section // each with its entry in the contents
	Generated time.Time
	Software  string
	Numbers   string // file name of all numbers, empty for none
}

// Headline is the answer for one network.
type Headline struct {
	Subject  string  // name of the network
	Sentence string  // the finding with its bound
	Points   []Point // what else was found, in short
	Detail   string  // the cell, n and interval
	Target   string  // ID of the section that tells more
}

// Point is a finding in one sentence, and the section that tells more.
type Point struct {
	Subject, Sentence string
	Target            string // ID of the section, empty for none
}

// Section is a part of the page. Sections below it have no entry in the
// contents.
type Section struct {
	ID       string // unique in the page
	Heading  string
	Blocks   []Block
	Sections []Section
}

// Block is one piece of a section: the first of its fields that is set.
type Block struct {
	Text   string
	Notice string // a paragraph that warns
	List   []string
	Terms  []Term
	Table  *Table
	Figure *Figure
}

// Term is a name and what it means or measures.
type Term struct {
	ID            string // unique in the page, empty for none
	Name, Meaning string
	Links         []Link
}

// Link leads elsewhere; nothing is loaded from there.
type Link struct {
	Text  string
	About string // said to those who hear the link alone
	URL   string
}

// Table has a row header in its first column.
type Table struct {
	Caption string
	Head    []string
	Numeric []bool // columns set to the right
	Rows    [][]string
	Links   []string // where the row headers lead, empty for nowhere; may be shorter than Rows
	CSV     string   // file name beside the page, empty for none
}

// Figure is a chart as inline SVG, for a wide page and for a phone.
type Figure struct {
	ID           string // unique in the page
	Title        string
	Caption      string
	Wide, Narrow []byte // SVG elements, trusted
	PNG, SVG     string // file names beside the page
}

//go:embed page.html
var source string

//go:embed page.css
var style string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"style":   func() template.CSS { return template.CSS(style) },
	"trusted": func(svg []byte) template.HTML { return template.HTML(svg) },
	"date":    func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
	"numeric": func(t *Table, column int) bool { return column < len(t.Numeric) && t.Numeric[column] },
	"link": func(t *Table, row int) string {
		if row < len(t.Links) {
			return t.Links[row]
		}
		return ""
	},
	"beside": Beside,
	"within": Within,
	"held":   held,
	"wide":   func(t *Table) bool { return len(t.Head) > mostNarrow },
	"deeper": func(level int) int { return level + 1 },
	"at":     func(level int, s Section) leveled { return leveled{s, level} },
}).Parse(source))

// interval is a range in brackets, in escaped text.
var interval = regexp.MustCompile(`\([^()\s]*(?:–| to )[^()\s]*\)`)

// held escapes a text, and keeps intervals in it on one line.
func held(text string) template.HTML {
	return template.HTML(interval.ReplaceAllString(template.HTMLEscapeString(text), `<span class="held">$0</span>`))
}

// mostNarrow is how many columns a table has that fits between the margins of
// the text.
const mostNarrow = 6

// leveled is a section and the level of its heading, 2 or 3.
type leveled struct {
	Section
	Level int
}

// Write writes the page.
func Write(w io.Writer, d Document) error {
	var body strings.Builder
	if err := page.ExecuteTemplate(&body, "body", d); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	whole := struct {
		Title string
		Rules template.CSS
		Body  template.HTML
	}{d.Title, template.CSS(typeface.Rules(body.String())), template.HTML(body.String())}
	if err := page.Execute(w, whole); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}
