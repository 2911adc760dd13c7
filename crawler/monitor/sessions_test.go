package monitor

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

// session is one row of the view sessions.
type session struct {
	downBefore, downAfter *time.Time
	firstUp, lastUp       time.Time
	reason                string
}

// TestSessionsAgreeWithThePlan watches 2,000 planned peers for a simulated day
// with crawls every half hour, two restarts of the observer and an outage of
// our own network, keeps everything in the real engine, and holds the sessions
// that the view gives against the planned ones.
func TestSessionsAgreeWithThePlan(t *testing.T) {
	storetest.NeedEngine(t)
	const horizon = 24 * time.Hour
	var p *plan
	var r record
	var start time.Time
	var longest time.Duration
	synctest.Test(t, func(t *testing.T) {
		start = time.Now()
		p = newPlan(rand.New(rand.NewPCG(1, 2)), 2000, start, horizon, time.Hour, 40*time.Minute)
		p.outage = span{start.Add(7 * time.Hour), start.Add(7*time.Hour + 10*time.Minute)}
		cfg := testConfig(p, &r)
		longest = cfg.withDefaults().Longest
		observe(p, &r, cfg, horizon, 30*time.Minute, 5*time.Hour, 11*time.Hour+7*time.Minute)
	})
	got := recordedSessions(t, &r)
	watchedFrom := map[string]time.Time{} // when the observer met the peer
	for _, v := range r.visits {
		if _, met := watchedFrom[v.PeerID]; !met && v.Outcome == observation.Answered {
			watchedFrom[v.PeerID] = v.VisitedAt
		}
	}
	// A peer is asked again within the longest wait, and a round takes a while.
	interval := longest + time.Minute
	long, wrong, falsely := 0, 0, 0
	for i, peer := range p.peers {
		met, known := watchedFrom[peer.PeerID]
		for _, s := range p.spans[i] {
			if !known || s.to.Sub(s.from) <= 2*interval || s.from.Before(met) || s.to.After(start.Add(horizon-2*interval)) {
				continue
			}
			if blind := (span{p.outage.from.Add(-interval), p.outage.to.Add(2 * time.Minute)}); inside(blind, s.from) || inside(blind, s.to) {
				continue // our outage, and the time that we take to trust our network again, make its interval longer
			}
			long++
			if !agrees(s, got[peer.PeerID], interval) {
				if wrong++; wrong <= 5 {
					t.Errorf("peer %d: planned %s to %s, recorded %+v", i, s.from.Sub(start), s.to.Sub(start), describe(got[peer.PeerID], start))
				}
			}
		}
		for _, s := range got[peer.PeerID] {
			if s.reason == "departed" && !slices.ContainsFunc(p.spans[i], func(true span) bool { return !true.to.Before(s.lastUp) && !true.to.After(*s.downAfter) }) {
				falsely++
				t.Errorf("peer %d: no departure was planned between %s and %s", i, s.lastUp.Sub(start), s.downAfter.Sub(start))
			}
		}
	}
	t.Logf("%d probes, %d visits, %d planned sessions longer than two intervals, %d recorded otherwise, %d false departures", len(r.probes), len(r.visits), long, wrong, falsely)
	if long < 500 || wrong > 0 || falsely > 0 {
		t.Errorf("%d sessions compared, %d disagree, %d false departures", long, wrong, falsely)
	}
}

// agrees says whether exactly one recorded session overlaps the planned one,
// and each of its ends lies in the recorded interval, which is no longer than
// one probe interval.
func agrees(s span, recorded []session, interval time.Duration) bool {
	var overlapping []session
	for _, r := range recorded {
		if r.firstUp.Before(s.to) && !r.lastUp.Before(s.from) {
			overlapping = append(overlapping, r)
		}
	}
	if len(overlapping) != 1 {
		return false
	}
	r := overlapping[0]
	const ms = time.Millisecond // what the record keeps of a time
	return r.downBefore != nil && r.downAfter != nil && r.reason == "departed" &&
		!r.downBefore.After(s.from) && !r.firstUp.Before(s.from.Add(-ms)) && r.firstUp.Sub(*r.downBefore) <= interval &&
		!r.lastUp.After(s.to) && !r.downAfter.Before(s.to.Add(-ms)) && r.downAfter.Sub(r.lastUp) <= interval
}

func describe(list []session, start time.Time) (out []string) {
	for _, s := range list {
		text := s.firstUp.Sub(start).String() + " to " + s.lastUp.Sub(start).String() + " " + s.reason
		if s.downBefore != nil {
			text = "after " + s.downBefore.Sub(start).String() + " " + text
		}
		if s.downAfter != nil {
			text += " before " + s.downAfter.Sub(start).String()
		}
		out = append(out, text)
	}
	return out
}

// recordedSessions keeps the record in the embedded engine and reads it back.
func recordedSessions(t *testing.T, r *record) map[string][]session {
	t.Helper()
	ctx := context.Background()
	s := storetest.Migrated(t, "chdb:"+t.TempDir())
	for _, c := range r.crawls {
		if err := s.BeginCrawl(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{s.Visits(ctx, slices.Clone(r.visits)), s.Probes(ctx, slices.Clone(r.probes)), s.Flush(ctx)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range r.crawls {
		if err := s.EndCrawl(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.DB().QueryContext(ctx, "SELECT peer_id, last_down_before, first_up, last_up, first_down_after, reason FROM sessions ORDER BY first_up")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	sessions := map[string][]session{}
	for rows.Next() {
		var peer string
		var x session
		if err := rows.Scan(&peer, &x.downBefore, &x.firstUp, &x.lastUp, &x.downAfter, &x.reason); err != nil {
			t.Fatal(err)
		}
		sessions[peer] = append(sessions[peer], x)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sessions
}
