package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestDataUpdateFromAMirror(t *testing.T) {
	t.Parallel()
	var list strings.Builder
	for i := range 400 {
		fmt.Fprintf(&list, "198.51.%d.%d\n", 100+i/250, i%250)
	}
	served := list.String()
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/tor/torbulkexitlist" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(served))
	}))
	defer mirror.Close()
	dir := t.TempDir()
	update := func() result {
		return canopy(t, "data", "update", "--data", dir, "--from", mirror.URL, "--source", "tor,aws")
	}
	if r := update(); r.code != exitDone || !strings.Contains(r.stdout, "updated") || !strings.Contains(r.stdout, "400 ranges") || !strings.Contains(r.stdout, "absent") {
		t.Fatalf("exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := update(); r.code != exitDone || !strings.Contains(r.stdout, "unchanged") {
		t.Errorf("exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := canopy(t, "data", "status", "--data", dir); !strings.Contains(r.stdout, "0 days old") || !strings.Contains(r.stdout, "no licence stated") {
		t.Errorf("status: %s%s", r.stdout, r.stderr)
	}
	if r := canopy(t, "explain", "198.51.100.7", "--data", dir); !strings.Contains(r.stdout, "an exit of the Tor network") {
		t.Errorf("explain: %s%s", r.stdout, r.stderr)
	}
	served = "<html>Sign in</html>"
	if r := update(); r.code != exitDegraded || !strings.Contains(r.stderr, "web page") || !strings.Contains(r.stdout, "400 ranges") {
		t.Errorf("exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

func TestDataUpdateUsage(t *testing.T) {
	t.Parallel()
	oneClearLine(t, canopy(t, "data", "update", "--source", "crystal-ball"), exitUsage, "crystal-ball")
	oneClearLine(t, canopy(t, "data", "update", "--data", t.TempDir(), "--from", "/nowhere/at/all"), exitUsage, "/nowhere/at/all")
}

func TestAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for days, want := range map[int]string{-2: "in the future", 0: "0 days old", 1: "1 day old", 40: "40 days old", 800: "2 years old"} {
		if got := age(now.AddDate(0, 0, -days), now); got != want {
			t.Errorf("%d days: %q", days, got)
		}
	}
}
