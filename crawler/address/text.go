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

	"canopy/crawler/identifier"
)

// maxTable bounds what is read of one table, in bytes: several times the
// largest that is published.
const maxTable = 1 << 30

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

// addFields takes in one line.
func (b *builder) addFields(fields []string, c columns) error {
	get := func(i int) string {
		if i < 0 {
			return ""
		}
		return strings.TrimSpace(fields[i])
	}
	s, err := c.span(get)
	if err != nil {
		return err
	}
	var what said
	if asn := get(c.asn); asn != "" {
		if what.asn, err = identifier.AS(asn); err != nil {
			return err
		}
	}
	if what.organisation = get(c.organisation); what.asn == 0 && what.organisation == notRouted {
		what.organisation = ""
	}
	var odd string
	if what.country, odd, err = parseCountry(get(c.country)); err != nil {
		return err
	}
	if odd != "" {
		b.codes.add(odd, 1)
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
