package chdb

import (
	"database/sql"
	"net/http"
	"os"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	_ "canopy/crawler/testnet/checkout" // where the engine is
)

func needLibrary(t *testing.T) {
	t.Helper()
	if _, err := Find(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// open starts the engine on a fresh folder, with a client.
func open(t *testing.T, settings clickhouse.Settings) (*Engine, *sql.DB) {
	t.Helper()
	needLibrary(t)
	engine, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	db := clickhouse.OpenDB(&clickhouse.Options{
		Addr: []string{"embedded"}, Protocol: clickhouse.HTTP, Settings: settings,
		TransportFunc: func(*http.Transport) (http.RoundTripper, error) { return engine, nil },
	})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine, db
}

func scalar[T any](t *testing.T, db *sql.DB, query string) T {
	t.Helper()
	var v T
	if err := db.QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}
