package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"canopy/crawler/store/storetest"
)

// An observer checks the commons on schedule with its own settings, and keeps
// what it finds.
func TestObserveChecksTheCommons(t *testing.T) {
	t.Parallel() // most of it is waiting
	storetest.NeedEngine(t)
	bootstrap, tables, _ := startTestnet(t, "ipfs", "--nodes", "60", "--dead", "0") // each of the dead would cost every lookup a time-out
	list := write(t, "list.yaml", fmt.Sprintf(`content:
  - {name: nobody has this, network: ipfs, id: bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq}
entry_points:
  - {network: ipfs, address: %s}
`, strings.Split(bootstrap, ",")[0]))
	o := observeConfig(t, t.TempDir(), "ipfs", bootstrap, "    every: 1h\n")
	oneClearLine(t, canopy(t, "observe", "--config", o.config, "--check-every", "1s", "--check-list", list+".gone"), exitUsage, "list.yaml.gone")

	o.start(t, "--data", tables, "--check-every", "1s", "--check-list", list, "--report-every", "1h")
	for range 2 { // runs, each of which looks for the content last
		o.await(t, func(line string) bool {
			return strings.Contains(line, "checked") && strings.Contains(line, "kind=content")
		})
	}
	if r := canopy(t, "observe", "--status", "--config", o.config, "--log", "warn"); !strings.Contains(r.stdout, "checks") {
		t.Errorf("status: %s%s", r.stdout, r.stderr)
	}
	if code, said := o.stop(os.Interrupt); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, strings.Join(said, "\n"))
	}
	var kept struct{ Runs, Knocks, Entered, Missing int }
	query(t, o.store, `SELECT uniqExact(run_id) AS runs, countIf(kind = 'entry_point' AND outcome = 'answered') AS knocks,
		countIf(kind = 'start' AND outcome = 'entered') AS entered, countIf(kind = 'content' AND outcome = 'not_found') AS missing
		FROM checks WHERE vantage = 'loopback' AND scope = 'local'`, &kept)
	if kept.Runs < 2 || kept.Knocks < 2 || kept.Entered < 2 || kept.Missing < 2 {
		t.Errorf("kept %+v", kept)
	}
}
