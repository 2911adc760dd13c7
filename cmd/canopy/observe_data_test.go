package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"canopy/crawler/store/storetest"
)

// An observer keeps address data fresh; what fails is told, is no reason to
// stop, and leaves what was there.
func TestObserveRefreshesAddressData(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	mirror, data := t.TempDir(), t.TempDir()
	list := filepath.Join(mirror, "tor", "torbulkexitlist")
	if err := os.Mkdir(filepath.Dir(list), 0o755); err != nil {
		t.Fatal(err)
	}
	var exits strings.Builder
	for i := range 400 {
		fmt.Fprintf(&exits, "198.51.%d.%d\n", 100+i/250, i%250)
	}
	publish := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	publish(exits.String())
	o := observeConfig(t, t.TempDir(), "mainline", "127.0.0.1:9", "    every: 1h\n")
	o.start(t, "--data", data, "--data-from", mirror, "--data-refresh", "1s")
	o.await(t, says("address data refreshed"))
	publish("<html>Sign in</html>")
	o.await(t, says("not refreshed whole"))
	var status observeStatus
	r := canopy(t, "observe", "--status", "--config", o.config, "--json", "--log", "warn")
	if err := json.Unmarshal([]byte(r.stdout), &status); err != nil || status.Data.Last == nil || !strings.Contains(status.Data.Trouble, "tor") {
		t.Errorf("status: %+v, %v, %s", status.Data, err, r.stderr)
	}
	if r := canopy(t, "observe", "--status", "--config", o.config, "--log", "warn"); !strings.Contains(r.stdout, "kept as they are") {
		t.Errorf("status: %s%s", r.stdout, r.stderr)
	}
	if code, said := o.stop(os.Interrupt); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, strings.Join(said, "\n"))
	}
	if r := canopy(t, "explain", "198.51.100.7", "--data", data); !strings.Contains(r.stdout, "an exit of the Tor network") {
		t.Errorf("the old data are gone: %s%s", r.stdout, r.stderr)
	}
}

func TestDataTroubleComesLate(t *testing.T) {
	t.Parallel()
	started := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	ob := &observer{started: started, options: observeOptions{dataRefresh: 30 * 24 * time.Hour}}
	fresh := started.AddDate(0, 0, 50)
	for name, test := range map[string]struct {
		state taskState
		days  int
		want  bool
	}{
		"all is well":               {taskState{}, 400, false},
		"failed today":              {taskState{Trouble: "away"}, 1, false},
		"never since two intervals": {taskState{Trouble: "away"}, 61, true},
		"not so long ago":           {taskState{Trouble: "away", Last: &fresh}, 100, false},
		"long ago":                  {taskState{Trouble: "away", Last: &fresh}, 111, true},
	} {
		got := ob.dataTrouble(test.state, started.AddDate(0, 0, test.days))
		if (got != "") != test.want || test.want && !strings.Contains(got, "away") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
