package chdb

import (
	"embed"
	"regexp"
	"strings"
)

// The lists of what the engine has, and which of it a reader of a served
// record may use. They are frozen: what a newer engine adds is refused until it
// has been reviewed.
//
//go:embed allowed/*.txt
var allowedFiles embed.FS

// reviewed is one of these lists: a name, in lower case, and whether it is
// allowed. Names that are missing have not been reviewed.
type reviewed map[string]bool

func readReviewed(file string) reviewed {
	text, err := allowedFiles.ReadFile("allowed/" + file)
	if err != nil {
		panic(err) // it is part of the program
	}
	list := reviewed{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, refused := strings.CutPrefix(line, "-")
		list[strings.ToLower(name)] = !refused
	}
	return list
}

func (r reviewed) allows(name string) bool { return r[strings.ToLower(name)] }

var (
	functions      = readReviewed("functions.txt")
	tableFunctions = readReviewed("table_functions.txt")
	formats        = readReviewed("formats.txt")
)

// syntaxFunctions are what the parser makes of syntax and system.functions
// does not list.
var syntaxFunctions = map[string]bool{"lambda": true, "exists": true, "grouping": true, "untuple": true}

// combinators are the endings that make one aggregate function of another.
// Those of states are missing: a state may come from any bytes.
var combinators = []string{"if", "array", "distinct", "ordefault", "ornull", "foreach", "resample", "map", "argmin", "argmax", "tuple"}

// allCombinators has those of states too.
var allCombinators = append([]string{"state", "simplestate", "merge", "null"}, combinators...)

// allowedFunction says whether readers may call a function. Upper and lower
// case are the same here, whatever the engine makes of them: no two functions
// that differ only by case are judged differently.
func allowedFunction(name string) bool {
	name = strings.ToLower(name)
	if allowed, known := functions[name]; known {
		return allowed
	}
	if syntaxFunctions[name] {
		return true
	}
	for _, ending := range combinators {
		if base, ok := strings.CutSuffix(name, ending); ok && base != "" && allowedFunction(base) {
			return true
		}
	}
	return false
}

// systemTables are those of the engine that describe the record or the engine,
// and not the work of other clients.
var systemTables = map[string]bool{
	"system.one": true, "system.numbers": true, "system.numbers_mt": true, "system.zeros": true, "system.zeros_mt": true,
	"system.databases": true, "system.tables": true, "system.columns": true, "system.parts": true,
	"system.functions": true, "system.formats": true, "system.table_functions": true, "system.settings": true,
	"system.data_type_families": true, "system.time_zones": true,
}

// shapeSettings change how a query is read or its answer is written, and
// nothing else. They may be set in the URL and in a query.
var shapeSettings = map[string]bool{
	"session_timezone": true, "date_time_output_format": true, "date_time_input_format": true,
	"output_format_json_quote_64bit_integers": true, "output_format_json_quote_64bit_floats": true,
	"output_format_json_quote_denormals": true, "output_format_json_quote_decimals": true,
	"output_format_json_named_tuples_as_objects": true, "output_format_json_escape_forward_slashes": true,
	"output_format_csv_crlf_end_of_line": true, "output_format_tsv_crlf_end_of_line": true,
	"output_format_parquet_compression_method": true, "output_format_parquet_string_as_string": true,
	"output_format_arrow_string_as_string": true, "output_format_write_statistics": true,
	"output_format_native_use_flattened_dynamic_and_json_serialization": true,
	"describe_compact_output": true, "describe_include_subcolumns": true,
	"join_use_nulls": true, "join_algorithm": true, "group_by_use_nulls": true, "transform_null_in": true,
	"aggregate_functions_null_for_empty": true, "empty_result_for_aggregation_by_empty_set": true, "union_default_mode": true,
	"prefer_column_name_to_alias": true, "distributed_product_mode": true, "final": true, "do_not_merge_across_partitions_select_final": true,
	"extremes": true, "limit": true, "offset": true, "max_rows_to_group_by": true,
	"optimize_read_in_order": true,
}

// settingValue is what a setting may be: a number, a word, a time zone. Paths
// and addresses are no such thing.
var settingValue = regexp.MustCompile(`^[-+]?\w{1,64}([./+-]\w{1,64}){0,4}$`)
