package chdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// TestSignalHandlersStayGo's: libchdb resets the handlers of fatal signals,
// without which a nil dereference kills the process instead of panicking.
func TestSignalHandlersStayGos(t *testing.T) {
	_, db := open(t, nil)
	scalar[uint8](t, db, "SELECT 1")
	defer func() {
		if recover() == nil {
			t.Error("a nil dereference did not panic")
		}
	}()
	var nothing *struct{ field int }
	nothing.field++
}

// TestTypes reads every type that the record uses, and more, through the
// client, which decodes at its own revision.
func TestTypes(t *testing.T) {
	_, db := open(t, nil)
	for expression, want := range map[string]string{
		"toUInt64(18446744073709551615)":  "18446744073709551615",
		"toLowCardinality('x')":           "x",
		"[toLowCardinality('x'), 'y']":    "[x y]",
		"NULL":                            "<nil>",
		"[]":                              "[]",
		"toString([NULL, 1])":             "[NULL,1]",
		"CAST(NULL AS Nullable(Float32))": "<nil>",
		"CAST(1.5 AS Nullable(Float32))":  "1.5",
		"toDateTime64('2026-06-17 01:02:03.004', 3, 'UTC')": "2026-06-17 01:02:03.004 +0000 UTC",
		"toDateTime('2026-06-17 01:02:03')":                 "2026-06-17 01:02:03 +0000 UTC",
		"toDate('2026-06-17')":                              "2026-06-17 00:00:00 +0000 UTC",
		"toIPv6('::ffff:192.0.2.1')":                        "192.0.2.1",
		"toUUID('01a203ed-a609-743f-b05d-0a3cbd018984')":    "01a203ed-a609-743f-b05d-0a3cbd018984",
		"map('a', 1)":          "map[a:1]",
		"[[1, 2], []]":         "[[1 2] []]",
		"toDecimal64(1.25, 2)": "1.25",
		"unhex('00ff0a27')":    "\x00\xff\n'",
		"CAST(('a', 2) AS Tuple(name String, number UInt8))":                                  "map[name:a number:2]",
		"CAST('b' AS Enum8('a' = 1, 'b' = 2))":                                                "b",
		"timezone() || toString(toDateTime(0))":                                               "UTC1970-01-01 00:00:00",
		"(SELECT groupArray(number) FROM numbers(3) WHERE 0)":                                 "[]",
		"toLowCardinality(CAST(NULL AS Nullable(String)))":                                    "<nil>",
		"(SELECT toUInt64(value) FROM system.server_settings WHERE name = 'mark_cache_size')": "67108864",
		"toFixedString('ab', 3)":                                                              "ab\x00",
		"(SELECT sum(number) FROM numbers_mt(100000000))":                                     "4999999950000000",
		"(SELECT count() FROM (SELECT * FROM numbers(200000)))":                               "200000",
	} {
		var got any
		if err := db.QueryRow("SELECT " + expression).Scan(&got); err != nil {
			t.Errorf("%s: %v", expression, err)
		} else if text := fmt.Sprint(got); text != want {
			t.Errorf("%s: got %q, want %q", expression, text, want)
		}
	}
}

// TestManyBlocks reads a result of several blocks to its end.
func TestManyBlocks(t *testing.T) {
	_, db := open(t, nil)
	rows, err := db.Query("SELECT number, toLowCardinality(toString(number % 7)) FROM numbers(300000)")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var n, sum uint64
	for rows.Next() {
		var number uint64
		var text string
		if err := rows.Scan(&number, &text); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint(number % 7); text != want {
			t.Fatalf("row %d: %q, want %q", number, text, want)
		}
		n, sum = n+1, sum+number
	}
	if err := rows.Err(); err != nil || n != 300_000 || sum != n*(n-1)/2 {
		t.Errorf("read %d rows, sum %d: %v", n, sum, err)
	}
}

