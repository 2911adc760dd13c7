// Package storetest opens the embedded store for tests of those who read it.
package storetest

import (
	"os"
	"testing"

	"canopy/crawler/store"
	"canopy/crawler/store/chdb"
	_ "canopy/crawler/testnet/checkout" // where the engine is
)

// NeedEngine skips a test at home, and fails it in CI, where the engine is not
// installed.
func NeedEngine(tb testing.TB) {
	tb.Helper()
	_, err := chdb.Find()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		tb.Fatal(err)
	default:
		tb.Skip(err)
	}
}

// Open opens a store, which is closed when the test ends.
func Open(tb testing.TB, url string, o store.Options) *store.Store {
	tb.Helper()
	NeedEngine(tb)
	s, err := store.Open(tb.Context(), url, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// Migrated opens a store with the schema of today and nothing in it.
func Migrated(tb testing.TB, url string) *store.Store {
	tb.Helper()
	s := Open(tb, url, store.Options{})
	if err := s.Migrate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s
}
