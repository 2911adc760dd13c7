package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"canopy/analysis/clearcut"
)

func TestClearcutMistakesAreNamed(t *testing.T) {
	t.Parallel()
	scenario := write(t, "scenario.yaml", "remove:\n  organisations: [A]\n  planets: [B]\n")
	fine := write(t, "fine.yaml", "remove: {largest: 1}\n")
	for name, test := range map[string]struct {
		args  []string
		words []string
	}{
		"nobody":       {nil, []string{"removes nobody", "--help"}},
		"two ways":     {[]string{"--largest", "3", "--country", "DE"}, []string{"exclude each other"}},
		"all":          {[]string{"--random", "1"}, []string{"random 1"}},
		"kind":         {[]string{"--largest", "3", "--by", "planet"}, []string{"planet", "organisation"}},
		"unknown key":  {[]string{"--scenario", scenario}, []string{"scenario.yaml", "line 3", "planets"}},
		"no file":      {[]string{"--scenario", "absent.yaml"}, []string{"absent.yaml"}},
		"file and who": {[]string{"--scenario", fine, "--country", "DE"}, []string{"--country", "--scenario"}},
		"lookups":      {[]string{"--scenario", fine, "--lookups", "-1"}, []string{"lookups -1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oneClearLine(t, canopy(t, append([]string{"clearcut", "--store", "chdb:" + t.TempDir()}, test.args...)...), exitUsage, test.words...)
		})
	}
}

// The demo answers for the command: figures, words, and a scenario that runs
// again.
func TestClearcutOfARecord(t *testing.T) {
	t.Parallel()
	store := "chdb:" + filepath.Join(demoFolder(t), "record")
	cut := func(args ...string) result {
		return canopy(t, append([]string{"clearcut", "--store", store}, args...)...)
	}
	oneClearLine(t, cut("--largest", "1"), exitFailed, "ipfs", "mainline", "choose one network")
	oneClearLine(t, cut("--largest", "1", "--network", "gnutella"), exitFailed, "gnutella", "--edges")
	oneClearLine(t, cut("--country", "DE", "--crawl", "00000000-0000-7000-8000-000000000000"), exitFailed, "no crawl 00000000")
	oneClearLine(t, cut("--network", "ipfs", "--organisation", "Exampel Cloud US"), exitFailed, `nearest are "Example Cloud US"`)
	oneClearLine(t, cut("--network", "ipfs", "--operator", "community", "--operator", "commercial", "--operator", "institutional", "--operator", "unknown"),
		exitFailed, "needs two survivors")

	spoken := cut("--network", "mainline", "--largest", "2", "--by", "organisation", "--lookups", "200")
	for _, want := range []string{"synthetic", "of 100 lookups would still succeed", "left too", "entry points left", "as many at random"} {
		if !strings.Contains(spoken.stdout, want) {
			t.Errorf("the output does not say %q: %s%s", want, spoken.stdout, spoken.stderr)
		}
	}
	first := decodeClearcut(t, cut("--json", "--network", "ipfs", "--hosting", "hosting", "--lookups", "300", "--seed", "5"))
	again, err := json.Marshal(first.Scenario) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	second := decodeClearcut(t, cut("--json", "--scenario", write(t, "again.yaml", string(again))))
	if first.Scenario.Crawl == "" || !reflect.DeepEqual(first, second) {
		t.Errorf("the scenario gave other figures when run again:\n%+v\n%+v", first.Steps, second.Steps)
	}
}

func decodeClearcut(t *testing.T, r result) (c clearcut.Result) {
	t.Helper()
	if r.code != exitDone {
		t.Fatal(r.stderr)
	}
	if err := json.Unmarshal([]byte(r.stdout), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestClearcutSteersNoTerminal prints names that somebody else chose.
func TestClearcutSteersNoTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := clearcut.Result{Scenario: clearcut.Scenario{Name: "gone\x1b[31m"}, Steps: []clearcut.Step{{Leaves: []string{"Example\tHosting\u202e"}, Cut: clearcut.Cut{Expected: 1e-31}}}}
	if err := printClearcut(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\x1b", "\t", "\u202e", "e-"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("the output holds %q: %s", bad, out.String())
		}
	}
}
