package reports

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/crawler/observation"
	"canopy/reports/page"
)

// growing plans a network of homes and rented servers, whose servers are up
// from a crawl on.
func growing(servers, from int) []plannedPeer {
	peers := population("alpha")
	for k := range servers {
		peers = append(peers, plannedPeer{
			id: fmt.Sprintf("late-%d", k), address: fmt.Sprintf("46.%d.%d.9", k/200, k%200),
			facts: observation.Facts{Organisation: "Late Cloud", Country: "US", Hosting: observation.HostingHosting, Source: "test", Date: day},
			up: func(crawl int) observation.Outcome {
				if crawl < from {
					return ""
				}
				return observation.Answered
			},
		})
	}
	return peers
}

func TestSinceThePeriodBefore(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	crawls := crawlsEvery(8, 24*time.Hour, observation.ScopeGlobal)
	write(t, s, alpha, crawls, growing(400, 4))
	middle := day.Add(4 * 24 * time.Hour)
	build := func(from, to time.Time) *Network {
		t.Helper()
		r, err := Build(t.Context(), s.DB(), Options{From: from, To: to, Generated: day.AddDate(0, 1, 0)})
		must(t, err)
		checkNumbers(t, r)
		return &r.Networks[0]
	}
	n := build(middle, time.Time{})
	if b := n.Before; b == nil || b.Absent != "" || b.Crawls != 3 || !b.To.Equal(middle) {
		t.Fatalf("the period before: %+v", b)
	}
	for _, c := range n.Before.Changes {
		switch c.What {
		case "Peers on commercial land (cloud, VPS, colocation)": // 80 of some 150, then 480 of some 550
			if c.Difference.Lower < 0.2 || c.Difference.Upper > 0.5 || !c.Share {
				t.Errorf("hosting: %+v", c.Difference)
			}
		case "Reachable peers of a crawl":
			if c.Difference.Lower > 400 || c.Difference.Upper < 400 || c.Difference.Lower < 350 {
				t.Errorf("reachable: %+v", c.Difference)
			}
		}
		if d := c.Difference; d.Lower > d.Value || d.Upper < d.Value {
			t.Errorf("%s: %+v", c.What, d)
		}
	}
	if n := build(day, middle); n.Before == nil || n.Before.Absent != "the record holds no crawl of it" {
		t.Errorf("compared with nothing: %+v", n.Before)
	}
	if n := build(time.Time{}, middle); n.Before != nil {
		t.Errorf("compared with what lies before the record: %+v", n.Before)
	}
	if n := build(day.Add(7*24*time.Hour-time.Hour), time.Time{}); n.Before == nil || n.Before.Absent == "" {
		t.Errorf("one crawl was compared: %+v", n.Before)
	}
}

// What was measured from elsewhere, or by a crawl in trouble, is not compared.
func TestWhatDoesNotCompare(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	crawls := crawlsEvery(4, 24*time.Hour, observation.ScopeGlobal)
	crawls[0].state = observation.Degraded
	write(t, s, alpha, crawls, population("alpha"))
	r, err := Build(t.Context(), s.DB(), Options{From: day.Add(48 * time.Hour), To: day.Add(96 * time.Hour), Generated: day})
	must(t, err)
	if b := r.Networks[0].Before; b == nil || !strings.Contains(b.Absent, "degraded") {
		t.Errorf("a degraded crawl was compared: %+v", b)
	}
	if html := checkNumbers(t, r); !strings.Contains(html, "Not compared with the period before") || !strings.Contains(html, "dated later than this report") {
		t.Error("the page does not say that nothing is compared, or that a clock was wrong")
	}
	here, there := r.Networks[0], r.Networks[0]
	there.Crawls = slices.Clone(there.Crawls)
	for i := range there.Crawls {
		there.Crawls[i].Vantage = "there"
	}
	if why := incomparable(&here, &there); !strings.Contains(why, "elsewhere") {
		t.Errorf("another vantage: %q", why)
	}
}

func TestPeriodAhead(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	_, err := Build(t.Context(), s.DB(), Options{From: day.AddDate(1, 0, 0), Generated: day})
	if !errors.Is(err, ErrNoCrawl) || !strings.Contains(err.Error(), "lies ahead") {
		t.Errorf("a period in the future: %v", err)
	}
}

func TestMonthsWithoutData(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	crawls := crawlsEvery(3, 24*time.Hour, observation.ScopeGlobal)
	for _, c := range crawls {
		c.start = c.start.AddDate(0, 5, 0)
		crawls = append(crawls, c)
	}
	write(t, s, alpha, crawls, population("alpha"))
	r, err := Build(t.Context(), s.DB(), Options{Generated: day.AddDate(1, 0, 0)})
	must(t, err)
	if html := checkNumbers(t, r); !strings.Contains(html, "No whole crawl between 3 March 2026 and 1 August 2026") {
		t.Error("the page does not tell of the gap")
	}
}

