package findability

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"canopy/analysis"
	"canopy/analysis/operator"
)

// where picks the checks of one network and scope in a period.
const where = `network = @network AND scope = @scope AND toUnixTimestamp64Milli(started_at) >= @from AND toUnixTimestamp64Milli(started_at) < @to`

// latestSQL reads the latest check of everything that was checked.
const latestSQL = `
SELECT kind, subject, name, source, clients, toUnixTimestamp64Milli(checked_at), outcome, detail,
       toFloat64(ifNull(took_ms, 0)), toFloat64(ifNull(first_ms, 0)), toFloat64(ifNull(rtt_ms, 0)),
       queries, hops, answered, closest, k, namers, found, cut, named, seeds, leechers, filters, full_filters,
       holder_peer_ids, holder_agents, holder_asns, holder_organisations, holder_countries, holder_hostings, holder_counts
FROM checks
WHERE ` + where + `
ORDER BY checked_at DESC, number DESC
LIMIT 1 BY kind, subject`

// countSQL counts the answers of a period.
const countSQL = `
SELECT kind, subject, count(), countIf(outcome IN ('found', 'entered', 'answered')),
       countIf(first_ms > 0), quantilesExactInclusiveIf(0.25, 0.5, 0.75)(toFloat64(ifNull(first_ms, 0)), first_ms > 0) AS q, q[1], q[2], q[3]
FROM checks WHERE ` + where + ` GROUP BY kind, subject`

// runsSQL sums a period up.
const runsSQL = `
SELECT uniqExact(run_id), toUnixTimestamp64Milli(min(checked_at)), toUnixTimestamp64Milli(max(checked_at)), arraySort(groupUniqArray(vantage))
FROM checks WHERE ` + where

// agentsSQL tells what peers called their program when they last answered.
const agentsSQL = `
SELECT peer_id, argMax(agent, visited_at) FROM visits
WHERE network = @network AND outcome = 'answered' AND peer_id IN (SELECT arrayJoin(@peers)) GROUP BY peer_id`

// peersAtOnce keeps a query below the length that ClickHouse takes, 256 KiB.
const peersAtOnce = 2000

// row is the latest check of one subject.
type row struct {
	kind, subject, name, source string
	clients                     []string
	latest                      Latest
	groups                      []group
}

// group is holders on the same land.
type group struct {
	traits operator.Traits
	count  int
}

type counts struct {
	times, yes int
	first      *Duration
}

// Read computes what the record says of one network in one scope. It returns
// nil if nothing was checked in the period.
func Read(ctx context.Context, q analysis.Querier, rules *operator.Rules, network, scope string, w analysis.Window) (*Result, error) {
	in := reader{q: q, network: network, args: arguments(network, scope, w)}
	r := &Result{}
	if err := in.runs(ctx, r); err != nil {
		return nil, fmt.Errorf("read checks: %w", err)
	}
	if r.Runs == 0 {
		return nil, nil
	}
	totals, err := in.counts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count checks: %w", err)
	}
	rows, err := in.latest(ctx)
	if err != nil {
		return nil, fmt.Errorf("read latest checks: %w", err)
	}
	if err := in.agents(ctx, rows); err != nil {
		return nil, fmt.Errorf("read agents of providers: %w", err)
	}
	for _, row := range rows {
		c := totals[[2]string{row.kind, row.subject}]
		switch row.kind {
		case "content":
			r.Content = append(r.Content, item(rules, row, c))
		case "entry_point":
			r.Entries = append(r.Entries, entry(rules, row, c, totals))
		case "start":
			r.Starts = append(r.Starts, Start{row.subject, share(c.yes, c.times, "share of starts that led into the network", "starts")})
		}
	}
	r.order()
	r.conclude()
	r.warn()
	return r, nil
}

func arguments(network, scope string, w analysis.Window) []any {
	from, to := int64(0), int64(math.MaxInt64)
	if !w.From.IsZero() {
		from = w.From.UnixMilli()
	}
	if !w.To.IsZero() {
		to = w.To.UnixMilli()
	}
	return []any{sql.Named("network", network), sql.Named("scope", scope), sql.Named("from", from), sql.Named("to", to)}
}

