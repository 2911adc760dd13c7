package dataset

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// The formats.
const (
	Parquet = "parquet"
	CSV     = "csv"
)

// sheet is the file of one table. Rows are encoded by several goroutines at
// once, and committed by one in their order.
type sheet interface {
	encode(rows) (part any, err error)
	commit(part any) error
	close() error
}

// create makes the file of a table in a folder.
func create(dir string, t table, format string) (sheet, error) {
	f, err := os.OpenFile(filepath.Join(dir, t.name+"."+format), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	if format == CSV {
		s := &csvSheet{table: t, out: out, file: f}
		_, err := out.WriteString(s.header())
		return s, err
	}
	schema := t.schema()
	w := parquet.NewGenericWriter[any](out, schema, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}), parquet.CreatedBy("canopy", "", ""))
	w.SetKeyValueMetadata("about", t.about)
	return &parquetSheet{table: t, writer: w, out: out, file: f}, nil
}

type parquetSheet struct {
	table  table
	writer *parquet.GenericWriter[any]
	out    *bufio.Writer
	file   io.Closer
}

// rowsAtOnce is how many rows go into a column at a time.
const rowsAtOnce = 2048

// encode makes a row group.
func (s *parquetSheet) encode(r rows) (any, error) {
	group := s.writer.BeginRowGroup()
	buffer := make([]parquet.Value, 0, rowsAtOnce)
	for i, c := range s.table.columns {
		to := group.ColumnWriters()[i]
		for from, n := 0, r.len(); from < n; from += rowsAtOnce {
			buffer = appendValues(buffer[:0], c.kind, r[i], from, min(from+rowsAtOnce, n))
			if _, err := to.WriteRowValues(buffer); err != nil {
				return nil, fmt.Errorf("encode column %s: %w", c.name, err)
			}
		}
		if err := to.Flush(); err != nil { // here and not when it is committed, which one goroutine does
			return nil, fmt.Errorf("encode column %s: %w", c.name, err)
		}
	}
	return group, nil
}

// appendValues appends what some rows of a column hold, with the levels of a
// column of its own. Strings are not copied: the column does that.
func appendValues(to []parquet.Value, k kind, values any, from, upTo int) []parquet.Value {
	switch k {
	case word, text:
		for _, s := range values.([]string)[from:upTo] {
			to = append(to, parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(s), len(s))))
		}
	case whole:
		for _, n := range values.([]int64)[from:upTo] {
			to = append(to, parquet.Int64Value(n))
		}
	case real:
		for _, v := range values.([]float64)[from:upTo] {
			to = append(to, parquet.DoubleValue(v))
		}
	case measure:
		for _, v := range values.([]float32)[from:upTo] {
			to = append(to, optional(parquet.FloatValue(v), !math.IsNaN(float64(v))))
		}
	case moment:
		for _, v := range values.([]int64)[from:upTo] {
			to = append(to, optional(parquet.Int64Value(v), v != never))
		}
	case list:
		for _, members := range values.([][]uint32)[from:upTo] {
			if len(members) == 0 {
				to = append(to, parquet.NullValue())
			}
			for i, m := range members {
				to = append(to, parquet.Int64Value(int64(m)).Level(min(i, 1), 1, 0))
			}
		}
	}
	return to
}

// optional is a value of an optional column, or none.
func optional(v parquet.Value, there bool) parquet.Value {
	if !there {
		return parquet.NullValue()
	}
	return v.Level(0, 1, 0)
}

func (s *parquetSheet) commit(part any) error {
	_, err := part.(*parquet.ConcurrentRowGroupWriter).Commit()
	return err
}

func (s *parquetSheet) close() error { return closeAll(s.writer.Close, s.out.Flush, s.file.Close) }

// closeAll runs all, and returns the first error.
func closeAll(steps ...func() error) (first error) {
	for _, step := range steps {
		if err := step(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

type csvSheet struct {
	table table
	out   *bufio.Writer
	file  io.Closer
}

func (s *csvSheet) header() string {
	names := make([]string, len(s.table.columns))
	for i, c := range s.table.columns {
		names[i] = c.name
	}
	return strings.Join(names, ",") + "\n"
}

func (s *csvSheet) encode(r rows) (any, error) {
	var out []byte
	for row := range r.len() {
		for i, c := range s.table.columns {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendCell(out, c.kind, r[i], row)
		}
		out = append(out, '\n')
	}
	return out, nil
}

func appendCell(to []byte, k kind, values any, row int) []byte {
	switch k {
	case word, text:
		return appendText(to, values.([]string)[row])
	case whole:
		return strconv.AppendInt(to, values.([]int64)[row], 10)
	case real:
		return strconv.AppendFloat(to, values.([]float64)[row], 'g', -1, 64)
	case measure:
		if v := values.([]float32)[row]; !math.IsNaN(float64(v)) {
			return strconv.AppendFloat(to, float64(v), 'g', -1, 32)
		}
		return to
	case moment:
		if v := values.([]int64)[row]; v != never {
			return time.UnixMilli(v).UTC().AppendFormat(to, "2006-01-02 15:04:05.000")
		}
		return to
	}
	to = append(to, '"', '[')
	for i, m := range values.([][]uint32)[row] {
		if i > 0 {
			to = append(to, ',')
		}
		to = strconv.AppendUint(to, uint64(m), 10)
	}
	return append(to, ']', '"')
}

// appendText writes a string as a CSV cell (RFC 4180). One that a spreadsheet
// would take for a formula begins with an apostrophe (OWASP, CSV Injection).
func appendText(to []byte, s string) []byte {
	if s == "" {
		return to
	}
	quoted := strings.ContainsAny(s, ",\"\r\n")
	if quoted {
		to = append(to, '"')
	}
	if formula(s) {
		to = append(to, '\'')
	}
	if !quoted {
		return append(to, s...)
	}
	return append(append(to, strings.ReplaceAll(s, `"`, `""`)...), '"')
}

// formula says whether a spreadsheet may take a string for a formula, be it
// after spaces, or as the full-width form of such a sign. An apostrophe counts
// too, so that it can be told from one that was put there.
func formula(s string) bool {
	s = strings.TrimLeft(s, " \u00a0")
	return s != "" && strings.ContainsAny(s[:1], "=+-@\t\r'") ||
		strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") || strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠")
}

func (s *csvSheet) commit(part any) error {
	_, err := s.out.Write(part.([]byte))
	return err
}

func (s *csvSheet) close() error { return closeAll(s.out.Flush, s.file.Close) }
