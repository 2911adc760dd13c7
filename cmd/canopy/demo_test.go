package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
)

// The parts of figures.json that the plan is held against.
type figures struct {
	Synthetic bool `json:"synthetic"`
	Networks  []struct {
		Name    string `json:"name"`
		Hosting []struct {
			Class observation.Hosting `json:"class"`
			Share analysis.Estimate   `json:"share"`
		} `json:"hosting"`
		Operator []struct {
			Class   testnet.Operator  `json:"class"`
			AtLeast analysis.Estimate `json:"at_least"`
			AtMost  analysis.Estimate `json:"at_most"`
		} `json:"operator"`
	} `json:"networks"`
}

// demo is one run of the demo for all tests that only read what it left behind.
var demo struct {
	sync.Mutex // of the folder, which one program can have open
	made       bool
	dir        string // that TestMain removes
	result
}

// demoFolder runs the demo, unless another test has, and returns its folder,
// which is t's alone until it ends.
func demoFolder(t *testing.T) string {
	t.Helper()
	storetest.NeedEngine(t)
	demo.Lock()
	t.Cleanup(demo.Unlock)
	if !demo.made {
		demo.made = true
		demo.code = exitFailed                        // unless it runs to its end
		dir, err := os.MkdirTemp("", "canopy-demo-*") //nolint:usetesting // it outlives the test that is first to ask: others read it
		if err != nil {
			t.Fatal(err)
		}
		demo.dir = dir
		demo.result = canopy(t, "demo", "--out", filepath.Join(dir, "demo"))
	}
	if demo.code != exitDone {
		t.Fatalf("exit code %d of the demo\n%s%s", demo.code, demo.stdout, demo.stderr)
	}
	return filepath.Join(demo.dir, "demo")
}

// A demo of another size has as many nodes as it was asked for.
func TestDemoScales(t *testing.T) {
	t.Parallel()
	a := &app{stdout: io.Discard, logger: slog.New(slog.DiscardHandler)}
	locals, err := a.startLocals(t.Context(), demoOptions{scale: 0.1, seed: 1})
	for _, l := range locals {
		defer l.running.Close() //nolint:errcheck // of no interest
		if got, want := l.running.Plan().Size.Nodes, l.demo.Nodes/10; got != want {
			t.Errorf("%s: %d nodes, want %d", l.name, got, want)
		}
	}
	if err != nil || len(locals) != len(networks) {
		t.Errorf("%d networks: %v", len(locals), err)
	}
}

func TestDemoFindsWhatWasPlanned(t *testing.T) {
	t.Parallel()
	out := demoFolder(t)
	r := demo.result
	for _, want := range []string{"synthetic", filepath.Join(out, "report", "index.html"), "Communities run at least"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the demo does not print %q:\n%s", want, r.stdout)
		}
	}
	page := read(t, filepath.Join(out, "report", "index.html"))
	if !strings.Contains(page, "Synthetic demo data") {
		t.Error("the report does not say that it is synthetic")
	}
	var got figures
	decode(t, filepath.Join(out, "report", "figures.json"), &got)
	if !got.Synthetic || len(got.Networks) != len(networks) {
		t.Fatalf("figures.json: synthetic %v, %d networks", got.Synthetic, len(got.Networks))
	}
	for i, n := range got.Networks {
		var truth testnet.Truth
		decode(t, filepath.Join(out, "truth-"+n.Name+".json"), &truth)
		checkVisits(t, out, truth)
		hosting, operator := plannedShares(truth, 4)
		if len(n.Hosting) < 5 || len(n.Operator) < 3 {
			t.Errorf("%s: %d hosting classes, %d kinds of operator", n.Name, len(n.Hosting), len(n.Operator))
		}
		for _, h := range got.Networks[i].Hosting {
			planned := hosting[h.Class]
			if planned < h.Share.Lower || planned > h.Share.Upper || abs(planned-h.Share.Value) > 1e-9 {
				t.Errorf("%s: share of %s is %.4f (%.4f-%.4f), planned %.4f", n.Name, h.Class, h.Share.Value, h.Share.Lower, h.Share.Upper, planned)
			}
		}
		for _, o := range got.Networks[i].Operator {
			if planned := operator[o.Class]; planned < o.AtLeast.Lower || planned > o.AtMost.Upper {
				t.Errorf("%s: %s runs %.4f by plan, outside the bound %.4f-%.4f", n.Name, o.Class, planned, o.AtLeast.Lower, o.AtMost.Upper)
			}
		}
	}
}

