package reports

import (
	"strings"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/analysis/shares"
	"canopy/analysis/survival"
	"canopy/crawler/observation"
)

// The top of the page says what each part found, and what is not in it.
func TestFindingsInShort(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(8, 24*time.Hour, observation.ScopeGlobal), growing(400, 4))
	r, err := Build(t.Context(), s.DB(), Options{From: day.Add(4 * 24 * time.Hour), Generated: day.AddDate(0, 1, 0)})
	must(t, err)
	got := map[string]string{}
	for _, p := range r.Networks[0].points() {
		got[p.Subject] = p.Sentence
		if (p.Target == "") != (p.Subject == "Not in this report") {
			t.Errorf("%s leads to %q", p.Subject, p.Target)
		}
	}
	for subject, want := range map[string]string{
		"Over time":               "The share of peers on commercial land (cloud, VPS, colocation) did not change clearly from the first crawl to the last.",
		"Since the period before": "Clearly changed: peers on commercial land (cloud, VPS, colocation), by +",
		"The largest":             "Late Cloud alone holds more than half of the reachable peers whose organisation is known.",
		"Not in this report":      "How long peers stay; how large it is; if the largest left; newcomers and content.",
	} {
		if !strings.Contains(got[subject], want) {
			t.Errorf("%s: %q, want %q", subject, got[subject], want)
		}
	}
	html := pageOf(t, r)
	if top, first := strings.Index(html, "Not in this report"), strings.Index(html, `id="alpha"`); top < 0 || first < top {
		t.Errorf("the findings in short stand at %d, the network at %d", top, first)
	}
}

// A bound that rounds to nothing or to all is no "at least <1 %".
func TestBoundsInWords(t *testing.T) {
	t.Parallel()
	estimate := func(v float64) analysis.Estimate { return analysis.Estimate{Value: v, Lower: v, Upper: v + 0.001} }
	for want, bound := range map[string][2]float64{
		"Communities run less than 0.1 % of the reachable peers":                    {0, 0.0002},
		"Communities run at most 12.0 % of the reachable peers":                     {0.0002, 0.12},
		"Communities run more than 99.9 % of the reachable peers":                   {0.9998, 1},
		"Communities run at least 10.0 % and at most 12.0 % of the reachable peers": {0.1, 0.12},
	} {
		n := Network{Undecided: &analysis.Estimate{Value: 0.1}, Bounds: []Judged{{"community", shares.Bounded{AtLeast: estimate(bound[0]), AtMost: estimate(bound[1])}}}}
		if got := strings.ReplaceAll(n.operatorFinding(), nbsp, " "); got != want {
			t.Errorf("%v: %q, want %q", bound, got, want)
		}
	}
}

// The ends of an interval are in the unit of its value.
func TestLengthsInOneUnit(t *testing.T) {
	t.Parallel()
	for want, hours := range map[string][3]float64{
		"2.2 h (1.9–2.5)": {2.2, 1.9, 2.5}, "90 min (66–108)": {1.5, 1.1, 1.8}, "0.8 h (0.7–19.4)": {0.75, 0.7, 19.4}, "2.0 days (1.0–3.0)": {48, 24, 72},
	} {
		q := survival.Quantile{Reached: true, Seconds: analysis.Estimate{Value: hours[0] * 3600, Lower: hours[1] * 3600, Upper: hours[2] * 3600}}
		if got := strings.ReplaceAll(length(q), nbsp, " "); got != want {
			t.Errorf("%v hours: %q, want %q", hours, got, want)
		}
	}
}

// Facts that were frozen at a visit are told of, though no data set is installed
// when the report is made; long lines of ours are not cut.
func TestSourcesOfFacts(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(2, time.Hour, observation.ScopeGlobal), population("alpha"))
	line := "Example data: " + strings.Repeat("as its terms demand ", 20) + "to the end"
	for says, opt := range map[string]Options{"stands with each network": {Generated: day}, line: {Generated: day, Attributions: []string{line}}} {
		r, err := Build(t.Context(), s.DB(), opt)
		must(t, err)
		if html := pageOf(t, r); !strings.Contains(html, says) || strings.Contains(html, "No address data was used") {
			t.Errorf("the page does not say %q, or that no data was used", says)
		}
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	at := func(day string) time.Time {
		when, err := time.Parse(time.DateOnly, day)
		must(t, err)
		return when
	}
	for want, ends := range map[string][2]string{
		"8 March 2026": {"2026-03-08", "2026-03-08"}, "8 to 14 March 2026": {"2026-03-08", "2026-03-14"}, "28 February to 1 March 2026": {"2026-02-28", "2026-03-01"},
		"30 December 2025 to 2 January 2026": {"2025-12-30", "2026-01-02"},
	} {
		if got := dates(at(ends[0]), at(ends[1])); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
