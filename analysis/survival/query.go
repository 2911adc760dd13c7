package survival

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"canopy/analysis"
)

// Watched is one session and what the record last knew of its peer.
type Watched struct {
	Spell
	Hosting      string
	Agent        string
	ASN          uint32
	Organisation string
	Country      string
	Reason       string // departed, changed_identity, gap or open
}

// Watch is what the probes of a period show of the peers of one network, seen
// from one vantage: what two see of a peer doesn't mix, as one may reach it and
// the other not.
type Watch struct {
	Vantage      string    // with the most probes in the period
	Elsewhere    int       // probes from other vantages, left out
	From, To     time.Time // first and last probe
	Probes       int       // that count: not those of void rounds, unless answered
	Peers        int       // that were probed
	Availability float64   // mean over peers of the share of their probes that were answered
	Spread       float64   // standard deviation of that share over peers
	Sessions     []Watched
}

// placeSQL is the vantage of a probe or session. Rows from before they had one
// belong to the only vantage there is, if there is one, as in the view sessions.
const placeSQL = `if(toString(vantage) = '', ifNull((SELECT if(uniqExact(toString(vantage)) = 1, any(toString(vantage)), '') FROM crawls), ''), toString(vantage))`

// vantagesSQL counts the probes of a window by vantage.
const vantagesSQL = `
SELECT ` + placeSQL + ` AS place, count() AS n
FROM probes
WHERE network = @network AND toUnixTimestamp64Milli(probed_at) >= @from AND toUnixTimestamp64Milli(probed_at) < @to
GROUP BY place ORDER BY n DESC, place`

// watchSQL sums up the probes of a window.
const watchSQL = `
SELECT min(first), max(last), sum(n), count(), if(isFinite(avg(up / n) AS mean), mean, 0), if(isFinite(stddevSamp(up / n) AS spread), spread, 0)
FROM (
    SELECT toUnixTimestamp64Milli(min(probed_at)) AS first, toUnixTimestamp64Milli(max(probed_at)) AS last, count() AS n, countIf(outcome = 'answered') AS up
    FROM probes
    WHERE network = @network AND ` + placeSQL + ` = @vantage AND (control_ok = 1 OR outcome = 'answered')
      AND toUnixTimestamp64Milli(probed_at) >= @from AND toUnixTimestamp64Milli(probed_at) < @to
      AND peer_id IN (SELECT peer_id FROM visits WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls))))
    GROUP BY sipHash128(peer_id, address, port)
)
HAVING count() > 0`

// sessionsSQL reads the sessions that reach into a window, each with what its peer showed
// when it answered a visit last. -1 stands for an end that is not known.
const sessionsSQL = `
SELECT sipHash64(s.peer_id), toUnixTimestamp64Milli(s.first_up),
       if(isNull(s.last_down_before), -1, dateDiff('millisecond', assumeNotNull(s.last_down_before), s.first_up)),
       dateDiff('millisecond', s.first_up, s.last_up),
       if(isNull(s.first_down_after), -1, dateDiff('millisecond', s.last_up, assumeNotNull(s.first_down_after))),
       s.reason, v.last.1, v.last.2, v.last.3, v.last.4, v.last.5
FROM (SELECT * FROM sessions WHERE network = @network AND ` + placeSQL + ` = @vantage AND toUnixTimestamp64Milli(last_up) >= @from AND toUnixTimestamp64Milli(first_up) < @to) AS s
INNER JOIN (
    SELECT peer_id, argMax((toString(hosting), toString(agent), asn, toString(organisation), toString(country)), (outcome = 'answered', visited_at)) AS last
    FROM visits
    WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls))) AND peer_id IN (SELECT peer_id FROM probes WHERE network = @network)
    GROUP BY peer_id
) AS v ON v.peer_id = s.peer_id
ORDER BY s.first_up, s.peer_id`