// order puts what a reader looks for first: content by name, entry points by
// address, starts by label.
func (r *Result) order() {
	slices.SortFunc(r.Content, func(a, b Item) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	slices.SortFunc(r.Entries, func(a, b Entry) int { return strings.Compare(a.Address, b.Address) })
	slices.SortFunc(r.Starts, func(a, b Start) int { return strings.Compare(a.Label, b.Label) })
}

func (r *Result) warn() {
	if r.Runs == 1 {
		r.Warnings = append(r.Warnings, "One run only: how answers change from day to day is not in the intervals.")
	}
	cut, lone := 0, 0
	for _, c := range r.Content {
		if c.Latest.Cut {
			cut++
		}
		if c.Latest.Outcome == found && c.Latest.Namers == 1 {
			lone++
		}
	}
	if cut > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("Where more is named than is believed or asked, numbers are floors: so for %s.", pieces(cut)))
	}
	if lone > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("A single node named who has %s: it may be wrong, or lie.", pieces(lone)))
	}
}

func pieces(n int) string {
	if n == 1 {
		return "1 piece of content"
	}
	return fmt.Sprintf("%d pieces of content", n)
}

// item describes one piece of content.
func item(rules *operator.Rules, r row, c counts) Item {
	it := Item{
		ID: r.subject, Name: r.name, Source: r.source, Latest: r.latest, Fastest: c.first,
		Checks: share(c.yes, c.times, "share of checks that found it", "checks"),
	}
	var land, runs, organisations tally
	people := true
	for _, g := range r.groups {
		verdict := rules.Judge(g.traits)
		land.add(g.traits.Hosting, g.count)
		runs.add(string(verdict.Operator), g.count)
		organisations.add(orUnknown(g.traits.Organisation), g.count)
		people = people && g.traits.PeerID == ""
	}
	it.Land, it.Operators, it.Holders = pool(land.parts, people), pool(runs.parts, people), pool(organisations.parts, people)
	return it
}

func orUnknown(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}

// tally counts by name.
type tally struct{ parts []Part }

func (t *tally) add(name string, n int) {
	if i := slices.IndexFunc(t.parts, func(p Part) bool { return p.Name == name }); i >= 0 {
		t.parts[i].Count += n
		return
	}
	t.parts = append(t.parts, Part{name, n})
}

// entry describes one entry point.
func entry(rules *operator.Rules, r row, c counts, totals map[[2]string]counts) Entry {
	starts := func(label string) Checks {
		s := totals[[2]string{"start", label + r.subject}]
		return share(s.yes, s.times, "share of starts that led into the network", "starts")
	}
	e := Entry{
		Address: r.subject, Clients: r.clients, Source: r.source, Latest: r.latest,
		Checks: share(c.yes, c.times, "share of checks that it answered", "checks"),
		Alone:  starts(StartOnly), Without: starts(StartWithout),
	}
	for _, g := range r.groups {
		e.Land = append(e.Land, Site{int(g.traits.ASN), g.traits.Organisation, g.traits.Country, g.traits.Hosting})
	}
	e.Runner = runner(rules, r)
	return e
}

// runner finds who runs an entry point: the registry by its name, then by its
// peer ID and address, else whose land it stands on.
func runner(rules *operator.Rules, r row) Runner {
	host := Host(r.subject)
	for _, known := range rules.Registry() {
		if host != "" && slices.Contains(known.Signals.Hosts, host) {
			return Runner{known.Name, known.Kind, "the registry lists " + host}
		}
	}
	for _, g := range r.groups {
		if v := rules.Judge(g.traits); v.Entry != "" {
			known, _ := rules.Entry(v.Entry)
			return Runner{known.Name, known.Kind, "the registry lists its peer ID or address"}
		}
	}
	for _, g := range r.groups {
		if g.traits.Organisation != "" {
			return Runner{g.traits.Organisation, "", "nothing but whose network it stands in"}
		}
	}
	return Runner{Evidence: "nothing is known of it"}
}

