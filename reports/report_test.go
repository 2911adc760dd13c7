package reports

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/crawler/observation"
)

var (
	alpha = observation.Network{Name: "alpha", Title: "The Alpha Network", Identity: "node ID and endpoint"}
	beta  = observation.Network{Name: "beta", Title: "The Beta Network", Identity: "peer ID"}
)

func build(t *testing.T, q analysis.Querier) *Report {
	t.Helper()
	r, err := Build(t.Context(), q, Options{Generated: day.Add(time.Hour), Software: "canopy test", Attributions: []string{"Example data, CC0, 1 March 2026"}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func writeTo(t *testing.T, r *Report) (dir, html string) {
	t.Helper()
	dir = t.TempDir()
	if keep := os.Getenv("CANOPY_REPORT"); keep != "" { // to be looked at
		dir = filepath.Join(keep, t.Name())
	}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, Index))
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(raw)
}

func TestReportEqualsThePlan(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(6, time.Minute, observation.ScopeLocal), population("alpha"))
	write(t, s, beta, crawlsEvery(4, 24*time.Hour, observation.ScopeLocal), population("beta"))
	r := build(t, s.DB())
	if len(r.Networks) != 2 || r.Networks[0].Title != alpha.Title || !r.Synthetic {
		t.Fatalf("networks: %+v", r.Networks)
	}
	n := r.Networks[0]
	if n.Peers != 165 || len(n.Used) != 6 || len(n.Hosting) != 5 {
		t.Errorf("%d peers in %d crawls on %d classes of land", n.Peers, len(n.Used), len(n.Hosting))
	}
	// 21 homes are up in one crawl of three: 8, 7 and 6 of them. 80 of all stand on hosting land.
	want := (80.0/152 + 80.0/151 + 80.0/150) / 3
	for _, h := range n.Hosting {
		if h.Class == "hosting" && (math.Abs(h.Share.Value-want) > 1e-9 || h.Share.Lower >= want || h.Share.Upper <= want) {
			t.Errorf("hosting: %+v, want %v", h.Share, want)
		}
	}
	if n.Sessions.InAll != 144 || n.Sessions.Shortest != 80*time.Second {
		t.Errorf("sessions: %+v", n.Sessions)
	}
	if o := n.Organisations; len(o.Holders) != 7 || o.Holders[0].Name != "Example Cloud" || o.Nakamoto[0].Size.Value != 1 {
		t.Errorf("organisations: %+v", o)
	}
	_, html := writeTo(t, r)
	for _, want := range []string{banner, alpha.Title, beta.Title, "Example data, CC0", "Exemple Haut Débit", "At least", "at most"} {
		if !strings.Contains(strings.ToLower(html), strings.ToLower(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// Whatever a report writes is finite and not empty.
func checkNumbers(t *testing.T, r *Report) (html string) {
	t.Helper()
	dir, html := writeTo(t, r)
	for _, bad := range []string{"NaN", "Inf", "%!"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "figures.json"))
	if err != nil {
		t.Fatal(err)
	}
	var any map[string]any
	if err := json.Unmarshal(raw, &any); err != nil {
		t.Errorf("figures.json: %v", err)
	}
	return html
}

func TestEmptyStoreSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	_, err := Build(t.Context(), s.DB(), Options{From: day, To: day.Add(24 * time.Hour)})
	want := "no finished crawl between 2026-03-01 12:00 and 2026-03-02 12:00: run `canopy crawl` first"
	if !errors.Is(err, ErrNoCrawl) || err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
	write(t, s, alpha, []plannedCrawl{{start: day, state: observation.Running, scope: observation.ScopeGlobal}}, population("alpha"))
	if _, err := Build(t.Context(), s.DB(), Options{}); !errors.Is(err, ErrNoCrawl) {
		t.Errorf("a report on a running crawl: %v", err)
	}
}

func TestBadRecords(t *testing.T) {
	t.Parallel()
	bare := func(n int, facts observation.Facts) (peers []plannedPeer) {
		for i := range n {
			peers = append(peers, plannedPeer{id: string(rune('a' + i)), address: "45.1.0." + string(rune('1'+i)), facts: facts, up: always})
		}
		return peers
	}
	one := crawlsEvery(1, 0, observation.ScopeGlobal)
	s := openStore(t)
	years := 0
	for name, c := range map[string]struct {
		crawls []plannedCrawl
		peers  []plannedPeer
		says   []string
	}{
		"one crawl":           {one, population("alpha"), []string{"One crawl only"}},
		"nobody known":        {one, bare(5, observation.Facts{}), []string{"On whose land these peers stand is not known", "be told", "No organisation is known"}},
		"one peer":            {crawlsEvery(2, time.Hour, observation.ScopeGlobal), bare(1, observation.Facts{}), []string{"1\u00a0distinct peer"}},
		"one has everything":  {one, bare(6, observation.Facts{Organisation: "Only One", Country: "DE", Hosting: observation.HostingHosting}), []string{"stand at Only One"}},
		"nobody answered":     {one, []plannedPeer{{id: "x", address: "45.1.0.1", up: func(int) observation.Outcome { return observation.Timeout }}}, []string{"No shares"}},
		"nobody was heard of": {one, nil, []string{"No shares", "No peer was visited"}},
		"all cut short":       {[]plannedCrawl{{start: day, state: observation.CutShort, scope: observation.ScopeGlobal}}, population("alpha"), []string{"No shares", "left out of every share"}},
		"some cut short, some degraded": {[]plannedCrawl{
			{start: day, state: observation.Complete, scope: observation.ScopeGlobal},
			{start: day.Add(time.Hour), state: observation.CutShort, scope: observation.ScopeGlobal, notes: []string{"stopped by the user"}},
			{start: day.Add(2 * time.Hour), state: observation.Degraded, scope: observation.ScopeGlobal, notes: []string{"the CPU was busy"}},
		}, population("alpha"), []string{"stopped by the user", "the CPU was busy", "1\u00a0crawl cut short", "1\u00a0crawl degraded", "not in the shares"}},
	} {
		t.Run(name, func(t *testing.T) {
			years++ // each record has a period of its own
			from := day.AddDate(years, 0, 0)
			var crawls []plannedCrawl
			for _, c := range c.crawls {
				c.start = c.start.AddDate(years, 0, 0)
				crawls = append(crawls, c)
			}
			write(t, s, alpha, crawls, c.peers)
			r, err := Build(t.Context(), s.DB(), Options{From: from, To: from.AddDate(0, 1, 0), Generated: day})
			must(t, err)
			html := checkNumbers(t, r)
			for _, want := range c.says {
				if !strings.Contains(html, want) {
					t.Errorf("the page does not say %q", want)
				}
			}
			if strings.Contains(html, "Synthetic demo data") {
				t.Error("public data is called synthetic")
			}
		})
	}
}

// A local network never mixes with a public one of the same name.
func TestScopesStandApart(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	crawls := crawlsEvery(2, time.Hour, observation.ScopeGlobal)
	crawls[1].scope = observation.ScopeLocal
	write(t, s, alpha, crawls, population("alpha"))
	r := build(t, s.DB())
	if len(r.Networks) != 2 || len(r.Networks[0].Used) != 1 || r.Networks[0].Scope == r.Networks[1].Scope || r.Networks[0].slug == r.Networks[1].slug {
		t.Errorf("networks: %+v", r.Networks)
	}
}

func TestFailedWriteLeavesTheEarlierReport(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(1, 0, observation.ScopeGlobal), population("alpha"))
	r := build(t, s.DB())
	dir, before := writeTo(t, r)
	r.Networks[0].Hosting[0].Share.Value = math.NaN()
	r.Networks[0].Matrix[0].Share.Upper = math.NaN()
	if err := r.Write(dir); err == nil || !strings.Contains(err.Error(), "NaN is no length") {
		t.Fatalf("a report with a NaN: %v", err)
	}
	after, err := os.ReadFile(filepath.Join(dir, Index))
	if err != nil || string(after) != before {
		t.Errorf("the earlier report is gone: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s was left behind", e.Name())
		}
	}
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := build(t, s.DB()).Write(filepath.Join(blocked, "x")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a report below a file: %v", err)
	}
}