// Read reads what the probes in a window show of the peers that some crawls of
// one network visited; nil if there are none. A zero end of the window is open.
func Read(ctx context.Context, q analysis.Querier, network string, crawls []string, in analysis.Window) (*Watch, error) {
	from, to := int64(0), int64(math.MaxInt64)
	if !in.From.IsZero() {
		from = in.From.UnixMilli()
	}
	if !in.To.IsZero() {
		to = in.To.UnixMilli()
	}
	args := []any{sql.Named("network", network), sql.Named("crawls", crawls), sql.Named("from", from), sql.Named("to", to)}
	vantage, elsewhere, err := mainVantage(ctx, q, args)
	if err != nil {
		return nil, err
	}
	args = append(args, sql.Named("vantage", vantage))
	w, err := readWatch(ctx, q, args)
	if err != nil || w == nil {
		return nil, err
	}
	w.Vantage, w.Elsewhere = vantage, elsewhere
	rows, err := q.QueryContext(ctx, sessionsSQL, args...)
	if err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s Watched
		var began, before, seen, after int64
		if err := rows.Scan(&s.Peer, &began, &before, &seen, &after, &s.Reason, &s.Hosting, &s.Agent, &s.ASN, &s.Organisation, &s.Country); err != nil {
			return nil, fmt.Errorf("read sessions: %w", err)
		}
		s.Began, s.Before, s.Seen, s.After = time.UnixMilli(began).Sub(w.From), span(before), max(0, span(seen)), span(after)
		s.clip(began >= from, in.To.Sub(w.From), in.To.IsZero())
		w.Sessions = append(w.Sessions, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	return w, nil
}

// clip takes from a session what lies outside of a window that begins before
// the watch, and ends when it has lasted for a while, unless it is open: the age
// of one that did not begin in the window is not known in it, nor an end that
// came later.
func (s *Watched) clip(within bool, lasts time.Duration, open bool) {
	if !within {
		s.Before, s.Seen = Open, max(0, s.Seen+min(0, s.Began))
	}
	s.Began = max(0, s.Began)
	if open {
		return
	}
	if s.Seen = min(s.Seen, lasts-s.Began); s.After >= 0 && s.Began+s.Seen+s.After >= lasts {
		s.After, s.Reason = Open, "open"
	}
}

// span makes milliseconds a duration; less than none are an open end.
func span(ms int64) time.Duration {
	if ms < 0 {
		return Open
	}
	return time.Duration(ms) * time.Millisecond
}

// mainVantage is the vantage with the most probes, and how many others made.
func mainVantage(ctx context.Context, q analysis.Querier, args []any) (vantage string, elsewhere int, err error) {
	rows, err := q.QueryContext(ctx, vantagesSQL, args...)
	if err != nil {
		return "", 0, fmt.Errorf("read vantages of probes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for first := true; rows.Next(); first = false {
		var name string
		var n uint64
		if err := rows.Scan(&name, &n); err != nil {
			return "", 0, fmt.Errorf("read vantages of probes: %w", err)
		}
		if first {
			vantage = name
		} else {
			elsewhere += int(n)
		}
	}
	if err := rows.Err(); err != nil {
		return "", 0, fmt.Errorf("read vantages of probes: %w", err)
	}
	return vantage, elsewhere, nil
}

func readWatch(ctx context.Context, q analysis.Querier, args []any) (*Watch, error) {
	rows, err := q.QueryContext(ctx, watchSQL, args...)
	if err != nil {
		return nil, fmt.Errorf("read probes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var w *Watch
	for rows.Next() {
		var first, last int64
		var probes, peers uint64
		w = &Watch{}
		if err := rows.Scan(&first, &last, &probes, &peers, &w.Availability, &w.Spread); err != nil {
			return nil, fmt.Errorf("read probes: %w", err)
		}
		w.From, w.To, w.Probes, w.Peers = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC(), int(probes), int(peers)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read probes: %w", err)
	}
	return w, nil
}
