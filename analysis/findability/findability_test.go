package findability

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/analysis/operator"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	home = observation.Facts{ASN: 64500, Organisation: "Example Telecom", Country: "DE", Hosting: observation.HostingResidential}
	farm = observation.Facts{ASN: 64501, Organisation: "Example <Hosting>", Country: "US", Hosting: observation.HostingHosting}
)

const (
	shipyard = "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8" // in the registry
	provider = "12D3KooWGPToPrEW8yEHkGdUyE5q4hvgGbRGYBhe5DvrJYZnrGwB"
)

// planned is a run: content found in the first and third, one entry point of two alive.
func planned(run int) (checks []observation.Check) {
	at := noon.Add(time.Duration(run) * time.Hour)
	id := observation.NewCrawlID(at)
	add := func(kind observation.CheckKind, subject string, outcome observation.Outcome, change func(*observation.Check)) {
		c := observation.Check{
			Network: "alpha", RunID: id, Kind: kind, Subject: subject, Name: "name of " + subject, Vantage: "here", Scope: observation.ScopeGlobal,
			CheckedAt: at, Outcome: outcome,
		}
		change(&c)
		checks = append(checks, c)
	}
	add(observation.CheckContent, "film", []observation.Outcome{observation.Found, observation.NotFound, observation.Found}[run], func(c *observation.Check) {
		if c.Outcome == observation.Found {
			c.First, c.Namers, c.Found, c.Filters, c.Seeds, c.Leechers = time.Duration(run+1)*time.Second, 1, 19, 3, 40.5, 2
			c.Holders = []observation.Holders{{Facts: home, Count: 12}, {Facts: farm, Count: 4}, {Count: 3}}
		}
	})
	add(observation.CheckContent, "archive", observation.Found, func(c *observation.Check) {
		c.Namers, c.Found, c.Cut = 5, 2, true
		c.Holders = []observation.Holders{{PeerID: provider, Facts: home, Count: 1}, {PeerID: shipyard, Facts: farm, Count: 1}}
	})
	add(observation.CheckEntry, "router.bittorrent.com:6881", observation.Answered, func(c *observation.Check) {
		c.Holders, c.Clients, c.RTT, c.Named = []observation.Holders{{Facts: farm, Count: 1}}, []string{"a client"}, time.Second, 8
	})
	add(observation.CheckEntry, "/ip4/45.1.2.3/tcp/1/p2p/"+shipyard, observation.Timeout, func(c *observation.Check) {
		c.Holders = []observation.Holders{{PeerID: shipyard, Count: 1}}
	})
	for label, outcome := range map[string]observation.Outcome{
		StartAll: observation.Entered, StartRemembered: observation.Entered, StartOnly + "router.bittorrent.com:6881": observation.Entered,
		StartWithout + "router.bittorrent.com:6881": observation.ShutOut, StartOnly + "/ip4/45.1.2.3/tcp/1/p2p/" + shipyard: observation.ShutOut,
	} {
		for number := range 2 {
			add(observation.CheckStart, label, outcome, func(c *observation.Check) { c.Number = uint32(number) })
		}
	}
	return checks
}

