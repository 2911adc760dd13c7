package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrongUsageIsNamedAndExitsWithTwo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		words []string
	}{
		"command":                      {[]string{"crawll"}, []string{`"crawll"`, "crawl", "report"}},
		"network":                      {[]string{"crawl", "gnutella"}, []string{`"gnutella"`, "mainline", "ipfs"}},
		"flag":                         {[]string{"crawl", "ipfs", "--bootstap", "x"}, []string{"--bootstap", "--help"}},
		"number":                       {[]string{"crawl", "mainline", "--rate", "fast"}, []string{"rate", "fast"}},
		"negative rate":                {[]string{"crawl", "mainline", "--rate", "-1"}, []string{"--rate"}},
		"no number":                    {[]string{"crawl", "ipfs", "--rate", "NaN"}, []string{"--rate", "NaN", "above 0 and at most 1,000,000"}},
		"endless rate":                 {[]string{"check", "--rate-per-address", "+Inf"}, []string{"--rate-per-address", "above 0 and at most 1,000,000"}},
		"no rate":                      {[]string{"crawl", "mainline", "--local", "--rate-per-block", "0"}, []string{"--rate-per-block", "above 0"}},
		"pace of hosts":                {[]string{"crawl", "mainline", "--rate-per-address", "2.5"}, []string{"crawl mainline: --rate-per-address 2.5", "2 a second", "--local"}},
		"pace of blocks":               {[]string{"crawl", "ipfs", "--rate-per-block", "65"}, []string{"crawl ipfs: --rate-per-block 65", "64 a second", "--local"}},
		"pace of checks":               {[]string{"check", "--rate-per-address", "3"}, []string{"check: --rate-per-address 3", "--local"}},
		"pace told by the environment": {[]string{"CANOPY_CRAWL_IPFS_RATE_PER_ADDRESS=5", "crawl", "ipfs"}, []string{"--rate-per-address 5", "--local"}},
		"observer's pace":              {[]string{"CANOPY_OBSERVE_IPFS_RATE_PER_BLOCK=100", "observe", "--vantage", "x"}, []string{"observe ipfs: rate-per-block 100", "with local"}},
		"watch rate":                   {[]string{"observe", "--vantage", "x", "--watch-rate", "NaN"}, []string{"--watch-rate", "above 0"}},
		"watch share":                  {[]string{"observe", "--vantage", "x", "--watch-share", "NaN"}, []string{"watch-share NaN"}},
		"duration":                     {[]string{"crawl", "ipfs", "--deadline", "soon"}, []string{"deadline", "soon"}},
		"argument":                     {[]string{"report", "october"}, []string{"october"}},
		"no query":                     {[]string{"store", "sql"}, []string{"arg"}},
		"day":                          {[]string{"report", "--from", "yesterday"}, []string{"--from", "yesterday", "2026-10-01"}},
		"reversed":                     {[]string{"report", "--from", "2026-10-02", "--to", "2026-10-01"}, []string{"not before"}},
		"log level":                    {[]string{"version", "--log", "loud"}, []string{"loud", "debug"}},
		"store":                        {[]string{"store", "status", "--store", "mysql://db"}, []string{"chdb:", "clickhouse://"}},
		"bootstrap":                    {[]string{"crawl", "mainline", "--local", "--bootstrap", "nonsense"}, []string{"nonsense", "host:port"}},
		"multiaddr":                    {[]string{"crawl", "ipfs", "--local", "--bootstrap", "nonsense"}, []string{"nonsense"}},
		"demo's crawls":                {[]string{"demo", "--crawls", "0"}, []string{"--crawls"}},
		"opt-out list":                 {[]string{"crawl", "ipfs", "--opt-out", "no-such-list"}, []string{"no-such-list"}},
		"missing config":               {[]string{"version", "--config", "no-such.yaml"}, []string{"no-such.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(strings.Join(test.args, " "), "--store") && test.args[0] != "demo" {
				test.args = append(test.args, "--store", "chdb:"+t.TempDir())
			}
			oneClearLine(t, canopy(t, test.args...), exitUsage, test.words...)
		})
	}
}

