package reports

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"regexp"
	"strings"

	"canopy/reports/page"
)

// tables makes a CSV file of each table of some sections, and names it in the
// table.
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
		}
		more, err := tables(s.Sections)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

// interval95 is a number and its interval as tables show them.
var interval95 = regexp.MustCompile(strings.ReplaceAll(`^(N)(?:\x{a0}%)? \((N)(?:–| to )(N)\)$`, "N", `[+-]?\d[\d.]*(?:\x{a0}\d{3})*`))

// tableCSV writes a table for programs: numbers without marks of thousands, and
// an interval in columns of its own.
func tableCSV(t *page.Table) ([]byte, error) {
	wide := make([]bool, len(t.Head))
	for _, row := range t.Rows {
		for i, cell := range row {
			wide[i] = wide[i] || interval95.MatchString(cell)
		}
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	var head []string
	for i, h := range t.Head {
		if head = append(head, plainCell(h)); wide[i] {
			head = append(head, plainCell(h)+", lower", plainCell(h)+", upper")
		}
	}
	if err := w.Write(head); err != nil {
		return nil, err
	}
	for _, row := range t.Rows {
		var cells []string
		for i, cell := range row {
			m := interval95.FindStringSubmatch(cell)
			switch {
			case !wide[i]:
				cells = append(cells, plainCell(cell))
			case m == nil:
				cells = append(cells, plainCell(cell), "", "")
			default:
				cells = append(cells, plainCell(m[1]), plainCell(m[2]), plainCell(m[3]))
			}
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
	if text := strings.TrimLeft(s, " "); text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + s
	}
	return s
}
