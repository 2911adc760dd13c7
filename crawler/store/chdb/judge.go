package chdb

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// A statement of a client is judged by what the engine's own parser makes of
// it, in three steps, none of which runs it. The text goes to
// formatQuerySingleLine as a value, which refuses what is no single statement
// and writes it anew, without comments and in one way of quoting. That text is
// the one that runs in the end. Its tokens show the clauses that the client
// side of the engine acts on by itself, and its syntax tree the rest.

// judged is a statement that may run.
type judged struct {
	query    string // as the engine writes it
	settings bool   // it has settings of its own, all allowed
}

// judge decides on r for a client that may write or only read.
func (h *handler) judge(ctx context.Context, r *request, write bool) (judged, error) {
	text := r.query
	if r.insert {
		text += " FORMAT " + r.format // which was cut off it
	}
	normal, err := h.normalise(ctx, text)
	if err != nil {
		return judged{}, err
	}
	if write && h.schema[normal] {
		return judged{query: normal}, nil
	}
	list, err := tokens(normal)
	if err != nil {
		return judged{}, accessDenied("the statement holds what clients of a served record may not send: %s", err)
	}
	verb := strings.ToUpper(list[0].text)
	switch {
	case r.insert || changes[verb]:
		if !write {
			return judged{}, readOnly("%s is refused: this record is served for reading", verb)
		}
		return h.judgeChange(ctx, r, normal, list)
	case verb == "SHOW" || verb == "EXISTS":
		return judged{query: normal}, h.judgeShow(list)
	}
	return h.judgeSelect(ctx, r, normal, list)
}

// changes are the statements that change something.
var changes = map[string]bool{
	"INSERT": true, "ALTER": true, "CREATE": true, "DROP": true, "TRUNCATE": true, "DELETE": true, "UPDATE": true, "RENAME": true,
	"EXCHANGE": true, "OPTIMIZE": true, "ATTACH": true, "DETACH": true, "UNDROP": true, "REPLACE": true, "GRANT": true, "REVOKE": true,
	"MOVE": true, "BACKUP": true, "RESTORE": true, "SYSTEM": true, "KILL": true, "COPY": true,
}

// normalise lets the engine write the statement anew.
func (h *handler) normalise(ctx context.Context, statement string) (string, error) {
	text, err := h.ask(ctx, request{
		query: "SELECT formatQuerySingleLine({q:String})", params: map[string]string{"q": escapeParam(statement)},
	}, "1")
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(text), nil
}