// One known operator runs everything: the page leads to its entry and sources.
func TestOneOperatorWithEverything(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	var peers []plannedPeer
	for k := range 30 {
		peers = append(peers, plannedPeer{id: fmt.Sprintf("p%d", k), agent: "hydra-booster/0.7.4", address: fmt.Sprintf("45.9.%d.1", k), up: always,
			facts: observation.Facts{Organisation: "Example Cloud", ASN: 64504, Country: "US", Hosting: observation.HostingHosting, Source: "test", Date: day}})
	}
	write(t, s, alpha, crawlsEvery(3, time.Hour, observation.ScopeGlobal), peers)
	r := build(t, s.DB())
	n := r.Networks[0]
	if len(n.Registered) != 1 || n.Registered[0].ID != "hydra-boosters" || n.Registered[0].Share.Value != 1 || n.Venture.Value != 1 {
		t.Fatalf("registered: %+v, venture %+v", n.Registered, n.Venture)
	}
	html := checkNumbers(t, r)
	for _, want := range []string{`id="alpha-entry-hydra-boosters"`, `href="https://github.com/libp2p/hydra-booster"`, "run at least"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	for _, o := range n.Bounds {
		if decided := n.Operator[slices.IndexFunc(n.Operator, func(d Judged) bool { return d.Class == o.Class })]; o.AtLeast.Value > decided.AtLeast.Value || o.AtMost.Value < decided.AtMost.Value {
			t.Errorf("%s: bound %v to %v within what is decided, %v to %v", o.Class, o.AtLeast.Value, o.AtMost.Value, decided.AtLeast.Value, decided.AtMost.Value)
		}
	}

	for k := range 5 {
		peers[k].agent = "antares/1.0"
	}
	two := crawlsEvery(2, time.Hour, observation.ScopeGlobal)
	for i := range two {
		two[i].start = two[i].start.AddDate(1, 0, 0)
	}
	write(t, s, alpha, two, peers)
	r, err := Build(t.Context(), s.DB(), Options{From: day.AddDate(1, 0, 0), Generated: day.AddDate(2, 0, 0)})
	must(t, err)
	if html := checkNumbers(t, r); !strings.Contains(html, `href="#alpha-entry-hydra-boosters"`) || !strings.Contains(html, `href="#alpha-entry-probelab"`) {
		t.Error("operators do not lead to their entries")
	}
}

// Published figures stand beside ours in the same unit, and only there.
func TestBesideTheFiguresOfOthers(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, observation.Network{Name: "ipfs", Title: "IPFS", Identity: "peer ID"}, crawlsEvery(8, 24*time.Hour, observation.ScopeGlobal), population("ipfs"))
	r := build(t, s.DB())
	got := map[string]analysis.Estimate{}
	for _, p := range r.Networks[0].Published {
		got[p.Source+": "+p.Quantity] = p.Ours
	}
	if cloud := got["Balduf et al., IMC 2023: cloud"]; cloud.Value == 0 || len(got) < 5 {
		t.Fatalf("compared: %v", got)
	}
	if week := got["ProbeLab, weekly report: unique peer IDs"]; week.Value != 205 { // 165 that answer at times, and 40 that never do
		t.Errorf("peers of a week: %+v", week)
	}
	html := checkNumbers(t, r)
	if !strings.Contains(html, "Henningsen et al., 2020") || strings.Contains(html, "Gini of storage") || strings.Contains(html, "Trautwein et al., SIGCOMM 2022") {
		t.Error("the page does not hold what compares, or holds what does not")
	}
	local := r.Networks[0]
	local.Scope = "local"
	if list, err := elsewhere(&local); err != nil || len(list) > 0 {
		t.Errorf("a synthetic network beside a public one: %v, %v", list, err)
	}
}

// A report that is written over an earlier one takes its files with it, and no
// others.
func TestWrittenOver(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(3, time.Hour, observation.ScopeGlobal), population("alpha"))
	write(t, s, beta, crawlsEvery(2, time.Hour, observation.ScopeGlobal), population("beta"))
	r := build(t, s.DB())
	dir := t.TempDir()
	must(t, r.Write(dir))
	for _, mine := range []string{"notes.txt", "beta-mine.png"} {
		must(t, os.WriteFile(filepath.Join(dir, mine), []byte("mine"), 0o600))
	}
	outside := filepath.Join(t.TempDir(), "outside.png")
	must(t, os.WriteFile(outside, []byte("mine"), 0o600))
	relative, err := filepath.Rel(dir, outside)
	must(t, err)
	list, err := os.ReadFile(filepath.Join(dir, Numbers))
	must(t, err)
	hostileList := strings.Replace(string(list), `"beta-land.png"`, fmt.Sprintf(`"beta-land.png", %q, "notes.txt", "../x.png"`, filepath.ToSlash(relative)), 1)
	must(t, os.WriteFile(filepath.Join(dir, Numbers), []byte(hostileList), 0o600))
	r.Networks = r.Networks[:1]
	must(t, r.Write(dir))
	entries, err := os.ReadDir(dir)
	must(t, err)
	var left []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "beta") || e.Name() == "notes.txt" {
			left = append(left, e.Name())
		}
	}
	if want := []string{"beta-mine.png", "notes.txt"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error("a list reached out of its folder")
	}
}

