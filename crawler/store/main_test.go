package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"canopy/crawler/store/chdb"
	_ "canopy/crawler/testnet/checkout" // where the engine is
)

// dataDir is the one folder that this test process may open embedded; every
// test has a database of its own in it.
var dataDir string

func TestMain(m *testing.M) {
	if dir := os.Getenv("CANOPY_TEST_HOLD"); dir != "" {
		hold(dir)
		return
	}
	if args := strings.Split(os.Getenv("CANOPY_TEST_WRITE"), "\n"); len(args) == 3 {
		first, _ := strconv.Atoi(args[2])
		panic(writeUntilKilled(args[0], args[1], first))
	}
	if args := strings.Split(os.Getenv("CANOPY_TEST_SERVE"), "\n"); len(args) == 2 {
		panic(serveUntilKilled(args[0], args[1]))
	}
	var err error
	if dataDir, err = os.MkdirTemp("", "canopy-store-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dataDir)
	os.Exit(code)
}

// backend is one way to reach the engine. url returns the store URL of a
// database.
type backend struct {
	name string
	url  func(t *testing.T, database string) string
}

func backends() []backend {
	return []backend{
		{"embedded", embeddedURL},
		{"http", servedURL},
		{"native", serverURL},
	}
}

func embeddedURL(t *testing.T, database string) string {
	needEngine(t)
	return "chdb:" + dataDir + "?database=" + database
}

// servedURL serves the embedded engine over HTTP.
func servedURL(t *testing.T, database string) string {
	server := httptest.NewServer(servedHandler(t, database, "s3cret"))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http://", "http://anyone:s3cret@", 1) + "/" + database
}

// servedHandler serves a database of the embedded engine, which it creates, to
// those who may write.
func servedHandler(t *testing.T, database, password string) http.Handler {
	t.Helper()
	s, err := Open(context.Background(), embeddedURL(t, database), Options{Spool: NoSpool})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.admin.Exec(context.Background(), createDatabase+database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	handler, err := s.Handler(context.Background(), password)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func serverURL(t *testing.T, database string) string {
	base := os.Getenv("CANOPY_TEST_CLICKHOUSE")
	if base == "" {
		t.Skip("CANOPY_TEST_CLICKHOUSE names no server, such as clickhouse://default@127.0.0.1:9000")
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal("CANOPY_TEST_CLICKHOUSE is no URL")
	}
	u.Path = "/" + database
	return u.String()
}

func needEngine(tb testing.TB) {
	tb.Helper()
	if _, err := chdb.Find(); err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatal(err)
		}
		tb.Skip(err)
	}
}

var databases atomic.Uint32

// newDatabase returns a name that no other test uses.
func newDatabase() string {
	return fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
}

// spare are databases that tests leave behind for the next, with tables and
// without rows: to make the tables is most of what a small test takes.
var spare = struct {
	sync.Mutex
	lent, free map[string]bool
}{lent: map[string]bool{}, free: map[string]bool{}}

// emptyDatabase returns the name of a database without rows, for a test that
// leaves the tables as they are.
func emptyDatabase() string {
	spare.Lock()
	defer spare.Unlock()
	name := newDatabase()
	for name = range spare.free {
		delete(spare.free, name)
		break
	}
	spare.lent[name] = true
	return name
}

// leave empties a store's database for the next test, or drops it.
func leave(ctx context.Context, s *Store) error {
	name := s.target.database
	admin, done, err := owner(ctx, s)
	if err != nil {
		return err
	}
	defer done()
	spare.Lock()
	defer spare.Unlock()
	if !s.target.speaksHTTP() || !spare.lent[name] && !spare.free[name] {
		return admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name)
	}
	rows, err := admin.Query(ctx, "SELECT name FROM system.tables WHERE database = ? AND endsWith(engine, 'MergeTree') AND name != 'schema_migrations'", name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var table string
		if err := errors.Join(rows.Scan(&table), admin.Exec(ctx, "TRUNCATE TABLE "+name+"."+table)); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	delete(spare.lent, name)
	spare.free[name] = true
	return nil
}

// owner may do with the data of a store what clients of a served one may not.
func owner(ctx context.Context, s *Store) (admin driver.Conn, done func(), err error) {
	if s.target.dir != "" || !s.target.speaksHTTP() {
		return s.admin, func() {}, nil
	}
	own, err := Open(ctx, "chdb:"+dataDir+"?database=default", Options{Spool: NoSpool})
	if err != nil {
		return nil, nil, err
	}
	return own.admin, func() { _ = own.Close() }, nil
}

// asOwner runs one statement on the data of a store; %s in it is the database.
func asOwner(t *testing.T, s *Store, statement string) {
	t.Helper()
	admin, done, err := owner(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if err := admin.Exec(t.Context(), fmt.Sprintf(statement, s.target.database)); err != nil {
		t.Fatal(err)
	}
}

// openAt opens a store and leaves its database when the test ends.
func openAt(tb testing.TB, url string, o Options) *Store {
	tb.Helper()
	if o.Spool == "" {
		o.Spool = tb.TempDir()
	}
	s, err := Open(context.Background(), url, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if !o.ReadOnly {
			if err := leave(context.Background(), s); err != nil {
				tb.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func migrated(tb testing.TB, url string, o Options) *Store {
	tb.Helper()
	s := openAt(tb, url, o)
	if err := s.Migrate(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return s
}
