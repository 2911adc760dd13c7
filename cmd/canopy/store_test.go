package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"canopy/crawler/store/storetest"
)

// Commands that need a record say so where there is none, and make none.
func TestNoRecordIsMadeByReading(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"store", "status"},
		{"store", "sql", "SELECT 1"},
		{"store", "sql", "--write", "SELECT 1"},
		{"store", "prune", "--older-than", "probes=1y"},
		{"store", "prune", "--older-than", "probes=1y", "--yes"},
		{"store", "serve", "--listen", "127.0.0.1:0"},
		{"report", "--out", filepath.Join(dir, "report")},
		{"explain", "0123456789abcdef0123456789abcdef01234567"},
		{"clearcut", "--country", "DE"},
		{"export", "--out", filepath.Join(dir, "dataset")},
	} {
		for _, missing := range []string{filepath.Join(dir, "missing", "record"), empty} {
			r := canopy(t, append(args, "--store", "chdb:"+missing)...)
			oneClearLine(t, r, exitUsage, "no record", missing, "--store", "canopy store migrate")
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("the empty folder holds %v, %v", left, err)
	}
}