func TestReadTheRecord(t *testing.T) {
	s, rules := storetest.Migrated(t, "chdb:"+t.TempDir()), operator.Default()
	read := func(network, scope string, w analysis.Window) *Result {
		t.Helper()
		r, err := Read(t.Context(), s.DB(), rules, network, scope, w)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := read("alpha", observation.ScopeGlobal, analysis.Window{}); r != nil {
		t.Errorf("an empty record says %+v", r)
	}
	for run := range 3 {
		if err := s.Checks(t.Context(), planned(run)); err != nil {
			t.Fatal(err)
		}
	}
	crawl := observation.Crawl{ID: observation.NewCrawlID(noon), Network: "alpha", StartedAt: noon, Settings: "{}"}
	visit := observation.Visit{Network: "alpha", CrawlID: crawl.ID, VisitedAt: noon, PeerID: provider, Agent: "kubo/0.43.0/desktop", Address: netip.MustParseAddrPort("45.1.2.3:1"), Outcome: observation.Answered}
	if err := errors.Join(s.BeginCrawl(t.Context(), crawl), s.Visits(t.Context(), []observation.Visit{visit}), s.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	for what, r := range map[string]*Result{
		"another network": read("beta", observation.ScopeGlobal, analysis.Window{}), "another scope": read("alpha", observation.ScopeLocal, analysis.Window{}),
		"another period": read("alpha", observation.ScopeGlobal, analysis.Window{From: noon.Add(24 * time.Hour)}),
	} {
		if r != nil {
			t.Errorf("%s: %+v", what, r)
		}
	}
	r := read("alpha", observation.ScopeGlobal, analysis.Window{})
	if r.Runs != 3 || !r.First.Equal(noon) || !r.Last.Equal(noon.Add(2*time.Hour)) || !slices.Equal(r.Vantages, []string{"here"}) || len(r.Content) != 2 || len(r.Entries) != 2 || len(r.Starts) != 5 {
		t.Fatalf("%+v", r)
	}
	checkContent(t, r)
	checkEntries(t, r)
	if one := read("alpha", observation.ScopeGlobal, analysis.Window{From: noon, To: noon.Add(time.Minute)}); one.Runs != 1 || len(one.Warnings) == 0 || !strings.Contains(one.Warnings[0], "One run only") {
		t.Errorf("one run: %+v", one)
	}
}

func checkContent(t *testing.T, r *Result) {
	t.Helper()
	archive, film := r.Content[0], r.Content[1]
	if film.Times != 3 || film.Yes != 2 || film.Latest.Found != 19 || film.Latest.Seeds.Value != 40.5 || film.Latest.Seeds.N != 3 || film.Fastest.N != 2 || film.Fastest.Median != 2000 {
		t.Errorf("film: %+v", film)
	}
	if want := []Part{{"residential", 12}, {"fewer than 5 each", 7}}; !slices.Equal(film.Land, want) {
		t.Errorf("people on %v, want %v", film.Land, want)
	}
	if archive.Latest.Seeds != nil || archive.Fastest != nil || !archive.Latest.Cut || !slices.Equal(archive.Land, []Part{{"hosting", 1}, {"residential", 1}}) {
		t.Errorf("archive: %+v", archive)
	}
	if want := []Part{{"commercial", 1}, {"community", 1}}; !slices.Equal(archive.Operators, want) {
		t.Errorf("providers are run by %v, want %v: by the registry, and by what a crawl saw", archive.Operators, want)
	}
	all := strings.Join(r.Warnings, "\n")
	if !strings.Contains(all, "floors") || !strings.Contains(all, "single node") {
		t.Errorf("warnings: %s", all)
	}
}

func checkEntries(t *testing.T, r *Result) {
	t.Helper()
	dead, alive := r.Entries[0], r.Entries[1]
	if dead.Runner.Name != "Interplanetary Shipyard" || dead.Runner.Kind != "company" || dead.Yes != 0 || dead.Times != 3 || dead.Alone.Yes != 0 || dead.Without.Times != 0 {
		t.Errorf("dead entry point: %+v", dead)
	}
	if alive.Runner.Name != "Rainberry" || alive.Yes != 3 || alive.Alone.Yes != 6 || alive.Without.Yes != 0 || alive.Without.Times != 6 || alive.Latest.Named != 8 || alive.Land[0].Organisation != "Example <Hosting>" {
		t.Errorf("living entry point: %+v", alive)
	}
	n := r.Newcomers
	if n.Listed != 2 || n.Live != 1 || len(n.Sufficient) != 1 || n.All.Yes != 6 || n.Remembered.Yes != 6 {
		t.Errorf("newcomers: %+v", n)
	}
	plain := func(s string) string { return s }
	if got := n.Answer(plain); !strings.Contains(got, "depend on Rainberry") {
		t.Errorf("answer: %s", got)
	}
	if got := strings.Join(n.Doubts(plain), " "); !strings.Contains(got, "Rainberry (1)") || !strings.Contains(got, "6 of 6 starts") {
		t.Errorf("doubts: %s", got)
	}
}

func TestAnswersForNewcomers(t *testing.T) {
	entry := func(address, runner string, yes int) Entry {
		return Entry{Address: address, Runner: Runner{Name: runner}, Alone: share(yes, 3, "", "starts"), Latest: Latest{Outcome: answered}}
	}
	all := func(yes int) []Start { return []Start{{StartAll, share(yes, 3, "", "starts")}} }
	for want, r := range map[string]Result{
		"was not tried":                     {},
		"could not enter":                   {Entries: []Entry{entry("a", "A", 0)}, Starts: all(0)},
		"by no single one":                  {Entries: []Entry{entry("a", "A", 1), entry("b", "B", 1)}, Starts: all(3)},
		"depend on «A»":                     {Entries: []Entry{entry("a", "A", 3), entry("b", "A", 2), entry("c", "C", 1)}, Starts: all(3)},
		"could still enter: 2 run one each": {Entries: []Entry{entry("a", "A", 3), entry("b", "B", 3)}, Starts: all(3)},
	} {
		r.conclude()
		quoted := func(s string) string { return "«" + s + "»" }
		if got := r.Newcomers.Answer(quoted); !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
		if doubts := strings.Join(r.Newcomers.Doubts(quoted), " "); strings.Contains(doubts, "NaN") || !strings.Contains(doubts, "here before could return was not tried") {
			t.Error(doubts)
		}
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct{ yes, times int }{{0, 0}, {0, 3}, {3, 3}, {1, 1000}} {
		s := share(c.yes, c.times, "x", "starts").Share
		if math.IsNaN(s.Value) || s.Lower > s.Value || s.Upper < s.Value || s.Lower < 0 || s.Upper > 1 || s.N != c.times || s.NUnit != "starts" {
			t.Errorf("%d of %d: %+v", c.yes, c.times, s)
		}
	}
}

func TestHost(t *testing.T) {
	for entry, want := range map[string]string{
		"router.BitTorrent.com:6881": "router.bittorrent.com", "/dnsaddr/bootstrap.libp2p.io./p2p/Qm": "bootstrap.libp2p.io", "[2001:db8::1]:6881": "2001:db8::1",
		"": "", "/": "", "nowhere": "", "//": "",
	} {
		if got := Host(entry); got != want {
			t.Errorf("Host(%q) = %q, want %q", entry, got, want)
		}
	}
}

func TestListsAreBounded(t *testing.T) {
	var long strings.Builder
	long.WriteString("content:\n")
	for i := range maxList + 1 {
		fmt.Fprintf(&long, "  - {name: x, network: n, id: %d}\n", i)
	}
	for want, text := range map[string]string{"want 1000 of each": long.String(), "longer than 1048576 bytes": strings.Repeat("#", maxListBytes+1)} {
		if _, err := ReadList(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