func TestTablesForPrograms(t *testing.T) {
	t.Parallel()
	raw, err := tableCSV(&page.Table{Head: []string{"Organisation", "share", "change", "peers"}, Rows: [][]string{
		{`=HYPERLINK("x")`, "54\u00a0% (51.5–57)", "12\u00a0345 (12\u00a0000–13\u00a0000)", "1\u00a0234\u00a0567"}, {"@a", "–", "", "12"},
		{" +b\n\"", "<0.1\u00a0% (0–0.2)", "-2.5 (-3.0 to +1.0)", "-3"}, {"c", "34\u00a0%", "3\u00a0min (2–4)", ""}, {"d", "99.9\u00a0% (99.0–>99.9)", "7\u00a0% (5–9)", ""},
	}})
	must(t, err)
	rows, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll()
	must(t, err)
	want := [][]string{
		{"Organisation", "share (%)", "share, lower (%)", "share, upper (%)", "change", "change, lower", "change, upper", "peers"},
		{`'=HYPERLINK("x")`, "54", "51.5", "57", "12345", "12000", "13000", "1234567"}, {"'@a", "–", "", "", "", "", "", "12"},
		{"' +b\n\"", "<0.1", "0", "0.2", "-2.5", "-3.0", "1.0", "-3"}, {"c", "34", "", "", "3 min", "2 min", "4 min", ""},
		{"d", "99.9", "99.0", ">99.9", "7 %", "5 %", "9 %", ""},
	}
	if !slices.EqualFunc(rows, want, slices.Equal[[]string]) {
		t.Errorf("got  %q\nwant %q", rows, want)
	}
}

func TestArchiveOfReports(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, observation.Network{Name: "alpha", Title: hostile[0]}, crawlsEvery(4, 24*time.Hour, observation.ScopeGlobal), population("alpha"))
	dir := t.TempDir()
	if _, err := Archive(dir, day, "canopy"); !errors.Is(err, ErrNoReport) {
		t.Errorf("an archive of nothing: %v", err)
	}
	for i, name := range []string{"first", "second & more"} {
		r, err := Build(t.Context(), s.DB(), Options{From: day.Add(time.Duration(48*i) * time.Hour), To: day.Add(time.Duration(48*i+48) * time.Hour), Generated: day.AddDate(0, 1, 0)})
		must(t, err)
		must(t, r.Write(filepath.Join(dir, name)))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "broken"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "broken", Numbers), []byte(`{"networks":[{"name":"x"}`), 0o600))
	must(t, os.MkdirAll(filepath.Join(dir, "strange"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "strange", Numbers), []byte(`{"networks":[{"name":"x","crawls":[{}]}]}`), 0o600))
	must(t, os.MkdirAll(filepath.Join(dir, "endless", Numbers), 0o755))
	good, err := os.ReadFile(filepath.Join(dir, "first", Numbers))
	must(t, err)
	var spoiled map[string]any
	must(t, json.Unmarshal(good, &spoiled))
	spoiled["networks"].([]any)[0].(map[string]any)["hosting"].([]any)[0].(map[string]any)["share"].(map[string]any)["value"] = 1e300
	bad, err := json.Marshal(spoiled)
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(dir, "spoiled"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "spoiled", Numbers), bad, 0o600))
	n, err := Archive(dir, day, "canopy test")
	must(t, err)
	raw, err := os.ReadFile(filepath.Join(dir, Index))
	must(t, err)
	html := string(raw)
	later, earlier := strings.Index(html, `href="./second%20&amp;%20more/index.html"`), strings.Index(html, `href="./first/index.html"`)
	if n != 2 || later < 0 || earlier < later || strings.Contains(html, "<script") || !strings.Contains(html, "broken: its numbers") || !strings.Contains(html, "strange: it holds no network") ||
		!strings.Contains(html, "spoiled: it holds no network") || !strings.Contains(html, "endless: its numbers") {
		t.Errorf("%d reports, at %d and %d:\n%s", n, later, earlier, html)
	}
	if _, err := Archive(filepath.Join(dir, "first"), day, "canopy"); err == nil || !strings.Contains(err.Error(), "is a report itself") {
		t.Errorf("an archive in the place of a report: %v", err)
	}
}

func TestChangesInWords(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{-0.04: "0.0", 0.04: "0.0", -0.06: "-0.1", 1.25: "+1.2"} {
		if got := signed(x, 1); got != want {
			t.Errorf("%v is written %s, want %s", x, got, want)
		}
	}
	first := day.Truncate(24 * time.Hour)
	if got := span(first, first.AddDate(0, 0, 7)); got != "1 to 7 March 2026" {
		t.Errorf("a week is %s", got)
	}
}