// Host is the name in an entry point, host:port or a multiaddr that begins with
// one, in small letters; empty if it has none.
func Host(entry string) string {
	if parts := strings.Split(entry, "/"); len(parts) > 2 && parts[0] == "" {
		return strings.ToLower(strings.TrimSuffix(parts[2], "."))
	}
	host, _, err := net.SplitHostPort(entry)
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// reader reads the checks of one network.
type reader struct {
	q       analysis.Querier
	network string
	args    []any
}

// each runs a query and calls scan for each row.
func (in reader) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := in.q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (in reader) runs(ctx context.Context, r *Result) error {
	return in.each(ctx, runsSQL, in.args, func(rows *sql.Rows) error {
		var runs uint64
		var first, last int64
		if err := rows.Scan(&runs, &first, &last, &r.Vantages); err != nil {
			return err
		}
		r.Runs, r.First, r.Last = int(runs), time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
		return nil
	})
}

func (in reader) counts(ctx context.Context) (map[[2]string]counts, error) {
	totals := map[[2]string]counts{}
	err := in.each(ctx, countSQL, in.args, func(rows *sql.Rows) error {
		var kind, subject string
		var times, yes, timed uint64
		var all []float64
		var d Duration
		if err := rows.Scan(&kind, &subject, &times, &yes, &timed, &all, &d.Low, &d.Median, &d.High); err != nil {
			return err
		}
		c := counts{times: int(times), yes: int(yes)}
		if timed > 0 {
			d.N = int(timed)
			c.first = &d
		}
		totals[[2]string{kind, subject}] = c
		return nil
	})
	return totals, err
}

func (in reader) latest(ctx context.Context) (list []row, err error) {
	err = in.each(ctx, latestSQL, in.args, func(rows *sql.Rows) error {
		r, err := scanRow(rows)
		list = append(list, r)
		return err
	})
	return list, err
}

func scanRow(rows *sql.Rows) (r row, err error) {
	l := &r.latest
	var at int64
	var cut uint8
	var number [10]uint32
	var seeds, leechers float64
	var ids, agents, organisations, countries, hostings []string
	var asns, members []uint32
	err = rows.Scan(&r.kind, &r.subject, &r.name, &r.source, &r.clients, &at, &l.Outcome, &l.Detail, &l.TookMS, &l.FirstMS, &l.RTTMS,
		&number[0], &number[1], &number[2], &number[3], &number[4], &number[5], &number[6], &cut, &number[7], &seeds, &leechers, &number[8], &number[9],
		&ids, &agents, &asns, &organisations, &countries, &hostings, &members)
	if err != nil {
		return r, err
	}
	l.At, l.Cut = time.UnixMilli(at).UTC(), cut != 0
	for i, to := range []*int{&l.Queries, &l.Hops, &l.Answered, &l.Closest, &l.K, &l.Namers, &l.Found, &l.Named} {
		*to = int(number[i])
	}
	if l.Full = int(number[9]); number[8] > 0 {
		l.Seeds, l.Leechers = Swarm(seeds, int(number[8]), "seeds"), Swarm(leechers, int(number[8]), "downloaders")
	}
	n := len(members)
	if len(ids) != n || len(agents) != n || len(asns) != n || len(organisations) != n || len(countries) != n || len(hostings) != n {
		return r, fmt.Errorf("check of %q: its lists of holders differ in length", r.subject)
	}
	for i := range n {
		r.groups = append(r.groups, group{operator.Traits{
			PeerID: ids[i], Agent: agents[i], ASN: asns[i], Organisation: organisations[i], Country: countries[i], Hosting: hostings[i],
		}, int(members[i])})
	}
	return r, nil
}

// agents fills in what providers call their programs, as crawls of the network
// saw them.
func (in reader) agents(ctx context.Context, list []row) error {
	var peers []string
	for _, r := range list {
		for _, g := range r.groups {
			if g.traits.PeerID != "" && g.traits.Agent == "" {
				peers = append(peers, g.traits.PeerID)
			}
		}
	}
	slices.Sort(peers)
	known := map[string]string{}
	for some := range slices.Chunk(slices.Compact(peers), peersAtOnce) {
		args := []any{sql.Named("network", in.network), sql.Named("peers", some)}
		err := in.each(ctx, agentsSQL, args, func(rows *sql.Rows) error {
			var peer, agent string
			err := rows.Scan(&peer, &agent)
			known[peer] = agent
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, r := range list {
		for i := range r.groups {
			if t := &r.groups[i].traits; t.Agent == "" {
				t.Agent = known[t.PeerID]
			}
		}
	}
	return nil
}
