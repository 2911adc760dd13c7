package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"

	chproto "github.com/ClickHouse/ch-go/proto"
)

// streamRows is how many rows of a server's native protocol make one block.
const streamRows = 65_536

// Stream runs a query and hands its answer to each, block by block and column
// by column, which for millions of rows costs a tenth of what [Store.DB] does.
// Columns are []string, []uint8, []uint16, []uint32, []uint64, []int64,
// []float32, []float64, []netip.Addr (of IPv6) or [][]uint32 and are valid
// until each returns; a query casts what is of another type. The embedded
// engine keeps a whole answer in memory: ask for a part at a time.
func (s *Store) Stream(ctx context.Context, query string, each func(columns []any) error) error {
	if !s.target.speaksHTTP() {
		return s.streamNative(ctx, query, each)
	}
	params := s.settings()
	params.Set("database", s.target.database)
	params.Set("default_format", "Native")
	res, err := s.post(ctx, params, strings.NewReader(query))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	r := chproto.NewReader(res.Body)
	var results chproto.Results
	for {
		var block chproto.Block
		err := block.DecodeRawBlock(r, 0, results.Auto())
		switch {
		case errors.Is(err, io.EOF) && block.Columns == 0:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("decode answer: %w", err)
		case block.Rows == 0:
			continue
		}
		columns := make([]any, len(results))
		for i, c := range results {
			if columns[i] = slice(c.Data); columns[i] == nil {
				return fmt.Errorf("column %s: cast %s to a type that can be streamed", c.Name, c.Data.Type())
			}
		}
		if err := each(columns); err != nil {
			return err
		}
	}
}

// slice is the values of a column, nil if its type is none that is streamed.
func slice(c chproto.ColResult) any {
	switch c := c.(type) {
	case *chproto.ColStr:
		all, out := string(c.Buf), make([]string, len(c.Pos))
		for i, p := range c.Pos {
			out[i] = all[p.Start:p.End]
		}
		return out
	case *chproto.ColLowCardinality[string]:
		return c.Values
	case *chproto.ColUInt8:
		return []uint8(*c)
	case *chproto.ColUInt16:
		return []uint16(*c)
	case *chproto.ColUInt32:
		return []uint32(*c)
	case *chproto.ColUInt64:
		return []uint64(*c)
	case *chproto.ColInt64:
		return []int64(*c)
	case *chproto.ColFloat32:
		return []float32(*c)
	case *chproto.ColFloat64:
		return []float64(*c)
	case *chproto.ColIPv6:
		out := make([]netip.Addr, len(*c))
		for i, a := range *c {
			out[i] = netip.AddrFrom16(a)
		}
		return out
	case *chproto.ColArr[uint32]:
		out := make([][]uint32, c.Rows())
		for i := range out {
			out[i] = c.Row(i)
		}
		return out
	}
	return nil
}

// streamNative scans row by row.
func (s *Store) streamNative(ctx context.Context, query string, each func(columns []any) error) error {
	rows, err := s.conn.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	var columns []reflect.Value
	dest := make([]any, len(rows.ColumnTypes()))
	for i, t := range rows.ColumnTypes() {
		kind := t.ScanType()
		if t.DatabaseTypeName() == "IPv6" {
			kind = reflect.TypeFor[netip.Addr]()
		}
		dest[i] = reflect.New(kind).Interface()
		columns = append(columns, reflect.MakeSlice(reflect.SliceOf(kind), 0, streamRows))
	}
	n := 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		out := make([]any, len(columns))
		for i := range columns {
			out[i] = columns[i].Interface()
			columns[i] = reflect.MakeSlice(columns[i].Type(), 0, streamRows)
		}
		n = 0
		return each(out)
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for i := range columns {
			columns[i] = reflect.Append(columns[i], reflect.ValueOf(dest[i]).Elem())
			if columns[i].Type().Elem().Kind() == reflect.Slice { // the scan would write into it again
				reflect.ValueOf(dest[i]).Elem().SetZero()
			}
		}
		if n++; n == streamRows {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return flush()
}
