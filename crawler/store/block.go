package store

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/google/uuid"
)

// block is one batch of rows on its way into a table. Its data is ClickHouse's
// Native format at revision 0, which every engine reads and which needs no
// knowledge of the table: ClickHouse casts what a column's type differs in.
type block struct {
	table   string
	columns []string
	rows    int
	data    []byte
}

func (b *block) insertQuery() string {
	return fmt.Sprintf("INSERT INTO %s (%s)", b.table, strings.Join(b.columns, ", "))
}

// column says how one column of a table is filled from rows of type T.
type column[T any] struct {
	name   string
	encode func(rows [][]T, n int) chproto.ColInput
}

// encodeBlock writes rows, n in all, as one block.
func encodeBlock[T any](table string, columns []column[T], rows [][]T, n int) (*block, error) {
	b := &block{table: table, rows: n, columns: make([]string, len(columns))}
	input := make([]chproto.InputColumn, len(columns))
	for i, c := range columns {
		b.columns[i] = c.name
		input[i] = chproto.InputColumn{Name: c.name, Data: c.encode(rows, n)}
	}
	out := chproto.Buffer{Buf: make([]byte, 0, n*8*len(columns))}
	if err := (chproto.Block{Columns: len(columns), Rows: n}).EncodeRawBlock(&out, 0, input); err != nil {
		return nil, fmt.Errorf("encode rows of %s: %w", table, err)
	}
	b.data = out.Buf
	return b, nil
}

// field makes a column of one value per row.
func field[T, V any](name string, get func(*T) V) column[T] {
	return column[T]{name, func(rows [][]T, n int) chproto.ColInput {
		input, add := values[V](n)
		fill(rows, get, add)
		return input
	}}
}

// symbol makes a column of strings that repeat, each of which is sent once.
func symbol[T any](name string, get func(*T) string) column[T] {
	return column[T]{name, func(rows [][]T, n int) chproto.ColInput {
		c := new(chproto.ColStr).LowCardinality()
		c.Values = make([]string, 0, n)
		fill(rows, get, c.Append)
		return c
	}}
}

func fill[T, V any](rows [][]T, get func(*T) V, add func(V)) {
	for _, some := range rows {
		for i := range some {
			add(get(&some[i]))
		}
	}
}

// values returns an empty column for n values of type V, and what appends to
// it.
func values[V any](n int) (chproto.ColInput, func(V)) {
	var input chproto.ColInput
	var add any
	switch any(*new(V)).(type) {
	case string:
		c := &chproto.ColStr{Pos: make([]chproto.Position, 0, n)}
		input, add = c, c.Append
	case id20:
		c := &chproto.ColFixedStr{Size: len(id20{}), Buf: make([]byte, 0, n*len(id20{}))}
		input, add = c, func(id id20) { c.Buf = append(c.Buf, id[:]...) }
	case uint8:
		c := make(chproto.ColUInt8, 0, n)
		input, add = &c, c.Append
	case uint16:
		c := make(chproto.ColUInt16, 0, n)
		input, add = &c, c.Append
	case uint32:
		c := make(chproto.ColUInt32, 0, n)
		input, add = &c, c.Append
	case uint64:
		c := make(chproto.ColUInt64, 0, n)
		input, add = &c, c.Append
	case float64:
		c := make(chproto.ColFloat64, 0, n)
		input, add = &c, c.Append
	case uuid.UUID:
		c := make(chproto.ColUUID, 0, n)
		input, add = &c, c.Append
	case netip.Addr: // the invalid one becomes ::
		c := make(chproto.ColIPv6, 0, n)
		input, add = &c, func(a netip.Addr) { c.Append(chproto.IPv6(a.As16())) }
	default:
		input, add = structuredValues(*new(V), n)
	}
	return input, add.(func(V))
}

func structuredValues(zero any, n int) (chproto.ColInput, any) {
	switch zero.(type) {
	case time.Time:
		c := milliseconds64()
		c.Data = make([]chproto.DateTime64, 0, n)
		return c, c.Append
	case *time.Time:
		c := chproto.NewColNullable[time.Time](milliseconds64())
		return c, func(t *time.Time) { c.Append(nullable(t)) }
	case *float32:
		c := chproto.NewColNullable[float32](new(chproto.ColFloat32))
		return c, func(f *float32) { c.Append(nullable(f)) }
	case []string:
		c := new(chproto.ColStr).Array()
		return c, c.Append
	case []uint32:
		c := new(chproto.ColUInt32).Array()
		return c, c.Append
	}
	panic(fmt.Sprintf("no column holds a %T", zero))
}

func milliseconds64() *chproto.ColDateTime64 {
	return new(chproto.ColDateTime64).WithPrecision(chproto.PrecisionMilli).WithLocation(time.UTC)
}

func nullable[V any](v *V) chproto.Nullable[V] {
	if v == nil {
		return chproto.Null[V]()
	}
	return chproto.NewNullable(*v)
}

// insert hands rows, n in all, to the store.
func insert[T any](ctx context.Context, s *Store, table string, columns []column[T], rows [][]T, n int) error {
	b, err := encodeBlock(table, columns, rows, n)
	if err != nil {
		return err
	}
	return s.insertBlock(ctx, b)
}

// insertNative sends a block through the client, row by row.
func (s *Store) insertNative(ctx context.Context, b *block) error {
	decoded := proto.Block{ServerContext: &chcolumn.ServerContext{}}
	if err := decoded.Decode(chproto.NewReader(bytes.NewReader(b.data)), 0); err != nil {
		return fmt.Errorf("decode block: %w", err)
	}
	batch, err := s.conn.PrepareBatch(ctx, b.insertQuery())
	if err != nil {
		return err
	}
	row := make([]any, len(decoded.Columns))
	for i := range decoded.Rows() {
		for j, c := range decoded.Columns {
			row[j] = c.Row(i, false)
		}
		if err := batch.Append(row...); err != nil {
			_ = batch.Abort()
			return err
		}
	}
	return batch.Send()
}
