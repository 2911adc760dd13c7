package store

import (
	"bufio"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"canopy/crawler/columns"
	"canopy/crawler/observation"
)

// nativeFormats are those that can be written from rows, without the engine.
var nativeFormats = []string{"JSONEachRow", "CSV", "CSVWithNames", "TSV", "TSVWithNames"}

// table prints aligned columns for people.
type table struct{ w *columns.Writer }

func newTable(w io.Writer) table { return table{columns.New(w, 0)} }

// row prints cells as harmless text.
func (t table) row(cells []string) error {
	safe := make([]string, len(cells))
	for i, cell := range cells {
		safe[i] = observation.Text(cell)
	}
	_, err := fmt.Fprintln(t.w, strings.Join(safe, "\t"))
	return err
}

// writeTabSeparated turns ClickHouse's TabSeparatedWithNames into a table.
func writeTabSeparated(w io.Writer, r io.Reader) error {
	t := newTable(w)
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			for i, cell := range cells {
				cells[i] = unescape(cell)
			}
			if err := t.row(cells); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return t.w.Flush()
		}
		if err != nil {
			return err
		}
	}
}

var unescaper = strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\r`, "\r", `\b`, "\b", `\f`, "\f", `\0`, "\x00", `\'`, "'")

// unescape undoes ClickHouse's escapes of tab-separated text.
func unescape(cell string) string {
	if cell == `\N` {
		return "NULL"
	}
	return unescaper.Replace(cell)
}

// writeRows writes rows in one of nativeFormats, or as a table.
func writeRows(w io.Writer, rows *sql.Rows, format string) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	out, err := newRowWriter(w, format, types)
	if err != nil {
		return err
	}
	values, pointers := make([]any, len(types)), make([]any, len(types))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return err
		}
		if err := out.write(values); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), out.flush())
}

type rowWriter struct {
	write func(values []any) error
	flush func() error
}

func newRowWriter(w io.Writer, format string, types []*sql.ColumnType) (rowWriter, error) {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name()
	}
	asText := func(row func([]string) error, null string, escape func(string) string) func([]any) error {
		return func(values []any) error { return row(texts(values, types, null, escape)) }
	}
	asIs := func(s string) string { return s }
	switch format {
	case "":
		t := newTable(w)
		return rowWriter{asText(t.row, "NULL", asIs), t.w.Flush}, t.row(names)
	case "JSONEachRow":
		buffered := bufio.NewWriter(w)
		return rowWriter{func(values []any) error { return writeObject(buffered, names, types, values) }, buffered.Flush}, nil
	case "CSV", "CSVWithNames":
		out := csv.NewWriter(w)
		flush := func() error { out.Flush(); return out.Error() }
		if format == "CSV" {
			return rowWriter{asText(out.Write, `\N`, asIs), flush}, nil
		}
		return rowWriter{asText(out.Write, `\N`, asIs), flush}, out.Write(names)
	case "TSV", "TabSeparated", "TSVWithNames", "TabSeparatedWithNames":
		buffered := bufio.NewWriter(w)
		line := func(cells []string) error { return writeLine(buffered, cells) }
		if strings.HasSuffix(format, "WithNames") {
			return rowWriter{asText(line, `\N`, escaper.Replace), buffered.Flush}, line(escapeAll(names))
		}
		return rowWriter{asText(line, `\N`, escaper.Replace), buffered.Flush}, nil
	}
	return rowWriter{}, fmt.Errorf("format %s: %w", format, errFormat)
}

var escaper = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\b", `\b`, "\f", `\f`, "\x00", `\0`)

func escapeAll(cells []string) []string {
	escaped := make([]string, len(cells))
	for i, cell := range cells {
		escaped[i] = escaper.Replace(cell)
	}
	return escaped
}

func writeLine(w *bufio.Writer, cells []string) error {
	for i, cell := range cells {
		if i > 0 {
			_ = w.WriteByte('\t') // a bufio.Writer keeps its error for Flush
		}
		_, _ = w.WriteString(cell)
	}
	return w.WriteByte('\n')
}

func writeObject(w *bufio.Writer, names []string, types []*sql.ColumnType, values []any) error {
	for i, name := range names {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		value, err := json.Marshal(jsonValue(values[i], types[i]))
		if err != nil {
			return fmt.Errorf("write column %s: %w", name, err)
		}
		_ = w.WriteByte(separator) // a bufio.Writer keeps its error for Flush
		_, _ = w.Write(key)
		_ = w.WriteByte(':')
		_, _ = w.Write(value)
	}
	_, err := w.WriteString("}\n")
	return err
}

func jsonValue(value any, t *sql.ColumnType) any {
	switch v := value.(type) {
	case time.Time:
		return timeText(v, t)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
	case float32:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
	case []byte:
		return bytesValue(v, t)
	}
	return value
}

// bytesValue tells a string from an Array(UInt8), which the client gives in
// one and the same Go type.
func bytesValue(v []byte, t *sql.ColumnType) any {
	if !strings.HasPrefix(t.DatabaseTypeName(), "Array") {
		return string(v)
	}
	numbers := make([]uint16, len(v)) // anything that JSON writes as a list
	for i, b := range v {
		numbers[i] = uint16(b)
	}
	return numbers
}

// texts writes values, escaped, and null for those that are none.
func texts(values []any, types []*sql.ColumnType, null string, escape func(string) string) []string {
	cells := make([]string, len(values))
	for i, value := range values {
		if cells[i] = null; value != nil {
			cells[i] = escape(text(value, types[i]))
		}
	}
	return cells
}

// text writes scalars as ClickHouse does and everything else as JSON.
func text(value any, t *sql.ColumnType) string {
	switch v := value.(type) {
	case string:
		return v
	case []byte:
		value = bytesValue(v, t)
		if s, ok := value.(string); ok {
			return s
		}
	case time.Time:
		return timeText(v, t)
	case fmt.Stringer:
		return v.String()
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return fmt.Sprint(v)
	}
	if j, err := json.Marshal(value); err == nil {
		return string(j)
	}
	return fmt.Sprint(value)
}

func timeText(v time.Time, t *sql.ColumnType) string {
	name := t.DatabaseTypeName()
	if strings.Contains(name, "Date") && !strings.Contains(name, "DateTime") {
		return v.Format(time.DateOnly)
	}
	digits, _, ok := t.DecimalSize()
	if !ok || digits <= 0 {
		return v.Format(time.DateTime)
	}
	return v.Format(time.DateTime + "." + strings.Repeat("0", int(min(digits, 9))))
}
