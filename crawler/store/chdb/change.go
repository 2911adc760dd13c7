package chdb

import (
	"context"
	"slices"
	"strings"
)

// judgeChange decides on a statement of a client that may write. Those of the
// schema have passed already; what is left are rows, and months that are
// removed.
func (h *handler) judgeChange(ctx context.Context, r *request, normal string, list []token) (judged, error) {
	j := judged{query: normal}
	denied := accessDenied("with --write clients may send rows of the record, this program's migrations, and ALTER TABLE ... DROP PARTITION of its tables; " +
		"for anything else stop the server and use `canopy store sql --write`")
	rest, ok := h.intoTable(list)
	switch {
	case ok && r.insert:
		if len(rest) != 2 || !rest[0].is("FORMAT") || !rest[1].is("Native") {
			return j, denied
		}
		j.query = normal[:rest[0].start]
		return j, nil
	case ok && len(rest) > 0 && (rest[0].is("SELECT") || rest[0].is("WITH")):
		start := rest[0].start
		for i := range rest {
			rest[i].start, rest[i].end = rest[i].start-start, rest[i].end-start
		}
		inner, err := h.judgeSelect(ctx, r, normal[start:], rest)
		j.settings = inner.settings
		return j, err
	case h.dropsMonth(list):
		return j, nil
	}
	return j, denied
}

// intoTable reads INSERT INTO [db.]table [(columns)] of a table of the record,
// and returns what follows.
func (h *handler) intoTable(list []token) (rest []token, ok bool) {
	if len(list) < 3 || !list[0].is("INSERT") || !list[1].is("INTO") {
		return nil, false
	}
	rest, ok = h.tableName(list[2:])
	if !ok {
		return nil, false
	}
	if len(rest) > 0 && rest[0].is("(") {
		end := slices.IndexFunc(rest, func(t token) bool { return t.is(")") })
		if end < 0 || !columnNames(rest[1:end]) {
			return nil, false
		}
		rest = rest[end+1:]
	}
	return rest, true
}

// columnNames says whether list is names with commas between.
func columnNames(list []token) bool {
	for i, t := range list {
		if i%2 == 0 && !t.named() || i%2 == 1 && !t.is(",") {
			return false
		}
	}
	return len(list)%2 == 1
}

// tableName reads the name of a table of the record that may be written.
func (h *handler) tableName(list []token) (rest []token, ok bool) {
	if len(list) > 2 && list[0].named() && list[0].text == h.options.Database && list[1].is(".") {
		list = list[2:]
	}
	if len(list) == 0 || !list[0].named() || !slices.Contains(h.options.Tables, list[0].text) {
		return nil, false
	}
	return list[1:], true
}

// dropsMonth reads ALTER TABLE [db.]table (DROP PARTITION '202601').
func (h *handler) dropsMonth(list []token) bool {
	if len(list) < 3 || !list[0].is("ALTER") || !list[1].is("TABLE") {
		return false
	}
	rest, ok := h.tableName(list[2:])
	if !ok {
		return false
	}
	var shape []string
	for _, t := range rest {
		if t.kind == tokenText {
			shape = append(shape, "''")
			continue
		}
		shape = append(shape, t.text)
	}
	return strings.Join(shape, " ") == "( DROP PARTITION '' )"
}
