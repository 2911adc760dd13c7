package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"canopy/crawler/store/storetest"
)

// exampleData is a data folder with three blocks.
func exampleData(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeIn(t, dir, "plan.csv", "start,end,asn,organisation,country\n"+
		"192.0.2.0,192.0.2.255,64500,Example Hosting,NL\n198.51.100.0,198.51.100.255,64501,Example Broadband,FR\n203.0.113.0,203.0.113.255,7941,INTERNET-ARCHIVE,US\n")
	return dir
}

func TestExplainAddress(t *testing.T) {
	t.Parallel()
	dir := exampleData(t)
	for _, c := range []struct {
		address string
		want    []string
	}{
		{"192.0.2.7", []string{"AS64500", "Example Hosting", "hosting", "undecided", "rented-land", "The verdict would be another if", "source:"}},
		{"[::ffff:198.51.100.7]:6881", []string{"residential", "community", "household-line", "probability 0."}},
		{"203.0.113.9", []string{"namely Internet Archive", "registry:internet-archive:asn", "library", "source for asn: https://bgp.tools/as/7941", "INTERNET-ARCHIVE"}},
		{"8.8.8.8", []string{"No data set covers this address", "there is no evidence"}},
	} {
		r := canopy(t, "explain", c.address, "--data", dir)
		if r.code != exitDone || r.stderr != "" {
			t.Fatalf("%s: exit %d: %s", c.address, r.code, r.stderr)
		}
		for _, w := range c.want {
			if !strings.Contains(r.stdout, w) {
				t.Errorf("%s: the explanation does not hold %q:\n%s", c.address, w, r.stdout)
			}
		}
	}
}

func TestExplainAddressAsJSON(t *testing.T) {
	t.Parallel()
	r := canopy(t, "explain", "203.0.113.9", "--json", "--data", exampleData(t))
	var e explanation
	if err := json.Unmarshal([]byte(r.stdout), &e); err != nil {
		t.Fatalf("%v\n%s%s", err, r.stdout, r.stderr)
	}
	if e.Verdict.Operator != "institutional" || e.Entry == nil || e.Entry.ID != "internet-archive" || len(e.Verdict.Evidence) == 0 || len(e.Land.Matches) != 1 || e.Rules == "" {
		t.Errorf("%+v", e)
	}
}

func TestExplainAsOf(t *testing.T) {
	t.Parallel()
	if r := canopy(t, "explain", "192.0.2.7", "--data", exampleData(t), "--as-of", "2020-01-02"); r.code != exitDone || !strings.Contains(r.stdout, "no version is as old as 2020-01-02") {
		t.Errorf("exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	oneClearLine(t, canopy(t, "explain", "192.0.2.7", "--as-of", "yesterday"), exitUsage, "--as-of", "yesterday")
}

func TestExplainNobody(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	store := "chdb:" + t.TempDir()
	if r := canopy(t, "store", "migrate", "--store", store); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	oneClearLine(t, canopy(t, "explain", "12D3KooWNobody\x1b[2J", "--store", store), exitUsage, "no address", "no peer of that ID")
}

func TestRulesTest(t *testing.T) {
	t.Parallel()
	dir := exampleData(t)
	file := write(t, "labelled.csv", "operator,true_hosting,address,agent,siblings,neighbourhood\n"+
		"community,residential,198.51.100.1,,1,1\ncommercial,hosting,192.0.2.1,fleet/1,30,30\ncommunity,hosting,192.0.2.2,,,\ninstitutional,hosting,203.0.113.5,,,\n")
	r := canopy(t, "rules", "test", file, "--data", dir, "--json")
	var s ruleScore
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		t.Fatalf("%v\n%s%s", err, r.stdout, r.stderr)
	}
	if s.Peers != 4 || s.Operators[0].Right != 1 || s.Operators[0].Unknown != 1 || s.Lands[3].Right != 2 || s.Lands[3].Labelled != 3 || s.Calibration.Peers != 4 {
		t.Errorf("%+v", s)
	}
	if r := canopy(t, "rules", "test", file, "--data", dir); !strings.Contains(r.stdout, "calibration error") || !strings.Contains(r.stdout, "precision") {
		t.Errorf("%s%s", r.stdout, r.stderr)
	}
	for name, text := range map[string]string{"no label": "agent\nx\n", "operator": "operator\naliens\n", "colour": "operator,colour\ncommunity,x\n",
		"empty": "", "HTML": "<html>\n", "no class": "true_hosting\ncastle\n", "line 2": "operator,siblings\ncommunity,x\n"} {
		oneClearLine(t, canopy(t, "rules", "test", write(t, "bad.csv", text)), exitUsage, name)
	}
	oneClearLine(t, canopy(t, "rules", "test", "missing.csv"), exitUsage, "missing.csv")
	oneClearLine(t, canopy(t, "rules", "test", file, "--rules", write(t, "r.yaml", "version: x\n")), exitUsage, "threshold")
}

func writeIn(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
