package dataset

import (
	"math"
	"reflect"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// kind is the type of a column.
type kind int

const (
	word    kind = iota // string that repeats
	text                // string that does not
	whole               // integer
	real                // double
	measure             // float, absent where it is NaN
	moment              // UTC, in milliseconds; absent where it is never
	list                // of integers
)

// never is the moment that is absent.
const never = math.MinInt64

var kindNames = map[kind]string{word: "string", text: "string", whole: "int64", real: "double", measure: "float, optional", moment: "timestamp in milliseconds, UTC, optional", list: "list of int64"}

type column struct {
	name  string
	kind  kind
	about string
}

// table is the form of one file.
type table struct {
	name, about string
	columns     []column
}

// rows are some rows of a table, column by column: []string, []int64 (also
// moments), []float64, []float32, [][]uint32.
type rows []any

func (r rows) len() int {
	if len(r) == 0 {
		return 0
	}
	return reflect.ValueOf(r[0]).Len()
}

// field is a column and how rows of type T are appended to it; nil is the empty
// one.
type field[T any] struct {
	column
	add func(to any, list []T) any
}

func fieldOf[T, V any](name string, k kind, about string, get func(*T) V) field[T] {
	return field[T]{column{name, k, about}, func(to any, list []T) any {
		out, _ := to.([]V)
		out = slices.Grow(out, len(list))
		for i := range list {
			out = append(out, get(&list[i]))
		}
		return out
	}}
}

func words[T any](name, about string, get func(*T) string) field[T] {
	return fieldOf(name, word, about, get)
}
func texts[T any](name, about string, get func(*T) string) field[T] {
	return fieldOf(name, text, about, get)
}
func wholes[T any](name, about string, get func(*T) int64) field[T] {
	return fieldOf(name, whole, about, get)
}
func reals[T any](name, about string, get func(*T) float64) field[T] {
	return fieldOf(name, real, about, get)
}
func measures[T any](name, about string, get func(*T) float32) field[T] {
	return fieldOf(name, measure, about, get)
}
func moments[T any](name, about string, get func(*T) int64) field[T] {
	return fieldOf(name, moment, about, get)
}
func lists[T any](name, about string, get func(*T) []uint32) field[T] {
	return fieldOf(name, list, about, get)
}

// form is a table and how rows of type T make it.
type form[T any] struct {
	table
	fields []field[T]
}

func newForm[T any](name, about string, fields ...field[T]) *form[T] {
	f := &form[T]{table{name: name, about: about}, fields}
	for _, one := range fields {
		f.columns = append(f.columns, one.column)
	}
	return f
}

// rows puts a list into columns.
func (f *form[T]) rows(list []T) rows { return f.add(nil, list) }

// add appends a list to columns.
func (f *form[T]) add(to rows, list []T) rows {
	if to == nil {
		to = make(rows, len(f.fields))
	}
	for i, one := range f.fields {
		to[i] = one.add(to[i], list)
	}
	return to
}

// schema is the Parquet schema, with the columns in their order.
func (t table) schema() *parquet.Schema {
	types := map[kind]reflect.Type{
		word: reflect.TypeFor[string](), text: reflect.TypeFor[string](), whole: reflect.TypeFor[int64](), real: reflect.TypeFor[float64](),
		measure: reflect.TypeFor[*float32](), moment: reflect.TypeFor[*int64](), list: reflect.TypeFor[[]int64](),
	}
	tags := map[kind]string{word: ",dict", measure: ",optional", moment: ",optional,timestamp(millisecond)", list: ",list"}
	var fields []reflect.StructField
	for i, c := range t.columns {
		fields = append(fields, reflect.StructField{
			Name: "F" + string(rune('A'+i/26)) + string(rune('A'+i%26)), Type: types[c.kind],
			Tag: reflect.StructTag(`parquet:"` + c.name + tags[c.kind] + `"`),
		})
	}
	return parquet.SchemaOf(reflect.New(reflect.StructOf(fields)).Interface())
}
