package address

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxTable bounds what is read of one table, in bytes: several times the
// largest that is published.
const maxTable = 1 << 30

// columns says which field of a line holds what; -1 where the table lacks it.
type columns struct {
	start, end, asn, organisation, country, hosting, note int

	header bool // the table names its columns itself
}

// The layouts without a header, by their number of fields.
var (
	// asnLayout is start,end,asn,organisation: ip-location-db's asn set.
	asnLayout = columns{0, 1, 2, 3, -1, -1, -1, false}
	// countryLayout is start,end,country: ip-location-db's country sets.
	countryLayout = columns{0, 1, -1, -1, 2, -1, -1, false}
	// iptoasnLayout is start, end, asn, country, description, by tabs: iptoasn.com.
	iptoasnLayout = columns{0, 1, 2, 4, 3, -1, -1, false}
)

// rank returns the precedence of a table with these columns.
func (c columns) rank() int {
	switch c {
	case countryLayout:
		return rankCountry
	case asnLayout, iptoasnLayout:
		return rankAS
	}
	return rankExtended
}

// notRouted is IPtoASN's description of what no AS announces.
const notRouted = "Not routed"

// readText fills the builder from a table of ranges in text: CSV with or
// without a header, or tab-separated IPtoASN, and returns the layout it found.
// Errors name the line.
func (b *builder) readText(r io.Reader, tabs bool) (columns, error) {
	tail := &tailReader{r: io.LimitReader(r, maxTable+1)}
	buf := bufio.NewReaderSize(tail, 1<<16)
	if err := sniff(buf); err != nil {
		return columns{}, err
	}
	next := csvLines(buf)
	if tabs {
		next = tabLines(buf)
	}
	cols, width := columns{start: -1}, 0
	for {
		fields, line, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return columns{}, err
		}
		if width == 0 {
			if cols, err = layout(fields, tabs); err != nil {
				return columns{}, fmt.Errorf("line %d: %w", line, err)
			}
			if width = len(fields); cols.header {
				continue
			}
		}
		if len(fields) != width {
			return columns{}, fmt.Errorf("line %d: it has %d fields where the first has %d; the file may be cut short or damaged, get it again", line, len(fields), width)
		}
		if err := b.addFields(fields, cols); err != nil {
			return columns{}, fmt.Errorf("line %d: %w; correct the line or get the file again", line, err)
		}
	}
	return cols, tail.check()
}

// layout reads the first line: a header, or a line of a table without one.
func layout(fields []string, tabs bool) (columns, error) {
	if !strings.EqualFold(strings.TrimSpace(fields[0]), "start") {
		switch {
		case tabs && len(fields) == 5:
			return iptoasnLayout, nil
		case !tabs && len(fields) == 4:
			return asnLayout, nil
		case !tabs && len(fields) == 3:
			return countryLayout, nil
		}
		return columns{}, fmt.Errorf("this is no table of address ranges: want start,end,asn,organisation, or start,end,country, "+
			"or a header with start, end and some of asn, organisation, country, hosting, note, or IPtoASN's five fields by tabs; found %d fields", len(fields))
	}
	cols := columns{-1, -1, -1, -1, -1, -1, -1, true}
	place := map[string]*int{
		"start": &cols.start, "end": &cols.end, "asn": &cols.asn,
		"organisation": &cols.organisation, "country": &cols.country, "hosting": &cols.hosting, "note": &cols.note,
	}
	for i, f := range fields {
		p := place[strings.ToLower(strings.TrimSpace(f))]
		if p == nil || *p >= 0 {
			return columns{}, fmt.Errorf("the header names column %q, which is unknown or named twice; known are start, end, asn, organisation, country, hosting, note", f)
		}
		*p = i
	}
	if cols.end < 0 {
		return columns{}, errors.New("the header lacks the column end")
	}
	return cols, nil
}

// addFields takes in one line.
func (b *builder) addFields(fields []string, c columns) error {
	get := func(i int) string {
		if i < 0 {
			return ""
		}
		return strings.TrimSpace(fields[i])
	}
	s, err := parseSpan(get(c.start), get(c.end))
	if err != nil {
		return err
	}
	var what said
	if asn := get(c.asn); asn != "" {
		if what.asn, err = parseASN(asn); err != nil {
			return err
		}
	}
	if what.organisation = get(c.organisation); what.asn == 0 && what.organisation == notRouted {
		what.organisation = ""
	}
	if what.country, err = parseCountry(get(c.country)); err != nil {
		return err
	}
	if what.hosting, err = parseHosting(get(c.hosting)); err != nil {
		return err
	}
	what.note = get(c.note)
	b.add(s, what)
	return nil
}

// csvLines reads RFC 4180 lines. The slice is valid until the next call.
func csvLines(r io.Reader) func() ([]string, int, error) {
	c := csv.NewReader(r)
	c.ReuseRecord, c.FieldsPerRecord, c.Comment = true, -1, '#'
	return func() ([]string, int, error) {
		fields, err := c.Read()
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			return nil, 0, fmt.Errorf("line %d: %w; the file may be cut short or damaged, get it again", bad.StartLine, bad.Err)
		}
		if err != nil {
			return nil, 0, err
		}
		line, _ := c.FieldPos(0)
		return fields, line, nil
	}
}

// tabLines reads lines of fields apart by tabs, without quoting.
func tabLines(r io.Reader) func() ([]string, int, error) {
	s := bufio.NewScanner(r)
	line := 0
	return func() ([]string, int, error) {
		for s.Scan() {
			line++
			if t := s.Text(); t != "" && !strings.HasPrefix(t, "#") {
				return strings.Split(t, "\t"), line, nil
			}
		}
		if err := s.Err(); err != nil {
			return nil, line, fmt.Errorf("line %d: %w", line+1, err)
		}
		return nil, line, io.EOF
	}
}

// sniff refuses what is plainly no text table, and skips a byte order mark.
func sniff(r *bufio.Reader) error {
	head, _ := r.Peek(512)
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		_, _ = r.Discard(3)
		head = head[3:]
	}
	trimmed := bytes.TrimSpace(head)
	switch {
	case len(trimmed) == 0:
		return errors.New("the file is empty; get it again")
	case trimmed[0] == '<':
		return errors.New("line 1: this is a web page (HTML), not a table: an error page was saved in its place; get it again")
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return errors.New("the file is compressed; unpack it with gunzip first")
	case slices.Contains(head, 0):
		return errors.New("line 1: this is binary data, not a table of text; a MaxMind file must end in .mmdb")
	}
	return nil
}

// tailReader notices how a file ends.
type tailReader struct {
	r    io.Reader
	n    int64
	last byte
}

func (t *tailReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n > 0 {
		t.n, t.last = t.n+int64(n), p[n-1]
	}
	return n, err
}

// check refuses a file that ends in the middle of a line.
func (t *tailReader) check() error {
	switch {
	case t.n > maxTable:
		return fmt.Errorf("the file is larger than %d MiB", maxTable>>20)
	case t.last != '\n':
		return errors.New("the last line has no end, so the file may be cut short: get it again, or end the line")
	}
	return nil
}