func TestConfigurationMistakesNameLineAndKey(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		yaml  string
		words []string
	}{
		"unknown key":     {"store: chdb:x\ncrawl:\n  mainline:\n    rat: 5\n", []string{":4:", `"rat"`, "canopy crawl mainline"}},
		"unknown command": {"store: chdb:x\ncrawll: {}\n", []string{":2:", `"crawll"`}},
		"wrong pace":      {"observe:\n  mainline:\n    rate-per-address: 0\n", []string{":3:", "rate-per-address", "above 0"}},
		"wrong type":      {"crawl:\n  ipfs:\n    rate: fast\n", []string{":3:", "rate", "fast"}},
		"list for one":    {"store: [a, b]\n", []string{":1:", "store", "list"}},
		"mapping for one": {"log:\n  a: b\n", []string{":1:", "log"}},
		"not YAML":        {"store: [unclosed\n", []string{"config.yaml"}},
		"not a mapping":   {"- a\n- b\n", []string{":1:", "name: value"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, "config.yaml", test.yaml)
			r := canopy(t, "version", "--config", path)
			if r.code != exitUsage {
				t.Errorf("exit code %d, want 2", r.code)
			}
			for _, w := range test.words {
				if !strings.Contains(r.stderr, w) {
					t.Errorf("the error does not say %q: %s", w, r.stderr)
				}
			}
		})
	}
}

// A setting's later source wins: file, then environment, then flag.
func TestSettingsRise(t *testing.T) { // nobody listens at these stores: the error tells which was asked
	path := write(t, "config.yaml", "store: http://127.0.0.1:1\nlog: error\n")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"file":        {[]string{"store", "status", "--config", path}, "127.0.0.1:1"},
		"environment": {[]string{"CANOPY_STORE=http://127.0.0.1:2", "store", "status", "--config", path}, "127.0.0.1:2"},
		"flag":        {[]string{"CANOPY_STORE=http://127.0.0.1:2", "store", "status", "--config", path, "--store", "http://127.0.0.1:3"}, "127.0.0.1:3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := canopy(t, test.args...); r.code != exitFailed || !strings.Contains(r.stderr, test.want) {
				t.Errorf("exit code %d, want an error about %s: %s", r.code, test.want, r.stderr)
			}
		})
	}
}

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	t.Parallel()
	root := newRoot(&app{stdout: os.Stdout, stderr: os.Stderr})
	for _, group := range root.Commands() {
		for _, c := range append(group.Commands(), group) {
			if c.Hidden { // holds settings of the configuration file only
				continue
			}
			if c.Short == "" {
				t.Errorf("%s says nothing of itself", c.CommandPath())
			}
			if !c.HasSubCommands() && c.Example == "" && c.Name() != "version" {
				t.Errorf("%s --help has no example", c.CommandPath())
			}
		}
	}
}

func TestMissingEngineSaysWhatToRun(t *testing.T) {
	t.Parallel()
	r := canopy(t, "CANOPY_CHDB_LIB="+filepath.Join(t.TempDir(), "absent.so"), "store", "migrate", "--store", "chdb:"+t.TempDir())
	oneClearLine(t, r, exitFailed, "make engine", "CANOPY_CHDB_LIB")
	for _, args := range [][]string{{"version"}, {"--help"}, {"crawl", "mainline", "--help"}} {
		if r := canopy(t, append([]string{"CANOPY_CHDB_LIB=/absent.so"}, args...)...); r.code != exitDone {
			t.Errorf("%v needs the engine: %s", args, r.stderr)
		}
	}
}

func TestDemoLeavesForeignFoldersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := filepath.Join(dir, "thesis.tex")
	if err := os.WriteFile(keep, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	oneClearLine(t, canopy(t, "demo", "--out", dir), exitUsage, "not made by an earlier demo", "--out")
	if _, err := os.Stat(keep); err != nil {
		t.Error("the demo removed somebody's file:", err)
	}
}
