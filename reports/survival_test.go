package reports

import (
	"database/sql"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/analysis/survival"
	"canopy/crawler/observation"
)

// watched records probes of 120 peers every ten minutes over three days: those
// on home connections stay for two hours on average, the others for eight.
func watched(network string) []observation.Probe {
	rng := rand.New(rand.NewPCG(1, 2))
	var probes []observation.Probe
	for _, p := range population(network)[:120] {
		up, left := rng.IntN(2) == 0, 0.0
		stay := 8 * 60.0
		if p.facts.Hosting == observation.HostingResidential {
			stay = 2 * 60
		}
		for minute := rng.Float64() * 10; minute < 72*60; minute += 10 {
			for left -= 10; left < 0; {
				up = !up
				left += rng.ExpFloat64() * stay
			}
			probe := observation.Probe{
				Network: network, PeerID: p.id, Address: netip.AddrPortFrom(netip.MustParseAddr(p.address), 6881),
				ProbedAt: day.Add(time.Duration(minute * float64(time.Minute))), Outcome: observation.Timeout, ControlOK: true,
			}
			if up {
				probe.Outcome = observation.Answered
			}
			probes = append(probes, probe)
		}
	}
	return probes
}

func TestReportOfAWatch(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(4, 24*time.Hour, observation.ScopeLocal), population("alpha"))
	must(t, s.Probes(t.Context(), watched("alpha")))
	must(t, s.Flush(t.Context()))
	r := build(t, s.DB())
	v := r.Networks[0].Survival
	if v == nil || v.Absent != "" || v.Turnbull == nil || v.Created == nil {
		t.Fatalf("survival: %+v", v)
	}
	if v.Watched != 120 || v.Shortest != 10*time.Minute || math.Abs(v.Availability.Value-0.5) > 0.06 {
		t.Errorf("%d watched, shortest %v, availability %v", v.Watched, v.Shortest, v.Availability.Value)
	}
	medians := map[string]float64{}
	for _, p := range v.ByHosting {
		if p.Kaplan != nil {
			medians[p.Class] = p.Kaplan.Quartiles[1].Seconds.Value / 60
		}
	}
	// A mean of two hours from 20 minutes on: 20 + 120 ln 2 minutes.
	if m := medians["residential"]; math.Abs(m-(20+120*math.Ln2)) > 25 {
		t.Errorf("median on home connections: %.0f min", m)
	}
	if medians["hosting"] < 2*medians["residential"] {
		t.Errorf("medians: %v", medians)
	}
	html := checkNumbers(t, r)
	for _, want := range []string{"Shortest session that can be seen", "Create-based", "Availability", "Half of the sessions"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// What the interval leaves open is not said as if it were known, nor is what
// lies within the doubt.
func TestSurvivalSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	curve := func(value, lower, upper float64, reached, open bool) *survival.Curve {
		q := survival.Quantile{Share: 0.5, Seconds: analysis.Estimate{Value: value, Lower: lower, Upper: upper, Level: 0.95}, Reached: reached, OpenEnds: open}
		return &survival.Curve{Quartiles: []survival.Quantile{q, q, q}}
	}
	s := Survival{Result: survival.Result{From: 3 * time.Minute}}
	for want, c := range map[string]*survival.Curve{
		"are over after 20 min": curve(1200, 1100, 1300, true, false), "last longer than 18 min": curve(1200, 1135, 1300, true, true), "last longer than 15 min": curve(980, 959, 980, false, true),
	} {
		s.Turnbull = c
		if got := s.finding(); got != strings.ReplaceAll("Half of the sessions of at least 3 min "+want, " min", nbsp+"min") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	part := func(class string, c *survival.Curve) Part { return Part{class, survival.Result{Kaplan: c}} }
	s.ByHosting = []Part{part("mobile", curve(600, 500, 700, true, false)), part("anonymiser", curve(720, 610, 900, true, false))}
	if got := s.landFinding(); !strings.Contains(got, "does not differ clearly") {
		t.Error(got)
	}
	s.ByHosting[1] = part("hosting", curve(7200, 6000, 7200, true, true))
	if got := s.landFinding(); !strings.Contains(got, "of at least 3\u00a0min are over after 10\u00a0min") {
		t.Error(got)
	}
	// A few sessions of an extreme median don't hide what differs.
	s.ByHosting = append(s.ByHosting, part("residential", curve(590, 400, 900, true, true)), part("institutional", curve(9000, 300, 9000, true, true)))
	if got := s.landFinding(); !strings.Contains(got, "over after 10\u00a0min on mobile networks, and after 2.0\u00a0h on commercial land") {
		t.Error(got)
	}
}

// Of a period the page tells what happened in it: ends that came later are not
// known yet, and the age of sessions from before is not.
func TestWatchOfAPeriod(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(4, 24*time.Hour, observation.ScopeLocal), population("alpha"))
	must(t, s.Probes(t.Context(), watched("alpha")))
	must(t, s.Flush(t.Context()))
	from, to := day.Add(12*time.Hour), day.Add(60*time.Hour)
	r, err := Build(t.Context(), s.DB(), Options{From: from, To: to, Generated: day.AddDate(0, 1, 0)})
	must(t, err)
	var begun, underWay, ended int
	must(t, s.DB().QueryRowContext(t.Context(), "SELECT toInt64(countIf(last_down_before IS NOT NULL AND first_up >= @from)), toInt64(countIf(last_down_before IS NULL OR first_up < @from)), "+
		"toInt64(countIf(reason = 'departed' AND first_down_after < @to)) FROM sessions WHERE last_up >= @from AND first_up < @to", sql.Named("from", from), sql.Named("to", to)).Scan(&begun, &underWay, &ended))
	v := r.Networks[0].Survival
	if v == nil || begun == 0 || underWay == 0 || v.Arrivals != begun || v.AlreadyUp != underWay || v.Departures != ended {
		t.Errorf("%d begun, %d under way and %d ended in the period: %+v", begun, underWay, ended, v)
	}
	if v.Sessions != begun+underWay {
		t.Errorf("%d sessions of %d", v.Sessions, begun+underWay)
	}
	checkNumbers(t, r)
}
