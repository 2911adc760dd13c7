package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
)

func TestZoneMistakesAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		words []string
	}{
		"form":         {[]string{"--zone", "half"}, []string{"half", "BITS/PREFIX"}},
		"digits":       {[]string{"--zone", "12/a3"}, []string{"12/a3", "3 hexadecimal digits"}},
		"too far":      {[]string{"--zone", "10/a3f"}, []string{"more than 10 bits"}},
		"too small":    {[]string{"--zone", "40/a3f0000000"}, []string{"1 to 32 bits"}},
		"without zone": {[]string{"--plant", "5"}, []string{"--plant", "--zone 12"}},
		"negative":     {[]string{"--zone", "8", "--lookups", "-1"}, []string{"--lookups"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"crawl", "mainline", "--store", "chdb:" + t.TempDir()}, test.args...)
			oneClearLine(t, canopy(t, args...), exitUsage, test.words...)
		})
	}
}

// A zone of a local network is walked and the report tells the size of the whole.
func TestZoneCrawlTellsTheSize(t *testing.T) {
	t.Parallel() // most of it is the pace towards one address
	storetest.NeedEngine(t)
	network := startPlanned(t, mainlineNetwork, testnet.Size{Nodes: 600, Horizon: time.Hour}, 3)
	dir := t.TempDir()
	store := "chdb:" + filepath.Join(dir, "record")
	r := canopy(t, "crawl", "mainline", "--local", "--bind", "127.0.0.1", "--bootstrap", strings.Join(network.Bootstrap(), ","), "--store", store,
		"--zone", "1/1", "--plant", "8", "--confirm", "8", "--lookups", "16", "--visits", filepath.Join(dir, "visits.ndjson"))
	if r.code != 0 || !strings.Contains(r.stdout, "Walked zone 1/8 only") || !strings.Contains(r.stdout, "8 of 8 planted nodes") {
		t.Fatalf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := canopy(t, "report", "--store", store, "--out", dir); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "figures.json"))
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		Estimate *struct{ Value, Lower, Upper float64 }
	}
	var report struct {
		Networks []struct {
			Used []string
			Size struct{ Corrected, Distances answer }
		}
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	up := float64(len(network.Plan().AliveAt(0)))
	n := report.Networks[0]
	for name, a := range map[string]answer{"corrected": n.Size.Corrected, "distances": n.Size.Distances} {
		if a.Estimate == nil || a.Estimate.Value < up/2 || a.Estimate.Value > 2*up || a.Estimate.Lower >= a.Estimate.Upper {
			t.Errorf("%s: %+v, %g are up", name, a.Estimate, up)
		}
	}
	if len(n.Used) != 0 {
		t.Errorf("shares are made of a zone: %v", n.Used)
	}
}
