package reports

import (
	"strings"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/analysis/reachability"
)

func TestPercentWarrantsItsDecimals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, lower, upper float64
		want                string
	}{
		{0.4123, 0.38, 0.44, "41 % (38–44)"},
		{0.4123, 0.40, 0.42, "41.2 % (40.0–42.0)"},
		{0, 0, 0.01, "0 % (0–1.0)"},
		{1, 0.99, 1, "100 % (99.0–100)"},
		{0.0002, 0.0001, 0.001, "<0.1 % (<0.1–0.1)"}, // seen, so not zero
		{0.9999, 0.999, 0.99999, ">99.9 % (99.9–>99.9)"},
	} {
		got := percentInterval(analysis.Estimate{Value: c.value, Lower: c.lower, Upper: c.upper})
		if want := strings.ReplaceAll(c.want, " %", nbsp+"%"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMarksDoNotPileUp(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"Z" + strings.Repeat("\u0301", 5) + "a\u0301": "Z\u0301\u0301\u0301" + `\u{0301}\u{0301}` + "a\u0301", "Việt": "Việt", "ที่": "ที่",
	} {
		if got := legible(s); got != want {
			t.Errorf("%+q is shown as %+q, want %+q", s, got, want)
		}
	}
}

func TestFractionsInWords(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "none", 1: "all", 0.01: "very few", 0.5: "half", 0.66: "about two thirds", 2.0 / 3: "two thirds", 0.97: "nearly all", 0.15: "about one in six", 0.57: "more than half",
	} {
		if got := fraction(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func TestWordsClaimNoMoreThanIntervals(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]analysis.Estimate{
		"more than half": {Value: 0.56, Lower: 0.53, Upper: 0.59}, "about half": {Value: 0.55, Lower: 0.47, Upper: 0.62}, "almost half": {Value: 0.45, Lower: 0.42, Upper: 0.49},
		"about two thirds": {Value: 0.64, Lower: 0.49, Upper: 0.7},
	} {
		if got := part(e); got != want {
			t.Errorf("%v: %q, want %q", e.Value, got, want)
		}
	}
	if got := part(analysis.Estimate{Value: 0.46, Lower: 0.4, Upper: 0.52}); got != "about half" {
		t.Errorf("0.46 up to 0.52: %q", got)
	}
}

func TestLegibleTextSteersNothing(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"plain text": "plain text", "\x1b[31m": `\u{001b}[31m`, "a\u202eb": `a\u{202e}b`, "\xffx": `\xffx`, "line\nbreak": `line\u{000a}break`,
		"日本": "日本", "\ufffd": "\ufffd", strings.Repeat("é", 121): strings.Repeat("é", 120) + "…",
	} {
		if got := legible(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
	if got := named(" \u00a0 ", "nobody"); got != "nobody" {
		t.Errorf("a blank name reads %q", got)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "–", 20 * time.Millisecond: "20 ms", 90 * time.Second: "90 s", 30 * time.Minute: "30 min", 26 * time.Hour: "26.0 h", 72 * time.Hour: "3.0 days"} {
		if got := lasting(d); got != strings.ReplaceAll(want, " ", nbsp) {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// Crawls of others don't tell how many requests they sent.
func TestAsked(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]reachability.Crawl{"–": {Discovered: 7}, "0": {}, count(1200): {Discovered: 7, Queries: 1200}} {
		if have := asked(c); have != want {
			t.Errorf("%d requests to %d peers are %q, want %q", c.Queries, c.Discovered, have, want)
		}
	}
}

// What a spreadsheet takes for a formula is none in a table for programs.
func TestNoCellIsAFormula(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\u00a0=1", "＝1+1", "＋1", "－1", "＠a"} {
		if cell := plainCell(s); !strings.HasPrefix(cell, "'") {
			t.Errorf("%q is written as %q", s, cell)
		}
	}
	for s, want := range map[string]string{"-2.5": "-2.5", "+3": "3", "12\u00a0345": "12345", "kubo/0.29": "kubo/0.29", "": ""} {
		if cell := plainCell(s); cell != want {
			t.Errorf("%q is written as %q, want %q", s, cell, want)
		}
	}
}
