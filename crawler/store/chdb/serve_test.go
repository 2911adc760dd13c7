package chdb

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// serving is a served record with what attacks on it are after.
type serving struct {
	engine    *Engine
	handler   http.Handler
	dir       string       // empty but for secret
	secret    string       // a file with the words "top secret"
	addr      string       // of a server that counts
	connected atomic.Int64 // who connected to it
}

func serve(t *testing.T, o ServeOptions) *serving {
	t.Helper()
	engine, db := open(t, nil)
	exec(t, db, "CREATE DATABASE canopy", "CREATE TABLE canopy.visits (n UInt32, name String) ENGINE = MergeTree ORDER BY n",
		"INSERT INTO canopy.visits SELECT number, toString(number) FROM numbers(10)", "CREATE VIEW canopy.few AS SELECT * FROM canopy.visits WHERE n < 3",
		"CREATE DATABASE private", "CREATE TABLE private.t (n UInt8) ENGINE = Memory")
	o.Database = "canopy"
	handler, err := engine.Handler(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s := &serving{engine: engine, handler: handler, dir: t.TempDir()}
	s.secret = filepath.Join(s.dir, "secret")
	if err := os.WriteFile(s.secret, []byte("top secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.addr = l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.connected.Add(1)
			conn.Close()
		}
	}()
	return s
}

// files lists what is in the folder besides the secret.
func (s *serving) files(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != s.dir && path != s.secret {
			names = append(names, d.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// send asks the served record, with parameters of the URL such as "readonly=0".
func (s *serving) send(t *testing.T, parameters, query string) (status, code int, text string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/?"+parameters, strings.NewReader(query))
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, req)
	code, _ = strconv.Atoi(w.Header().Get("X-ClickHouse-Exception-Code"))
	return w.Code, code, w.Body.String()
}

func (s *serving) fill(text string) string {
	return strings.NewReplacer("DIR", s.dir, "SECRET", s.secret, "ADDR", s.addr).Replace(text)
}

// attack is a statement with what it does to an engine without restrictions,
// and the code with which a served record refuses it.
type attack struct {
	statement  string
	parameters string
	does       string // writes, reads or connects; empty for what can't be seen from here
	code       int
}

var attacks = []attack{
	{statement: "SELECT 1 INTO OUTFILE 'DIR/a'", does: "writes", code: 497},
	{statement: "SELECT 1 UNION ALL SELECT 2 INTO OUTFILE 'DIR/a'", does: "writes", code: 497},
	{statement: "(SELECT 1) INTO OUTFILE 'DIR/a'", does: "writes", code: 497},
	{statement: "WITH 1 AS x SELECT x INTO OUTFILE 'DIR/a'", does: "writes", code: 497},
	{statement: "SELECT 1 INTO OUTFILE 'DIR/a' APPEND", does: "writes", code: 497},
	{statement: "SELECT 1 INTO OUTFILE 'DIR/a' TRUNCATE", does: "writes", code: 497},
	{statement: "SELECT 1 INTO OUTFILE 'DIR/a.gz' COMPRESSION 'gzip'", does: "writes", code: 497},
	{statement: "SELECT 1 INTO OUTFILE 'DIR/a' AND STDOUT", does: "writes", code: 497},
	{statement: "SELECT 1 INTO OUTFILE 'DIR/a' FORMAT CSV", does: "writes", code: 497},
	{statement: "SELECT 1 /* */ into/**/outfile $$DIR/a$$", does: "writes", code: 497},
	{statement: "SELECT 1; SELECT 2 INTO OUTFILE 'DIR/a'", does: "writes", code: 62},
	{statement: "SHOW TABLES INTO OUTFILE 'DIR/a'", does: "writes", code: 497},
	{statement: "DESCRIBE TABLE canopy.visits INTO OUTFILE 'DIR/a'", does: "writes", code: 497},
	{statement: "EXPLAIN SELECT 1 INTO OUTFILE 'DIR/a'", does: "writes", code: 497},
	{statement: "EXISTS TABLE canopy.visits INTO OUTFILE 'DIR/a'", does: "writes", code: 497},
	{statement: "CHECK TABLE canopy.visits INTO OUTFILE 'DIR/a'", does: "writes", code: 497},
	{statement: "INSERT INTO FUNCTION file('DIR/a', 'CSV') SELECT 1", does: "writes", code: 164},
	{statement: "DESCRIBE TABLE sqlite('DIR/a.db', 't')", does: "writes", code: 497},
	{statement: "SELECT file('SECRET')", does: "reads", code: 497},
	{statement: "SELECT `file`('SECRET')", does: "reads", code: 497},
	{statement: "SELECT x FROM (SELECT file('SECRET') AS x)", does: "reads", code: 497},
	{statement: "WITH n -> file('SECRET') AS f SELECT f(1)", does: "reads", code: 497},
	{statement: "WITH n -> n AS file SELECT (SELECT file('SECRET') SETTINGS session_timezone = 'UTC')", code: 497},
	{statement: "SELECT * APPLY(file) FROM (SELECT 'SECRET')", does: "reads", code: 497},
	{statement: "SELECT 'SECRET' AS p FORMAT Null SETTINGS format_template_row = 'SECRET'", code: 497},
	{statement: "SELECT 'a' FORMAT Template SETTINGS format_template_row = 'SECRET'", code: 497},
	{statement: "SELECT 'a'", parameters: "default_format=Template&format_template_row=SECRET", code: 497},
	{statement: "SELECT 'a'", parameters: "format_template_row=SECRET", code: 497},
	{statement: "SELECT 'a'", parameters: "format_schema=SECRET:x", code: 497},
	{statement: "SELECT * FROM file('SECRET', 'LineAsString')", does: "reads", code: 497},
	{statement: "SELECT sum(1) OVER (ROWS BETWEEN toUInt8(length(file('SECRET'))) PRECEDING AND CURRENT ROW)", code: 497},
	{statement: "SHOW COLUMNS FROM visits WHERE file('SECRET') != ''", code: 497},
	{statement: "SHOW TABLES WHERE file('SECRET') != ''", code: 497},
	{statement: "DESCRIBE TABLE url('http://ADDR/' || (SELECT max(name) FROM canopy.visits), 'CSV')", code: 497},
	{statement: "DESCRIBE TABLE url('http://ADDR/')", does: "connects", code: 497},
	{statement: "DESCRIBE TABLE s3('http://ADDR/bucket/key', NOSIGN)", code: 497},
	{statement: "DESCRIBE TABLE remote('ADDR', 'a', 'b')", code: 497},
	{statement: "DESCRIBE TABLE mysql('ADDR', 'a', 'b', 'c', 'd')", code: 497},
	{statement: "DESCRIBE TABLE postgresql('ADDR', 'a', 'b', 'c', 'd')", code: 497},
	{statement: "SELECT * FROM url('http://ADDR/', 'CSV', 'a String')", does: "connects", code: 497},
	{statement: "SELECT 1 IN remote('ADDR', 'system', 'one')", code: 497},
	{statement: "EXPLAIN SELECT * FROM remote('ADDR', 'system', 'one')", code: 497},
	{statement: "EXPLAIN TABLE OVERRIDE mysql('ADDR', 'a', 'b', 'c', 'd') PARTITION BY a", code: 497},
	{statement: "SELECT hasColumnInTable('ADDR', 'system', 'one', 'dummy')", code: 497},
	{statement: "KILL QUERY WHERE 1", code: 164},
	{statement: "SYSTEM FLUSH LOGS", code: 164},
	{statement: "SET readonly = 0", code: 497},
	{statement: "SELECT 1 SETTINGS readonly = 0", code: 497},
	{statement: "SELECT 1 SETTINGS max_threads = 1, session_timezone = 'UTC'", code: 497},
	{statement: "SELECT 1", parameters: "session_timezone=../../SECRET", code: 497},
	{statement: "DROP TABLE canopy.visits", code: 164},
	{statement: "INSERT INTO canopy.visits VALUES (1, 'a')", code: 164},
	{statement: "SELECT * FROM {t:Identifier}", parameters: "param_t=private.t", code: 497},
	{statement: "SELECT * FROM private.t", code: 497},
	{statement: "SELECT 1 IN private.t", code: 497},
	{statement: "SELECT * FROM t", parameters: "database=private", code: 497},
	{statement: "SELECT * FROM merge('private', '.*')", code: 497},
	{statement: "SELECT * FROM system.processes", code: 497},
	{statement: "SELECT * FROM information_schema.tables", code: 497},
	{statement: "SELECT sleep(3)", code: 497},
	{statement: "SELECT getMacro('a'), hostName()", code: 497},
	{statement: "SELECT arrayReduce('groupFormat', ['a'])", code: 497},
	{statement: "SELECT sumState(1)", code: 497},
	{statement: "SHOW PROCESSLIST", code: 497},
	{statement: "SELECT @@version", code: 497},
	{statement: "", code: 62},
	{statement: "SELECT 1;;SELECT 2", code: 62},
}

// TestAttacks runs each attack on an engine without restrictions, where it must
// do what it is said to, and then on a served record, where it does nothing.
func TestAttacks(t *testing.T) {
	s := serve(t, ServeOptions{})
	for _, a := range attacks {
		statement, parameters := s.fill(a.statement), s.fill(a.parameters)
		if a.does != "" {
			before := s.connected.Load()
			answer := roundTrip(t, s.engine, parameters+"&http_max_tries=1", statement)
			did := map[string]bool{
				"writes": len(s.files(t)) > 0, "reads": strings.Contains(answer, "top secret"), "connects": s.connected.Load() > before,
			}
			if !did[a.does] {
				t.Errorf("%s: an engine without restrictions does not do it: %s", a.statement, answer)
			}
			for _, name := range s.files(t) {
				_ = os.Remove(filepath.Join(s.dir, name))
			}
		}
		before := s.connected.Load()
		status, code, text := s.send(t, parameters, statement)
		if want := map[int]int{62: 400, 164: 403, 497: 403}[a.code]; code != a.code || status != want {
			t.Errorf("%s %s: status %d, code %d, want %d and %d: %s", a.statement, a.parameters, status, code, want, a.code, text)
		}
		if strings.Contains(text, "top secret") || len(s.files(t)) > 0 || s.connected.Load() > before {
			t.Errorf("%s: files %v, connections %d, answer %s", a.statement, s.files(t), s.connected.Load()-before, text)
		}
		if lines := strings.Count(strings.TrimSpace(text), "\n"); code == 497 && lines > 0 {
			t.Errorf("%s: a refusal of %d lines: %s", a.statement, lines+1, text)
		}
	}
	if _, _, text := s.send(t, "", "SELECT count() FROM visits"); text != "10\n" {
		t.Errorf("the record afterwards: %q", text)
	}
}

// TestServedQueries runs what readers are for.
func TestServedQueries(t *testing.T) {
	s := serve(t, ServeOptions{})
	for query, want := range map[string]string{
		"SELECT count() FROM visits":                                                                                             "10\n",
		"SELECT count() FROM canopy.few AS f WHERE f.n < 2":                                                                      "2\n",
		"select Sum(n), countIf(n > 3), quantile(0.5)(n) FROM few":                                                               "3\t0\t1\n",
		"WITH few AS (SELECT 7 AS n) SELECT n FROM few":                                                                          "7\n",
		"WITH x -> x + 1 AS f SELECT f(2)":                                                                                       "3\n",
		"SELECT a.n FROM visits AS a INNER JOIN few AS b USING (n) ORDER BY n LIMIT 1 BY n":                                      "0\n1\n2\n",
		"SELECT n FROM visits WHERE n IN (SELECT n FROM few) AND n NOT IN (1, 2)":                                                "0\n",
		"SELECT 1 UNION ALL SELECT 1 -- comment":                                                                                 "1\n1\n",
		"SELECT CASE WHEN n = 1 THEN 'one' ELSE 'other' END FROM few WHERE n BETWEEN 1 AND 1":                                    "one\n",
		"SELECT row_number() OVER (PARTITION BY n % 2 ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM few WHERE n = 1": "1\n",
		"SELECT arrayMap(x -> x * 2, [1, 2]), (1, 'a').2, map('k', 1)['k'], toDate('2026-01-02') + INTERVAL 1 DAY":               "[2,4]\ta\t1\t2026-01-03\n",
		"SELECT 'it''s\\n\\\\' AS `a b` FORMAT JSONEachRow":                                                                      `{"a b":"it's\n\\"}` + "\n",
		"SELECT toUInt64(1) AS x FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 1":                        `{"x":"1"}` + "\n",
		"SHOW TABLES":                        "few\nvisits\n",
		"EXISTS TABLE visits":                "1\n",
		"SELECT sum(number) FROM numbers(4)": "6\n",
		"SELECT count() FROM system.tables WHERE database = currentDatabase()": "2\n",
		"SELECT toTypeName(now()), version() != '', timezone()":                "DateTime\t1\tUTC\n",
		"SELECT 'INTO OUTFILE', 'FORMAT Template', '; DROP TABLE x'":           "INTO OUTFILE\tFORMAT Template\t; DROP TABLE x\n",
	} {
		if status, _, text := s.send(t, "max_threads=1&max_execution_time=5&readonly=0&max_query_size=67108864", query); status != http.StatusOK || text != want {
			t.Errorf("%s: %d %q, want %q", query, status, text, want)
		}
	}
	for _, query := range []string{"DESCRIBE TABLE visits", "SHOW CREATE TABLE few", "EXPLAIN SELECT * FROM visits", "EXPLAIN QUERY TREE SELECT 1", "SHOW DATABASES", "SELECT * FROM visits FORMAT Parquet"} {
		if status, _, text := s.send(t, "", query); status != http.StatusOK || text == "" {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
	parameters := "param_n=7&param_s=" + url.QueryEscape(`it's`)
	if _, _, text := s.send(t, parameters, "SELECT {n:UInt8} + 1, {s:String}"); text != "8\tit\\'s\n" {
		t.Errorf("parameters: %q", text)
	}
}

// TestEngineIsReviewed walks all that the running engine has. What is not on a
// list as allowed is refused, and what is on no list at all is news that has to
// be reviewed.
func TestEngineIsReviewed(t *testing.T) {
	s := serve(t, ServeOptions{})
	names := func(query string) []string { return strings.Fields(roundTrip(t, s.engine, "", query)) }
	refused := func(parameters, query string) {
		if status, code, text := s.send(t, parameters, query); status != http.StatusForbidden || code != 497 {
			t.Errorf("%s %s: status %d, code %d: %.200s", query, parameters, status, code, text)
		}
	}
	review := func(what string, list reviewed, names []string, try func(name string)) {
		allowed := 0
		for _, name := range names {
			permit, known := list[strings.ToLower(name)]
			switch {
			case !known:
				t.Errorf("%s %s is new in this engine: review it and add it to the list, with - before it unless it is harmless", what, name)
				fallthrough
			case !permit:
				try(name)
			default:
				allowed++
			}
		}
		t.Logf("%s: the engine has %d, of which %d are allowed and %d are refused", what, len(names), allowed, len(names)-allowed)
	}
	review("function", functions, names("SELECT name FROM system.functions"), func(name string) {
		refused("", "SELECT `"+name+"`('a', 'b') AS x")
		refused("", "SELECT x -> `"+name+"`(x) AS f, `"+name+"If`(1, 1)")
	})
	review("table function", tableFunctions, names("SELECT name FROM system.table_functions"), func(name string) {
		if name == "viewIfPermitted" { // takes a query
			refused("", s.fill("SELECT * FROM viewIfPermitted(SELECT 1 ELSE file('DIR/x'))"))
			return
		}
		refused("", s.fill("SELECT * FROM `"+name+"`('DIR/x', 'ADDR')"))
		refused("", s.fill("DESCRIBE TABLE `"+name+"`('http://ADDR/x')"))
	})
	review("format", formats, names("SELECT name FROM system.formats WHERE is_output"), func(name string) {
		refused("", "SELECT 1 FORMAT "+name)
		refused("default_format="+name, "SELECT 1")
	})
	settings := names("SELECT name FROM system.settings")
	allowed := 0
	for _, name := range settings {
		if _, limited := limits[name]; shapeSettings[name] || limited || asked[name] || notSettings[name] {
			allowed++
			continue
		}
		refused(name+"=1", "SELECT 1")
	}
	t.Logf("setting: the engine has %d, of which %d are allowed and %d are refused", len(settings), allowed, len(settings)-allowed)
	for i, name := range settings {
		if shapeSettings[name] {
			continue
		}
		query := "SELECT 1 SETTINGS " + name + " = 1"
		list, err := tokens(query)
		if err != nil {
			t.Fatal(err)
		}
		var denied *refusal
		if _, err := checkSettings(list); !errors.As(err, &denied) || denied.Code != 497 {
			t.Errorf("%s: %v", query, err)
		}
		if i%50 == 0 { // the whole way takes a while
			refused("", query)
		}
	}
	if files, n := s.files(t), s.connected.Load(); len(files) > 0 || n > 0 {
		t.Errorf("files %v and %d connections", files, n)
	}
}

// TestListsAreSound wants nothing on a list that would let something else in.
func TestListsAreSound(t *testing.T) {
	for name, allowed := range functions {
		if !allowed {
			continue
		}
		if _, both := tableFunctions[name]; both {
			t.Errorf("%s is an allowed function and a table function too", name)
		}
	}
	for name, allowed := range functions {
		if got := allowedFunction(name); got != allowed {
			t.Errorf("function %s: allowed %t, want %t", name, got, allowed)
		}
		if !allowed && allowedFunction(name+"If") {
			t.Errorf("%s is refused, but %sIf is not", name, name)
		}
	}
	for _, value := range []string{"/folder/file", "../x", "a'b", "", "http://x", "a b", strings.Repeat("a", 300)} {
		if settingValue.MatchString(value) {
			t.Errorf("%q passes as the value of a setting", value)
		}
	}
}

// TestServedWrites wants those who may write to send rows and the schema, and
// nothing else.
func TestServedWrites(t *testing.T) {
	schema := "CREATE TABLE IF NOT EXISTS more (n UInt8)\nENGINE = MergeTree ORDER BY n"
	s := serve(t, ServeOptions{AllowWrites: true, Tables: []string{"visits"}, Schema: []string{schema}})
	for _, statement := range []string{
		schema, "INSERT INTO visits (n, name) SELECT 11, 'eleven'", "INSERT INTO canopy.visits SELECT 12, 'twelve'", "SELECT 1",
	} {
		if status, _, text := s.send(t, "", statement); status != http.StatusOK {
			t.Errorf("%s: %d %s", statement, status, text)
		}
	}
	for _, statement := range []string{
		"CREATE TABLE other (n UInt8) ENGINE = MergeTree ORDER BY n", "CREATE TABLE more (n UInt8) ENGINE = URL('http://ADDR/', CSV)", "DROP TABLE visits",
		"TRUNCATE TABLE visits", "INSERT INTO private.t SELECT 1", "INSERT INTO more SELECT 1", "INSERT INTO visits SELECT 1, file('SECRET')",
		"INSERT INTO FUNCTION file('DIR/x', 'CSV') SELECT 1", "INSERT INTO visits FROM INFILE 'SECRET' FORMAT LineAsString",
		"INSERT INTO visits SELECT 1, 'a' SETTINGS max_threads = 1", "ALTER TABLE visits DELETE WHERE 1", "ALTER TABLE visits DROP PARTITION ID 'all', DROP COLUMN name",
		"ALTER TABLE visits EXPORT PART 'x' TO TABLE y", "BACKUP TABLE visits TO File('DIR/x')", "KILL QUERY WHERE 1", "SELECT 1 INTO OUTFILE 'DIR/x'", "SELECT file('SECRET')",
		"CREATE FUNCTION f AS x -> file(x)", "GRANT ALL ON *.* TO x", "SYSTEM SHUTDOWN",
	} {
		status, code, text := s.send(t, "", s.fill(statement))
		if status != http.StatusForbidden && status != http.StatusBadRequest || code != 497 && code != 62 {
			t.Errorf("%s: status %d, code %d: %s", statement, status, code, text)
		}
	}
	if files := s.files(t); len(files) > 0 || s.connected.Load() > 0 {
		t.Errorf("files %v, connections %d", files, s.connected.Load())
	}
	if _, _, text := s.send(t, "", "SELECT count(), max(name) FROM visits WHERE n > 10"); text != "2\ttwelve\n" {
		t.Errorf("rows: %q", text)
	}
}

// FuzzTokens wants every byte of a statement to be in one token or none at all,
// and nothing that could end a literal early.
func FuzzTokens(f *testing.F) {
	for _, a := range attacks {
		f.Add(a.statement)
	}
	f.Fuzz(func(t *testing.T, statement string) {
		list, err := tokens(statement)
		if err != nil {
			return
		}
		at := 0
		for _, token := range list {
			if gap := statement[at:token.start]; strings.Trim(gap, " \n") != "" {
				t.Fatalf("%q is between tokens", gap)
			}
			if token.end <= token.start {
				t.Fatalf("token %q is empty", token.text)
			}
			at = token.end
		}
		if strings.Trim(statement[at:], " \n") != "" {
			t.Fatalf("%q is left", statement[at:])
		}
		_, _ = checkSettings(list)
		_, _ = checkFormat(list, len(statement))
	})
}

// FuzzTree reads whatever an engine may print as a tree: a forbidden function
// on a line of its own is found.
func FuzzTree(f *testing.F) {
	f.Add("SelectWithUnionQuery (children 1)\n ExpressionList (children 1)\n", 3)
	f.Add("Function file (alias x) (children 1)\n  Function lambda (alias file)", 0)
	f.Fuzz(func(t *testing.T, text string, depth int) {
		tables := &servedTables{database: "canopy"}
		tree := text + "\n" + strings.Repeat(" ", max(0, min(depth, 50))) + "Function file (alias x) (children 1)\n"
		var refused *refusal
		if err := tables.checkTree(parseTree(tree)); !errors.As(err, &refused) {
			t.Fatalf("%q: %v", tree, err)
		}
	})
}