// escapeParam writes a value as the engine reads a parameter: tab-separated.
func escapeParam(value string) string {
	return strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`).Replace(value)
}

// ask runs a question of our own and returns the answer as it is.
func (h *handler) ask(ctx context.Context, r request, level string) (string, error) {
	r.format = "TabSeparatedRaw"
	r.settings = map[string]string{
		"readonly": level, "max_execution_time": "10", "max_memory_usage": "536870912", "max_query_size": longestStatement,
	}
	a, err := h.engine.shared.run(ctx, r)
	if err != nil {
		return "", err
	}
	defer a.free()
	return string(a.bytes()), nil
}

// judgeSelect decides on SELECT, WITH, EXPLAIN and DESCRIBE.
func (h *handler) judgeSelect(ctx context.Context, r *request, normal string, list []token) (judged, error) {
	j := judged{query: normal}
	tables, err := h.tables(ctx)
	if err != nil {
		return j, err
	}
	if err := checkTokens(list, tables); err != nil {
		return j, err
	}
	level := "1"
	if j.settings, err = checkSettings(list); err != nil {
		return j, err
	} else if j.settings {
		level = "2"
	}
	end, err := checkFormat(list, len(normal))
	if err != nil {
		return j, err
	}
	text, err := h.ask(ctx, request{query: "EXPLAIN AST " + normal[:end], params: r.params}, level)
	if err != nil {
		return j, err
	}
	return j, tables.checkTree(parseTree(text))
}

// beforeBracket are keywords that an opening bracket may follow.
var beforeBracket = wordSet(`SELECT DISTINCT ON ALL ANY FROM JOIN USING WHERE PREWHERE HAVING QUALIFY BY SETS ROLLUP CUBE LIMIT OFFSET TOP
	WITH AS MATERIALIZED UNION EXCEPT INTERSECT IN NOT AND OR IS LIKE ILIKE BETWEEN WHEN THEN ELSE OVER COLUMNS REPLACE EXPLAIN AST SYNTAX TREE
	PIPELINE ESTIMATE DESCRIBE TABLE INTERPOLATE SAMPLE STEP TO VALUES DIV MOD INTERVAL PRECEDING FOLLOWING ROWS RANGE FILL FIRST LAST`)

// forbiddenWords act on files, or call a function by its name alone.
var forbiddenWords = wordSet("OUTFILE INFILE APPLY STDOUT")

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(words) {
		set[word] = true
	}
	return set
}

// checkTokens looks at every name before a bracket, wherever the syntax tree
// may hide it, and at parameters that stand for names. A name that the engine
// does not know may be that of a function or a subquery in the query itself.
func checkTokens(list []token, tables *servedTables) error {
	for i, t := range list {
		switch {
		case t.kind == tokenWord && forbiddenWords[strings.ToUpper(t.text)]:
			return accessDenied("%s is refused: clients of a served record reach no files; call a column of that name `%s` in backquotes", strings.ToUpper(t.text), t.text)
		case t.kind == tokenParam && strings.Contains(strings.ToLower(t.text), "identifier"):
			return accessDenied("%s is refused: a parameter may stand for a value, not for a name", t.text)
		case !t.named() || i+1 == len(list) || !list[i+1].is("("):
		case t.kind == tokenWord && beforeBracket[strings.ToUpper(t.text)]:
		case allowedFunction(t.text), tableFunctions.allows(t.text), tables.names[t.text]:
		case tables.engine.has(t.text):
			return deniedFunction(t.text)
		}
	}
	return nil
}

func deniedFunction(name string) error {
	return accessDenied("function %s is not among those that clients of a served record may call", name)
}

// checkSettings looks at every SETTINGS clause, and says whether there is one.
func checkSettings(list []token) (bool, error) {
	found := false
	for i := 0; i+2 < len(list); i++ {
		if !list[i].is("SETTINGS") || !list[i+1].named() || !list[i+2].is("=") {
			continue
		}
		found = true
		for i+2 < len(list) && list[i+1].named() && list[i+2].is("=") {
			name := list[i+1].text
			value, next := settingAt(list, i+3)
			if !shapeSettings[name] || !settingValue.MatchString(value) {
				return found, accessDenied("setting %s = %.40q in a query is not among those that clients of a served record may choose", name, value)
			}
			if i = next; i >= len(list) || !list[i].is(",") {
				break
			}
			if i+2 >= len(list) || !list[i+2].is("=") {
				return found, accessDenied("what follows the settings of a query is not understood")
			}
		}
	}
	return found, nil
}

// settingAt is the value of a setting and where the next token is.
func settingAt(list []token, i int) (value string, next int) {
	for i < len(list) && (list[i].is("-") || list[i].is("+")) {
		value, i = value+list[i].text, i+1
	}
	if i >= len(list) {
		return "", i
	}
	switch t := list[i]; t.kind {
	case tokenText:
		return value + strings.Trim(t.text, "'"), i + 1
	case tokenNumber, tokenWord:
		return value + t.text, i + 1
	}
	return "", i + 1
}

// checkFormat looks at the FORMAT clause, and returns where it begins or, if
// there is none, end. Only settings can follow it.
func checkFormat(list []token, end int) (int, error) {
	for i := 0; i+1 < len(list); i++ {
		if !list[i].is("FORMAT") || !list[i+1].named() || i+2 < len(list) && !list[i+2].is("SETTINGS") {
			continue
		}
		if name := list[i+1].text; !formats.allows(name) {
			return end, deniedFormat(name)
		}
		return list[i].start, nil
	}
	return end, nil
}

func deniedFormat(name string) error {
	return accessDenied("format %s is not among those that a served record answers in", name)
}

// judgeShow decides on statements that have no tree worth the name: they must
// look exactly like one of those that are known.
func (h *handler) judgeShow(list []token) error {
	var b strings.Builder
	for _, t := range list {
		switch {
		case t.kind == tokenText:
			b.WriteString("'' ")
		case t.kind == tokenNumber:
			b.WriteString("0 ")
		case t.named() && (t.text == h.options.Database || t.text == "system") && !strings.HasSuffix(b.String(), ". "):
			b.WriteString("db ")
		case t.kind == tokenWord && slices.Contains(showWords, t.text):
			b.WriteString(t.text + " ")
		case t.named():
			b.WriteString("name ")
		default:
			b.WriteString(t.text + " ")
		}
	}
	shape := strings.TrimSpace(b.String())
	if end := strings.Index(shape, " FORMAT name"); end >= 0 {
		if end+len(" FORMAT name") != len(shape) || !formats.allows(list[len(list)-1].text) {
			return deniedFormat(list[len(list)-1].text)
		}
		shape = shape[:end]
	}
	if !slices.Contains(showShapes, shape) {
		return accessDenied("this form of %s is not among those that a served record answers: SHOW TABLES, SHOW DATABASES, SHOW CREATE TABLE, SHOW COLUMNS FROM, EXISTS TABLE", list[0].text)
	}
	return nil
}

var (
	showWords  = strings.Fields("SHOW TABLES DATABASES COLUMNS CREATE TABLE VIEW EXISTS FROM LIKE ILIKE NOT LIMIT FORMAT FULL DATABASE")
	showShapes = []string{
		"SHOW TABLES", "SHOW TABLES FROM db", "SHOW TABLES LIKE ''", "SHOW TABLES FROM db LIKE ''", "SHOW FULL TABLES", "SHOW FULL TABLES FROM db",
		"SHOW DATABASES", "SHOW DATABASES LIKE ''",
		"SHOW CREATE TABLE name", "SHOW CREATE TABLE db . name", "SHOW CREATE VIEW name", "SHOW CREATE VIEW db . name",
		"SHOW COLUMNS FROM name", "SHOW COLUMNS FROM name FROM db", "SHOW FULL COLUMNS FROM name", "SHOW FULL COLUMNS FROM name FROM db",
		"EXISTS TABLE name", "EXISTS TABLE db . name", "EXISTS VIEW name", "EXISTS VIEW db . name", "EXISTS DATABASE db", "EXISTS DATABASE name",
	}
)

// exceptionOf is the engine's own refusal in err, if it is one.
func exceptionOf(err error) (*refusal, bool) {
	var r *refusal
	if errors.As(err, &r) {
		return r, true
	}
	var e *Exception
	if errors.As(err, &e) {
		return engineRefusal(e), true
	}
	return nil, false
}
