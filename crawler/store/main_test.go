package store

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"canopy/crawler/store/chdb"
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
	needEngine(t)
	engine, err := chdb.Open(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(engine.Handler(chdb.ServeOptions{Password: "s3cret", AllowWrites: true}))
	t.Cleanup(func() {
		server.Close()
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return strings.Replace(server.URL, "http://", "http://anyone:s3cret@", 1) + "/" + database
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

// openAt opens a store and drops its database when the test ends.
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
			if err := s.admin.Exec(context.Background(), "DROP DATABASE IF EXISTS "+s.target.database); err != nil {
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
