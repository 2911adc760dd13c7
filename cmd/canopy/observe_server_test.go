package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"canopy/crawler/store/storetest"
)

// What can be wrong with the server that an observer is to write to is one
// clear line, before anything is crawled.
func TestObserveMeetsServers(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	record := "chdb:" + filepath.Join(t.TempDir(), "record")
	observe := func(store string) result {
		return canopy(t, "CANOPY_STORE="+store, "observe", "--vantage", "x", "--listen", "", "--data-refresh", "0s", "--spool", t.TempDir(), "--networks", "mainline")
	}
	nobody := freeAddress(t)
	for _, scheme := range []string{"http", "clickhouse"} {
		oneClearLine(t, observe(scheme+"://u:s3cret@"+nobody+"/canopy"), exitFailed, nobody)
	}
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "18.16.1") }))
	defer old.Close()
	oneClearLine(t, observe(old.URL+"/canopy"), exitFailed, "too old", "23.8", "18.16.1")

	if r := canopy(t, "store", "migrate", "--store", record); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	reading := startServe(t, record, nil)
	oneClearLine(t, observe(reading.withPassword(reading.Password)+"/canopy"), exitFailed, "served for reading")
	reading.stop()

	writing := startServe(t, record, []string{servePassword + "=s3cret"}, "--write")
	as := func(password string) string {
		return writing.withPassword(password) + "/canopy"
	}
	wrong := observe(as("oh-no"))
	oneClearLine(t, wrong, exitFailed, "Authentication failed")
	if strings.Contains(wrong.stderr, "oh-no") {
		t.Errorf("the error tells the password: %s", wrong.stderr)
	}
	const claim = "INSERT INTO observers_log (vantage, observer, host, pid, claimed_at, beat_at) SELECT 'x', generateUUIDv4(), 'elsewhere', 7, now64(3), now64(3)"
	if status, text := writing.ask(t, "s3cret", claim); status != http.StatusOK {
		t.Fatal(status, text)
	}
	oneClearLine(t, observe(as("s3cret")), exitFailed, "another observer", "elsewhere", "process 7")
	if status, text := writing.ask(t, "s3cret", "INSERT INTO schema_migrations (version, name, checksum) SELECT 900, 'future', 'x'"); status != http.StatusOK {
		t.Fatal(status, text)
	}
	oneClearLine(t, observe(as("s3cret")), exitFailed, "newer schema", "upgrade canopy")
}
