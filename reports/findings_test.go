package reports

import (
	"math"
	"strings"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/analysis/shares"
	"canopy/crawler/observation"
)

// A change is clear when the interval of the difference leaves out zero, as it
// is between periods: intervals of the ends that overlap a little do not hide it.
func TestTrendsCompareAsPeriodsDo(t *testing.T) {
	t.Parallel()
	of := func(first, last int) Trend {
		return Trend{"x", []analysis.Estimate{shares.Proportion(first, 2000, "u", "peers"), shares.Proportion(last, 2000, "u", "peers")}}
	}
	for want, trend := range map[string]Trend{"fell from 74": of(1480, 1408), "rose from 70": of(1408, 1480), "did not change clearly": of(1480, 1450)} {
		if got := trendFinding(trend, "peers"); !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	first, last := of(1480, 1408).Shares[0], of(1480, 1408).Shares[1]
	if last.Upper < first.Lower {
		t.Fatal("the intervals do not overlap, so this tells nothing")
	}
}

func TestIndicesKeepTheirIntervals(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]analysis.Estimate{
		"0.18 (0.14–0.21)": {Value: 0.1771, Lower: 0.1401, Upper: 0.2105}, "0.100 (0.096–0.103)": {Value: 0.0997, Lower: 0.0964, Upper: 0.1029},
	} {
		if got := index(e); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A crawl that was cut short is in no share, that of those who answered included.
func TestCutShortIsNoShareOfAnswers(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	crawls := crawlsEvery(3, time.Hour, observation.ScopeGlobal)
	crawls[2].state = observation.CutShort
	var peers []plannedPeer
	for _, p := range population("alpha") {
		up := p.up
		p.up = func(crawl int) observation.Outcome {
			if crawl == 2 {
				return observation.Timeout
			}
			return up(crawl)
		}
		peers = append(peers, p)
	}
	write(t, s, alpha, crawls, peers)
	n := build(t, s.DB()).Networks[0]
	want := 0.0
	for _, c := range n.Crawls[:2] {
		want += float64(c.Reachable) / float64(c.Discovered) / 2
	}
	if n.Answered == nil || math.Abs(n.Answered.Value-want) > 1e-9 {
		t.Errorf("%+v answered, planned %v", n.Answered, want)
	}
	for _, o := range n.Outcomes {
		if len(o.Counts) != 2 {
			t.Errorf("%s: %v, of two whole crawls", o.Outcome.Outcome, o.Counts)
		}
	}
	if caption := n.outcomeCaption(); !strings.Contains(caption, "in 2\u00a0crawls") {
		t.Error(caption)
	}
}

// No figure goes without unit, n and interval, or without saying that it is a
// full count.
func TestCaptionsSayUnitNumberAndInterval(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(4, time.Hour, observation.ScopeGlobal), population("alpha"))
	writeTables(t, s, tabled, func(i int) string { return []string{"One", "Two", "Three"}[i%3] })
	for _, n := range build(t, s.DB()).Networks {
		drawn, err := n.figures()
		must(t, err)
		for name, f := range drawn {
			for _, part := range []string{"Unit: ", "n\u00a0=\u00a0", "interval"} {
				if !strings.Contains(strings.ToLower(f.Caption), strings.ToLower(part)) {
					t.Errorf("%s %s: the caption does not say %q: %s", n.Name, name, part, f.Caption)
				}
			}
			if name == "clearcut" && !strings.Contains(f.Caption, "1\u00a0998\u00a0lookups in all") {
				t.Errorf("lookups on random sets: %s", f.Caption)
			}
		}
	}
}
