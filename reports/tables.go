package reports

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"regexp"
	"strings"

	"canopy/reports/page"
)

// mostRows is how many rows of a table the page shows.
const mostRows = 400

// tables makes a CSV file of each table of some sections, and names it in the
// table, of which the page shows the last rows if it is long: such a table goes
// from crawl to crawl.
func tables(sections []page.Section) (files []file, err error) {
	for i := range sections {
		s := &sections[i]
		n := 0
		for _, b := range s.Blocks {
			if b.Table == nil || len(b.Table.Rows) == 0 {
				continue
			}
			n++
			content, err := tableCSV(b.Table)
			if err != nil {
				return nil, fmt.Errorf("write table of %s: %w", s.ID, err)
			}
			b.Table.CSV = fmt.Sprintf("%s-%d.csv", s.ID, n)
			files = append(files, file{b.Table.CSV, content})
			if all := len(b.Table.Rows); all > mostRows {
				b.Table.Caption += fmt.Sprintf(" The last %s of %s rows; the CSV has all.", count(mostRows), count(all))
				b.Table.Rows, b.Table.Links = b.Table.Rows[all-mostRows:], b.Table.Links[min(len(b.Table.Links), all-mostRows):]
			}
		}
		more, err := tables(s.Sections)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

// measured is a number with its unit and interval, as far as it has these, as
// tables show them.
var measured = regexp.MustCompile(strings.ReplaceAll(`^(N)(?:\x{a0}(%|points|ms|s|min|h|days))?(?: \((N)(?:–| to )(N)\))?$`, "N", `[<>]?[+-]?\d[\d.]*(?:\x{a0}\d{3})*`))

// column is how the numbers of a column of a table are written for programs.
type column struct {
	wide bool   // they have intervals
	unit string // that all of them share
}

// columns finds out how to write the columns of a table.
func columns(t *page.Table) []column {
	list := make([]column, len(t.Head))
	for i := range list {
		units := map[string]bool{}
		for _, row := range t.Rows {
			if m := measured.FindStringSubmatch(row[i]); m != nil {
				units[m[2]] = true
				list[i].wide = list[i].wide || m[3] != ""
			}
		}
		for unit := range units {
			if len(units) == 1 {
				list[i].unit = unit
			}
		}
	}
	return list
}

// heads are those of a column named so.
func (c column) heads(name string) []string {
	unit := ""
	if c.unit != "" {
		unit = " (" + c.unit + ")"
	}
	heads := []string{plainCell(name) + unit}
	if c.wide {
		heads = append(heads, plainCell(name)+", lower"+unit, plainCell(name)+", upper"+unit)
	}
	return heads
}

// cells writes a cell of the table. Where units differ within the column, each
// number keeps its own.
func (c column) cells(cell string) []string {
	list := make([]string, 1, 3)
	if c.wide {
		list = list[:3]
	}
	m := measured.FindStringSubmatch(cell)
	if m == nil {
		list[0] = plainCell(cell)
		return list
	}
	unit := ""
	if m[2] != "" && c.unit == "" {
		unit = " " + m[2]
	}
	for i, number := range []string{m[1], m[3], m[4]} {
		if i < len(list) && number != "" {
			list[i] = plainCell(plainCell(number) + unit)
		}
	}
	return list
}

// tableCSV writes a table for programs: numbers without marks of thousands,
// their unit in the head, and an interval in columns of its own.
func tableCSV(t *page.Table) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	how := columns(t)
	var head []string
	for i, h := range t.Head {
		head = append(head, how[i].heads(h)...)
	}
	if err := w.Write(head); err != nil {
		return nil, err
	}
	for _, row := range t.Rows {
		var cells []string
		for i, cell := range row {
			cells = append(cells, how[i].cells(cell)...)
		}
		if err := w.Write(cells); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return out.Bytes(), w.Error()
}

var (
	grouped1000 = regexp.MustCompile(`^[+-]?\d{1,3}(\x{a0}\d{3})+$`)
	plainNumber = regexp.MustCompile(`^[+-]?\d+(\.\d+)?$`)
)

// plainCell is a cell that no spreadsheet takes for a formula: what begins like
// one and is no number begins with an apostrophe.
func plainCell(s string) string {
	if grouped1000.MatchString(s) {
		s = strings.ReplaceAll(s, nbsp, "")
	}
	s = strings.ReplaceAll(s, nbsp, " ")
	if plainNumber.MatchString(s) {
		return strings.TrimPrefix(s, "+")
	}
	if text := strings.TrimLeft(s, " "); text != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(text)[0]) {
		return "'" + s
	}
	return s
}
