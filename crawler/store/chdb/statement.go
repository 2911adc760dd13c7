package chdb

import (
	"crypto/rand"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"
)

// prelude lists the statements that put a fresh connection into the state that
// r asks for. The time zone is UTC wherever the machine stands, unless r says
// otherwise. readonly comes last: it forbids changing anything after it.
func prelude(id string, r request) []string {
	sets := []string{"log_comment = " + quote(id), "session_timezone = 'UTC'"}
	for _, name := range slices.Sorted(maps.Keys(r.settings)) {
		if name != "readonly" {
			sets = append(sets, "`"+name+"` = "+quote(r.settings[name]))
		}
	}
	statements := []string{"SET " + strings.Join(sets, ", ")}
	if r.database != "" {
		statements = append(statements, "USE "+quoteName(r.database))
	}
	if level, ok := r.settings["readonly"]; ok {
		statements = append(statements, "SET readonly = "+quote(level))
	}
	return statements
}

var (
	processTag = rand.Text()
	queryCount atomic.Uint64
)

// nextQueryID returns a string that no other statement of this engine bears.
func nextQueryID() string {
	return processTag + "-" + strconv.FormatUint(queryCount.Add(1), 10)
}

// quote writes s as a ClickHouse string literal.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// quoteName writes s as a ClickHouse identifier.
func quoteName(s string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(s) + "`"
}

// formatClause finds a statement's own FORMAT at its end.
var formatClause = regexp.MustCompile(`(?is)\bFORMAT\s+(\w+)\s*(SETTINGS\b[^';]*)?[;\s]*$`)

// ownFormat returns the format that query itself asks for, or fallback.
func ownFormat(query, fallback string) string {
	if m := formatClause.FindStringSubmatch(query); m != nil {
		return m[1]
	}
	return fallback
}

var insertVerb = regexp.MustCompile(`(?is)^\s*INSERT\s+INTO\b`)

// splitInsert cuts the FORMAT clause off an INSERT whose data travels apart.
func splitInsert(query string) (statement, format string, ok bool) {
	if !insertVerb.MatchString(query) {
		return "", "", false
	}
	m := formatClause.FindStringSubmatchIndex(query)
	if m == nil || m[4] >= 0 {
		return "", "", false
	}
	return query[:m[0]], query[m[2]:m[3]], true
}

func paramArrays(params map[string]string) (names []unsafe.Pointer, nameLens []uintptr, values []unsafe.Pointer, valueLens []uintptr) {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		n, v := []byte(name+"\x00"), []byte(params[name]+"\x00")
		names, nameLens = append(names, first(n)), append(nameLens, uintptr(len(n)-1))
		values, valueLens = append(values, first(v)), append(valueLens, uintptr(len(v)-1))
	}
	return names, nameLens, values, valueLens
}

// Exception is an error that the engine itself reports.
type Exception struct {
	Code int    // ClickHouse's error code, such as 60 for an unknown table
	Text string // as the engine wrote it
}

// Error returns the engine's text.
func (e *Exception) Error() string { return e.Text }

var exceptionCode = regexp.MustCompile(`^\s*Code:\s*(\d+)`)

func newException(text string) *Exception {
	e := &Exception{Code: 1002, Text: strings.TrimSpace(text)} // UNKNOWN_EXCEPTION
	if m := exceptionCode.FindStringSubmatch(text); m != nil {
		e.Code, _ = strconv.Atoi(m[1])
	} else {
		e.Text = fmt.Sprintf("Code: %d. DB::Exception: %s", e.Code, e.Text)
	}
	return e
}
