package store

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/testnet/process"
)

func TestSessions(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) { testSessions(t, b.url(t, emptyDatabase())) })
	}
}

// sessionStart is the minute 0 of the stories below.
var sessionStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// story is what probes saw of one peer: a letter for every ten minutes. U
// answered, D silent, W somebody else answered, B turned us away, V silent and
// v answered in a void round, and a dot where nobody asked.
type story struct{ peer, letters string }

func (s story) probes(network string) []observation.Probe {
	var probes []observation.Probe
	for i, letter := range s.letters {
		p := observation.Probe{
			Network: network, PeerID: s.peer, Address: netip.MustParseAddrPort("127.0.0.1:6881"),
			ProbedAt: sessionStart.Add(time.Duration(i) * 10 * time.Minute), ControlOK: letter != 'V' && letter != 'v',
		}
		switch letter {
		case 'U', 'v':
			p.Outcome, p.RTT = observation.Answered, time.Millisecond
		case 'W':
			p.Outcome = observation.WrongIdentity
		case 'B':
			p.Outcome = observation.Busy
		case 'D', 'V':
			p.Outcome = observation.Timeout
		default:
			continue
		}
		probes = append(probes, p)
	}
	return probes
}

const readSessions = `SELECT peer_id, ifNull(toString(dateDiff('minute', toDateTime64('2026-03-01 12:00:00', 3, 'UTC'), last_down_before)), '-'),
	dateDiff('minute', toDateTime64('2026-03-01 12:00:00', 3, 'UTC'), first_up), dateDiff('minute', toDateTime64('2026-03-01 12:00:00', 3, 'UTC'), last_up),
	ifNull(toString(dateDiff('minute', toDateTime64('2026-03-01 12:00:00', 3, 'UTC'), first_down_after)), '-'), probes, reason
	FROM sessions ORDER BY peer_id, first_up`

func testSessions(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	wantRows(t, s, "SELECT count() FROM sessions", "0")
	var probes []observation.Probe
	for _, s := range []story{
		{"a-closed", "DDUUUDD"},
		{"b-one-miss-closes-nothing", "UDUUDU"},
		{"c-still-up", "DDUUD"},
		{"d-void-rounds-close-nothing", "UUVVVUU"},
		{"e-another-identity", "UUWWW"},
		{"f-left-then-replaced", "UUDDWW"},
		{"g-nobody-looked-for-two-hours", "UU............UU"},
		{"h-looked-once-in-two-hours", "U......D......U"},
		{"i-two-sessions", "UDDUUDDD"},
		{"j-busy-is-not-away", "UBBBU"},
		{"k-never-up", "DDDD"},
		{"l-one-miss-before", "DU"},
		{"n-an-answer-is-an-answer", "DDvUDvD"},
		{"m-away-while-nobody-looked", "U............DD"},
	} {
		probes = append(probes, s.probes("mainline")...)
	}
	for range 2 { // a replay changes nothing
		if err := s.Probes(ctx, append([]observation.Probe(nil), probes...)); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	wantRows(t, s, readSessions,
		"a-closed 10 20 40 50 3 departed",
		"b-one-miss-closes-nothing - 0 50 - 4 open",
		"c-still-up 10 20 30 - 2 open",
		"d-void-rounds-close-nothing - 0 60 - 4 open",
		"e-another-identity - 0 10 - 2 changed_identity",
		"f-left-then-replaced - 0 10 20 2 departed",
		"g-nobody-looked-for-two-hours - 0 10 - 2 gap",
		"g-nobody-looked-for-two-hours - 140 150 - 2 open",
		"h-looked-once-in-two-hours - 0 0 - 1 gap",
		"h-looked-once-in-two-hours - 140 140 - 1 open",
		"i-two-sessions - 0 0 10 1 departed",
		"i-two-sessions 20 30 40 50 2 departed",
		"j-busy-is-not-away - 0 40 - 2 open",
		"l-one-miss-before - 10 10 - 1 open",
		"m-away-while-nobody-looked - 0 0 130 1 departed",
		"n-an-answer-is-an-answer 10 20 50 - 3 open",
	)
}

// What two observers see of a peer are sessions of each; and a span of time
// tells what can be known from what was recorded in it.
func TestSessionsOfVantagesAndSpans(t *testing.T) {
	ctx := context.Background()
	s := migrated(t, embeddedURL(t, emptyDatabase()), Options{})
	for vantage, letters := range map[string]string{"here": "DDUUUUDD", "there": "UUUUUUUU"} {
		probes := story{"peer", letters}.probes("mainline")
		for i := range probes {
			probes[i].Vantage = vantage
		}
		if err := s.Probes(ctx, probes); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	const read = "SELECT vantage, ifNull(toString(dateDiff('minute', first_up, last_up)), '-'), isNull(last_down_before), isNull(first_down_after), probes, reason FROM "
	wantRows(t, s, read+"sessions ORDER BY vantage",
		"here 30 0 0 4 departed", "there 70 1 1 8 open")
	wantRows(t, s, read+"sessions_between(from = '2026-03-01 12:20:00', to = '2026-03-01 12:50:00') ORDER BY vantage",
		"here 20 1 1 3 open", "there 20 1 1 3 open")
	wantRows(t, s, read+"sessions_between(from = '2026-04-01 00:00:00', to = '2026-05-01 00:00:00')")
}

// Visits of crawls count like probes, but only of peers that are watched, and
// failures only in crawls without trouble of their own. Whether an endpoint is
// part of a peer's identity is told by the network's description.
func TestSessionsFromCrawls(t *testing.T) {
	ctx := context.Background()
	s := migrated(t, embeddedURL(t, emptyDatabase()), Options{})
	visit := func(network, identity, peer, addr string, minute int, outcome observation.Outcome, state observation.State) {
		t.Helper()
		c := newCrawl(network)
		c.State, c.Settings = state, fmt.Sprintf(`{"network": {"name": %q, "identity": %q}}`, network, identity)
		v := observation.Visit{
			Network: network, CrawlID: c.ID, Number: 1, PeerID: peer, Address: netip.MustParseAddrPort(addr),
			VisitedAt: sessionStart.Add(time.Duration(minute) * time.Minute), Outcome: outcome,
		}
		store(t, s, c, []observation.Visit{v}, nil)
	}
	probe := func(network, peer, addr string, minute int, outcome observation.Outcome) {
		t.Helper()
		p := observation.Probe{
			Network: network, PeerID: peer, Address: netip.MustParseAddrPort(addr), ControlOK: true, Outcome: outcome,
			ProbedAt: sessionStart.Add(time.Duration(minute) * time.Minute),
		}
		if err := s.Probes(ctx, []observation.Probe{p}); err != nil {
			t.Fatal(err)
		}
	}
	const here, there = "127.0.0.1:1", "127.0.0.2:2"
	visit("ipfs", "peer ID", "crawled-only", here, 0, observation.Answered, observation.Complete)
	visit("ipfs", "peer ID", "moves", here, 0, observation.Answered, observation.Complete)
	probe("ipfs", "moves", there, 20, observation.Answered)
	visit("ipfs", "peer ID", "leaves", here, 0, observation.Answered, observation.CutShort)
	visit("ipfs", "peer ID", "leaves", here, 10, observation.Timeout, observation.Degraded)
	visit("ipfs", "peer ID", "leaves", here, 20, observation.Timeout, observation.Complete)
	probe("ipfs", "leaves", here, 30, observation.Timeout)
	visit("mainline", "node ID and endpoint", "two-places", here, 0, observation.Answered, observation.Complete)
	probe("mainline", "two-places", there, 10, observation.Timeout)
	probe("mainline", "two-places", there, 20, observation.Timeout)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, readSessions,
		"leaves - 0 0 20 1 departed",
		"moves - 0 20 - 2 open",
		"two-places - 0 0 - 1 open",
	)
	wantRows(t, s, "SELECT peer_id, IPv6NumToString(address), port FROM sessions WHERE network = 'ipfs' ORDER BY peer_id",
		"leaves ::ffff:127.0.0.1 1", "moves ::ffff:127.0.0.2 2")
}

// The view and observation.Presence must read outcomes alike.
func TestSessionsKnowEveryOutcome(t *testing.T) {
	ctx := context.Background()
	s := migrated(t, embeddedURL(t, emptyDatabase()), Options{})
	var probes []observation.Probe
	for _, o := range observation.Outcomes() {
		for minute, outcome := range []observation.Outcome{observation.Answered, o, o} {
			probes = append(probes, observation.Probe{
				Network: "ipfs", PeerID: string(o), ProbedAt: sessionStart.Add(time.Duration(minute) * time.Minute), Outcome: outcome, ControlOK: true,
			})
		}
	}
	if err := s.Probes(ctx, probes); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := s.DB().Query("SELECT peer_id, probes, reason FROM sessions")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var peer, reason string
		var answers uint32
		if err := rows.Scan(&peer, &answers, &reason); err != nil {
			t.Fatal(err)
		}
		seen++
		got := observation.Undecided
		switch {
		case answers == 3:
			got = observation.Up
		case reason == "departed" || reason == "changed_identity":
			got = observation.Down
		}
		if want := observation.Outcome(peer).Presence(); got != want {
			t.Errorf("%s: the view says %d (%s), observation %d", peer, got, reason, want)
		}
	}
	if rows.Err() != nil || seen != len(observation.Outcomes()) {
		t.Errorf("%d outcomes seen, %v", seen, rows.Err())
	}
}

