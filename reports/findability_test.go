package reports

//lint:file-ignore fixedpath the paths in these texts are to be found and removed: nothing opens them

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/reports/figure"
	"canopy/reports/page"
)

// pageOf is the page without its figures.
func pageOf(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := page.Write(&b, r.document(make([]map[string]figure.Figure, len(r.Networks)))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Without checks the page says how to make some; with them it answers, and shows what they say as text.
func TestFindability(t *testing.T) {
	t.Parallel()
	const hostile = "<script>alert(1)</script>\x1b[31m\u202e"
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(2, time.Minute, observation.ScopeLocal), population("alpha"))
	html := pageOf(t, build(t, s.DB()))
	if !strings.Contains(html, "The period holds no check: run “canopy check”") {
		t.Error("an empty record has no clear sentence")
	}
	run := observation.NewCrawlID(day)
	check := observation.Check{Network: alpha.Name, RunID: run, Scope: observation.ScopeLocal, Vantage: hostile, CheckedAt: day}
	content, entry, start := check, check, check
	content.Kind, content.Subject, content.Name, content.Outcome = observation.CheckContent, hostile, hostile, observation.Found
	content.Search = observation.Search{Found: 9, Namers: 2, First: 1500 * time.Millisecond, Took: 2 * time.Second, Queries: 40, Hops: 3, Filters: 2, Seeds: 7, Cut: true}
	content.Holders = []observation.Holders{{PeerID: hostile, Agent: hostile, Facts: observation.Facts{Organisation: hostile, Country: hostile, Hosting: hostile}, Count: 9}}
	entry.Kind, entry.Subject, entry.Outcome, entry.Clients, entry.Detail = observation.CheckEntry, hostile, hostile, []string{hostile}, hostile
	entry.Holders = content.Holders
	start.Kind, start.Subject, start.Outcome = observation.CheckStart, "only "+hostile, observation.Entered
	if err := s.Checks(t.Context(), []observation.Check{content, entry, start}); err != nil {
		t.Fatal(err)
	}
	r := build(t, s.DB())
	if r.Networks[0].Findability == nil {
		t.Fatal("the checks are not read")
	}
	html = pageOf(t, r)
	for _, words := range []string{"If these hosts vanish, can newcomers still enter?", "Newcomers depend on", "1 was found when last looked for", "at least 9", "1 of 1", "(21–100", "1.5", "2\u00a0filters"} {
		if !strings.Contains(html, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	for _, raw := range []string{"<script>alert", "\x1b", "\u202e", "NaN", "%!"} {
		if strings.Contains(html, raw) {
			t.Errorf("the page holds %q", raw)
		}
	}
}

// Entry points alone, or content alone, make a section too.
func TestFindabilityInParts(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]observation.CheckKind{"content": observation.CheckContent, "entry points": observation.CheckEntry} {
		s := openStore(t)
		write(t, s, alpha, crawlsEvery(1, time.Minute, observation.ScopeLocal), population("alpha"))
		c := observation.Check{Network: alpha.Name, RunID: observation.NewCrawlID(day), Scope: observation.ScopeLocal, CheckedAt: day, Kind: kind, Subject: "x", Outcome: observation.ShutOut, Detail: "tcp: dial tcp4 192.168.7.7:4001->x: open /home/alice/x"}
		if err := s.Checks(t.Context(), []observation.Check{c}); err != nil {
			t.Fatal(err)
		}
		r := build(t, s.DB())
		numbers, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(numbers); !strings.Contains(text, "tcp: dial tcp4 (withheld)") || strings.Contains(text, "192.168.7.7") || strings.Contains(text, "alice") {
			t.Errorf("%s alone: the detail of a check names the observer, or is not there", name)
		}
		html := pageOf(t, r)
		if !strings.Contains(html, "Whether newcomers can enter was not tried.") || strings.Contains(html, "NaN") {
			t.Errorf("%s alone: the page does not say what was not tried", name)
		}
	}
}

// What took time does not read as having taken none.
func TestBriefTimes(t *testing.T) {
	t.Parallel()
	for ms, want := range map[float64]string{0: "0 ms", 0.02: "<1 ms", 0.6: "1 ms", 17.6: "18 ms", 999.7: "1.0 s", 1540: "1.5 s"} {
		if got := briefly(ms); got != strings.ReplaceAll(want, " ", nbsp) {
			t.Errorf("%v: %q, want %q", ms, got, want)
		}
	}
}
