package chdb

import (
	"context"
	"strings"
)

// servedTables are the tables and views that clients may read by name.
type servedTables struct {
	database  string
	names     map[string]bool // of the record's tables and views that hold their rows here
	foreign   map[string]bool // of others in the record's database
	databases map[string]bool // all that there are, in lower case
	engine    engineNames
}

// tables asks the engine what there is.
func (h *handler) tables(ctx context.Context) (*servedTables, error) {
	text, err := h.ask(ctx, request{query: "SELECT 1, name, endsWith(engine, 'MergeTree') OR engine IN ('View', 'MaterializedView', 'Memory') FROM system.tables " +
		"WHERE database = " + quote(h.options.Database) + " UNION ALL SELECT 0, name, 0 FROM system.databases"}, "1")
	if err != nil {
		return nil, err
	}
	t := &servedTables{database: h.options.Database, names: map[string]bool{}, foreign: map[string]bool{}, databases: map[string]bool{}, engine: h.engineNames}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case len(cells) != 3:
		case cells[0] == "0":
			t.databases[strings.ToLower(cells[1])] = true
		case cells[2] == "1":
			t.names[cells[1]] = true
		default:
			t.foreign[cells[1]] = true
		}
	}
	return t, nil
}

// checkTree looks at every part of a query. The first node must be a query
// that reads.
func (t *servedTables) checkTree(tree []node) error {
	lambdas := map[string]bool{} // functions that the query itself defines
	for _, n := range tree {
		if n.kind == "Function" && n.name == "lambda" && n.alias != "" && !t.engine.has(n.alias) {
			lambdas[n.alias] = true
		}
	}
	for i, n := range tree {
		if i == 0 && n.kind != "SelectWithUnionQuery" && n.kind != "DescribeQuery" && n.kind != "Explain" {
			return accessDenied("a served record answers SELECT, WITH, SHOW, EXPLAIN, EXISTS and DESCRIBE alone")
		}
		if err := t.checkNode(n, lambdas); err != nil {
			return err
		}
	}
	if len(tree) == 0 {
		return accessDenied("the statement is empty")
	}
	return nil
}

func (t *servedTables) checkNode(n node, lambdas map[string]bool) error {
	switch {
	case plainKinds[n.kind]:
		return nil
	case n.kind == "Explain" && explains[n.name]:
		return nil
	case n.kind == "TableIdentifier":
		return t.checkTable(n.name)
	case n.kind == "Identifier":
		return t.checkColumn(n.name)
	case n.kind == "Function" && n.parent == "TableExpression":
		if !tableFunctions.allows(n.name) && !t.names[n.name] {
			return deniedTableFunction(n.name)
		}
		return nil
	case n.kind == "Function":
		if !allowedFunction(n.name) && !lambdas[n.name] {
			return deniedFunction(n.name)
		}
		return nil
	}
	return accessDenied("%.60s is not among what clients of a served record may use", strings.TrimSpace(n.kind+" "+n.name))
}

func deniedTableFunction(name string) error {
	return accessDenied("table function %s is refused: clients of a served record read its tables and views alone", name)
}

// checkTable looks at what stands where a table is read. A bare name that is
// no table may be that of a subquery.
func (t *servedTables) checkTable(name string) error {
	database, table, qualified := strings.Cut(name, ".")
	if !qualified {
		table = name
	}
	if qualified && database != t.database && !systemTables[name] {
		return accessDenied("table %s is not among those that are served", name)
	}
	if t.foreign[table] && database != "system" {
		return accessDenied("table %s keeps its rows elsewhere and is not served", name)
	}
	return nil
}

// checkColumn looks at what is a column, or to the right of IN a table.
func (t *servedTables) checkColumn(name string) error {
	parts := strings.SplitN(name, ".", 3)
	if len(parts) == 1 || parts[0] == t.database {
		if t.foreign[parts[len(parts)-1]] && len(parts) < 3 {
			return accessDenied("table %s keeps its rows elsewhere and is not served", name)
		}
		return nil
	}
	if t.databases[strings.ToLower(parts[0])] && !systemTables[parts[0]+"."+parts[1]] {
		return accessDenied("table %s.%s is not among those that are served", parts[0], parts[1])
	}
	return nil
}

// engineNames are the functions and table functions that the running engine
// has, in lower case, reviewed or not.
type engineNames map[string]bool

func (h *handler) readEngineNames(ctx context.Context) (engineNames, error) {
	text, err := h.ask(ctx, request{query: "SELECT lower(name) FROM system.functions UNION ALL SELECT lower(name) FROM system.table_functions"}, "1")
	if err != nil {
		return nil, err
	}
	names := engineNames{}
	for line := range strings.Lines(text) {
		names[strings.TrimSpace(line)] = true
	}
	return names, nil
}

// has says whether a call of name may reach a function of the engine. If not,
// the query has defined it, or the engine does not know it.
func (e engineNames) has(name string) bool {
	name = strings.ToLower(name)
	if e[name] || syntaxFunctions[name] || functions[name] {
		return true
	}
	for _, ending := range allCombinators {
		if base, ok := strings.CutSuffix(name, ending); ok && base != "" && e.has(base) {
			return true
		}
	}
	return false
}