// checkVisits asks the store, as a user would, who answered, and holds it
// against the plan.
func checkVisits(t *testing.T, out string, truth testnet.Truth) {
	t.Helper()
	r := canopy(t, "store", "sql", "--store", "chdb:"+filepath.Join(out, "record"), "--format", "JSONEachRow",
		"SELECT peer_id, hosting, asn, organisation, country, agent, countIf(outcome = 'answered') AS answered, count() AS visits FROM visits WHERE network = '"+
			truth.Network+"' GROUP BY ALL SETTINGS output_format_json_quote_64bit_integers = 0")
	if r.code != exitDone {
		t.Fatal(r.stderr)
	}
	type row struct {
		PeerID       string              `json:"peer_id"`
		Hosting      observation.Hosting `json:"hosting"`
		ASN          uint32              `json:"asn"`
		Organisation string              `json:"organisation"`
		Country      string              `json:"country"`
		Agent        string              `json:"agent"`
		Answered     int                 `json:"answered"`
	}
	answered := map[string]int{}
	facts := map[string]row{}
	for _, line := range strings.Split(strings.TrimSpace(r.stdout), "\n") {
		var v row
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if answered[v.PeerID] += v.Answered; v.Answered > 0 {
			facts[v.PeerID] = v
		}
	}
	for _, node := range truth.Nodes {
		want := 0
		for step := range 4 {
			if upAt(node, demoHorizon*time.Duration(step)/4) {
				want++
			}
		}
		if answered[node.PeerID] != want {
			t.Errorf("%s %s (%s) answered in %d crawls, planned %d", truth.Network, node.PeerID, node.Persona, answered[node.PeerID], want)
		}
		f := facts[node.PeerID]
		if want > 0 && (f.Hosting != node.Hosting || f.ASN != node.ASN || f.Organisation != node.Organisation || f.Country != node.Country || f.Agent != node.Agent) {
			t.Errorf("%s %s recorded as %+v, planned %+v", truth.Network, node.PeerID, f, node)
		}
		delete(answered, node.PeerID)
	}
	for id, n := range answered {
		if n > 0 {
			t.Errorf("%s %s answered and is in no plan", truth.Network, id)
		}
	}
}

// plannedShares are the true shares, as means over the moments of the crawls.
func plannedShares(truth testnet.Truth, crawls int) (map[observation.Hosting]float64, map[testnet.Operator]float64) {
	hosting, operator := map[observation.Hosting]float64{}, map[testnet.Operator]float64{}
	for step := range crawls {
		var up []testnet.NodeTruth
		for _, n := range truth.Nodes {
			if upAt(n, demoHorizon*time.Duration(step)/time.Duration(crawls)) {
				up = append(up, n)
			}
		}
		for _, n := range up {
			hosting[n.Hosting] += 1 / float64(len(up)*crawls)
			operator[n.Operator] += 1 / float64(len(up)*crawls)
		}
	}
	return hosting, operator
}

func upAt(n testnet.NodeTruth, t time.Duration) bool {
	for _, s := range n.Sessions {
		if s.Start <= t && t < s.End {
			return true
		}
	}
	return false
}

func abs(x float64) float64 { return max(x, -x) }

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decode(t *testing.T, path string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, path)), v); err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
}