// BenchmarkSessions reads a month of sessions from ten million probes.
func BenchmarkSessions(b *testing.B) {
	ctx := context.Background()
	needEngine(b)
	s := migrated(b, "chdb:"+dataDir+"?database="+newDatabase(), Options{})
	const peers, each = 5000, 2000 // each is asked every 21 minutes or so
	if err := s.conn.Exec(ctx, fmt.Sprintf(`INSERT INTO probes_log (network, peer_id, address, port, probed_at, outcome, rtt_ms, control_ok)
		SELECT 'mainline', lower(hex(SHA1(toString(peer)))), toIPv6('::ffff:127.0.0.1'), 1, toDateTime64('2026-03-01 00:00:00', 3, 'UTC') + INTERVAL n * 1339 + rand(1) %% 600 SECOND,
			if(intDiv(n, 1 + cityHash64(peer) %% 40) %% 2 = 0, 'answered', 'timeout'), 10, rand(2) %% 200 != 0
		FROM (SELECT intDiv(number, %d) AS peer, number %% %d AS n FROM numbers(%d))`, each, each, peers*each)); err != nil {
		b.Fatal(err)
	}
	before := process.CPU()
	for b.Loop() {
		var sessions uint64
		var days float64
		err := s.conn.QueryRow(ctx, `SELECT count(), sum(dateDiff('second', first_up, last_up)) / 86400 FROM sessions
			WHERE network = 'mainline' AND last_up >= '2026-03-01' AND first_up < '2026-04-01'`).Scan(&sessions, &days)
		if err != nil || sessions < peers {
			b.Fatal(sessions, err)
		}
		b.ReportMetric(float64(sessions), "sessions")
	}
	b.ReportMetric(peers*each*float64(b.N)/b.Elapsed().Seconds(), "probes/s")
	b.ReportMetric((process.CPU()-before).Seconds()/float64(b.N), "cpu-s/op")
}