// TestInsertAnyByte sends what a format of lines would cut or misread.
func TestInsertAnyByte(t *testing.T) {
	_, db := open(t, nil)
	exec(t, db, "CREATE TABLE t (n UInt32, s String, l LowCardinality(String)) ENGINE = MergeTree ORDER BY n")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	batch, err := tx.Prepare("INSERT INTO t")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 70_000 {
		if _, err := batch.Exec(uint32(i), string([]byte{byte(i), '\n', byte(i >> 8)}), string([]byte{byte(i)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	got := scalar[string](t, db, `SELECT toString((count(), countIf(s = char(n % 256, 10, intDiv(n, 256) % 256)), countIf(l = char(n % 256)))) FROM t`)
	if got != "(70000,70000,70000)" {
		t.Errorf("rows, right strings, right values: %s", got)
	}
}

func TestExceptions(t *testing.T) {
	_, db := open(t, nil)
	_, err := db.Query("SELECT * FROM missing")
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) || exception.Code != 60 {
		t.Errorf("query of a missing table: %v", err)
	}
	if _, err := db.Exec("INSERT INTO missing VALUES (1)"); !errors.As(err, &exception) || exception.Code != 60 {
		t.Errorf("insert into a missing table: %v", err)
	}
	if rows, err := db.Query("SELECT INTERVAL 1 DAY"); err == nil || !strings.Contains(err.Error(), "toString()") {
		t.Errorf("query of a type that the client can't read: %v, %v", rows, err)
	}
	scalar[uint8](t, db, "SELECT 1") // the engine goes on
}

// TestStatementsAreAlone wants nothing of one statement's settings and
// database left for the next.
func TestStatementsAreAlone(t *testing.T) {
	engine, db := open(t, nil)
	exec(t, db, "CREATE DATABASE other", "CREATE TABLE other.t (n UInt8) ENGINE = Memory")
	for query, want := range map[string]string{
		"database=other&max_threads=1&query=SELECT+currentDatabase(),+getSetting('max_threads')": "other\t1\n",
		"param_n=7&param_s=it's%5Cn&query=SELECT+{n:UInt8},+{s:String}":                          "7\tit\\'s\\n\n",
		"query=SELECT+currentDatabase(),+getSetting('max_threads')+%3D+1":                        "default\t0\n",
		"query=SELECT+1+AS+x+FORMAT+JSONEachRow":                                                 `{"x":1}` + "\n",
		"default_format=CSV&query=SELECT+'a'":                                                    `"a"` + "\n",
		"database=other&query=INSERT+INTO+t+FORMAT+Native":                                       "Code: 108",
		"readonly=2&query=DROP+TABLE+other.t":                                                    "READONLY",
		"max_threads=x&query=SELECT+1":                                                           "CANNOT_PARSE",
		"nonsense=1&query=SELECT+1":                                                              "Code: 115",
		"compress=1&query=SELECT+1":                                                              "compression",
		"client_protocol_version=x&query=SELECT+1":                                               "client_protocol_version",
		"database=missing&query=SELECT+1":                                                        "Code: 81",
	} {
		if got := roundTrip(t, engine, query, ""); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	if got := roundTrip(t, engine, "query=INSERT+INTO+other.t+FORMAT+CSV", "1\n2\n"); got != "" {
		t.Errorf("insert of CSV: %q", got)
	}
	if got := scalar[uint64](t, db, "SELECT sum(n) FROM other.t"); got != 3 {
		t.Errorf("sum of inserted CSV: %d", got)
	}
}

func roundTrip(t *testing.T, engine *Engine, rawQuery, body string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://embedded/?"+rawQuery, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := engine.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if failed := res.Header.Get("X-ClickHouse-Exception-Code") != ""; failed != (res.StatusCode != http.StatusOK) {
		t.Errorf("%s: status %d with exception code %q", rawQuery, res.StatusCode, res.Header.Get("X-ClickHouse-Exception-Code"))
	}
	return string(text)
}

// TestCancel ends a query that would run for hours, and wants the engine to
// stop working on it too.
func TestCancel(t *testing.T) {
	engine, db := open(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		rows, err := db.QueryContext(ctx, "SELECT sum(sipHash64(number)) FROM numbers_mt(1000000000000000)")
		if err == nil {
			rows.Close()
		}
		done <- err
	}()
	running := func() uint64 {
		return scalar[uint64](t, db, "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'")
	}
	waitFor(t, func() bool { return running() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled query: %v", err)
	}
	waitFor(t, func() bool { return running() == 0 })
	engine.shared.calls.Wait()
	if n := len(engine.shared.slots); n != 0 {
		t.Errorf("%d slots are still taken", n)
	}
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ready(); {
		if time.Now().After(deadline) {
			t.Fatal("waited 20 s in vain")
		}
	}
}

// TestAbandonedAnswer leaves answers unread: closing and cancelling free them.
func TestAbandonedAnswer(t *testing.T) {
	engine, _ := open(t, nil)
	for _, release := range []string{"close", "cancel"} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://embedded/?default_format=Native&client_protocol_version=54460", strings.NewReader("SELECT * FROM numbers(200000)"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := engine.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := res.Body.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if release == "close" {
			res.Body.Close()
		} else {
			cancel()
		}
		b := res.Body.(*body)
		waitFor(t, func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.answer == nil
		})
		if _, err := res.Body.Read(make([]byte, 10)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("read after %s: %v", release, err)
		}
		res.Body.Close()
	}
}

func TestConcurrentQueries(t *testing.T) {
	_, db := open(t, clickhouse.Settings{"max_threads": 1})
	exec(t, db, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				if _, err := db.Exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", w*20+i)); err != nil {
					t.Error(err)
				}
				var n uint64
				if err := db.QueryRow("SELECT max(n) FROM t").Scan(&n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := scalar[string](t, db, "SELECT toString((count(), sum(n))) FROM t"); got != "(160,12720)" {
		t.Errorf("count and sum of what 8 writers wrote: %s", got)
	}
}

// TestReopen closes and opens folders in turn, which must keep what was
// written.
func TestReopen(t *testing.T) {
	engine, db := open(t, nil)
	exec(t, db, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n", "INSERT INTO t VALUES (1), (2)")
	dir := engine.shared.dir
	shared, err := Open(dir + "/.")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(engine.Close(), engine.Close()); err != nil { // twice counts once
		t.Fatal(err)
	}
	if got := roundTrip(t, shared, "query="+url.QueryEscape("SELECT sum(n) FROM t"), ""); got != "3\n" {
		t.Errorf("after one of two was closed: %q", got)
	}
	if err := shared.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := Open(filepath.Join(t.TempDir(), "a b", "ü?=1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := roundTrip(t, again, "query="+url.QueryEscape("SELECT sum(n) FROM t"), ""); got != "3\n" {
		t.Errorf("after reopening: %q", got)
	}
}
