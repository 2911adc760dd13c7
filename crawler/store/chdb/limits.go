package chdb

import (
	"strconv"
)

// longestStatement bounds statements as the engine reads them: those of
// clients, written anew by the engine, which may be longer than what was sent.
const longestStatement = "4194304"

// limits are what one query of a client may take. Clients may ask for less.
var limits = map[string]uint64{
	"max_execution_time": 60,        // seconds
	"max_memory_usage":   512 << 20, // bytes
	"max_result_bytes":   64 << 20,
	"max_result_rows":    10_000_000,
	"max_threads":        2,
	"max_block_size":     65_409,  // the engine's own
	"max_rows_to_read":   1 << 62, // of these only clients want less
	"max_bytes_to_read":  1 << 62,
}

// fixed are settings of every query that clients can't choose.
var fixed = map[string]string{
	"max_query_size":        longestStatement,
	"timeout_overflow_mode": "throw", "result_overflow_mode": "throw",
	// What does not fit into memory goes to the record's own folder for a while.
	"max_bytes_before_external_group_by": "268435456", "max_bytes_before_external_sort": "268435456",
	"max_temporary_data_on_disk_size_for_query": "4294967296",
}

// asked are settings that clients send and that are decided here.
var asked = map[string]bool{"readonly": true, "max_query_size": true}

// limitSettings refuses settings that are on no list, and adds the limits.
func (r *request) limitSettings() error {
	for name, value := range r.settings {
		most, limited := limits[name]
		n, err := strconv.ParseUint(value, 10, 64)
		switch {
		case limited && err == nil && n > 0 && n < most:
			continue
		case limited && err == nil, asked[name]:
			delete(r.settings, name)
		case limited || !shapeSettings[name] || !settingValue.MatchString(value):
			return accessDenied("setting %.64s = %.40q is not among those that clients of a served record may choose", name, value)
		}
	}
	for name, most := range limits {
		if _, chosen := r.settings[name]; !chosen {
			r.settings[name] = strconv.FormatUint(most, 10)
		}
	}
	for name, value := range fixed {
		r.settings[name] = value
	}
	return nil
}
