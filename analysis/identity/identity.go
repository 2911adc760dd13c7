// Package identity sets aside identities that are no sign of one peer each: an
// ID that stands at many endpoints, many IDs at one endpoint or in one block of
// addresses, and IDs that crowd a place in the key space, as a Sybil attack on
// a key makes them (Douceur 2002; Wang & Kangasharju, Real-World Sybil Attacks
// in BitTorrent Mainline DHT, 2012). Who is set aside may be anybody's; it is
// counted, with the reason, and left out of what is said of communities.
package identity

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"canopy/analysis"
)

// Reason says why a peer is set aside.
type Reason string

// The reasons. A peer to which several apply counts under the first of them.
const (
	ManyEndpoints Reason = "one ID at many endpoints"
	SharedAddress Reason = "many IDs at one endpoint"
	SharedBlock   Reason = "many IDs in one block of addresses"
	Crowding      Reason = "IDs crowded together in the key space"
)

// Reasons lists all reasons in the order in which they apply.
func Reasons() []Reason { return []Reason{ManyEndpoints, SharedAddress, SharedBlock, Crowding} }

// Limits say what is ordinary within one crawl.
type Limits struct {
	Endpoints int     `json:"endpoints"` // at which one ID answers: a host with two families that moves once has 3
	IDs       int     `json:"ids"`       // that answer at one endpoint: a client that is started again has another one
	BlockIDs  int     `json:"block_ids"` // that answer in one /24, or /56 in IPv6
	Chance    float64 `json:"chance"`    // that a crowd is called one in a network whose IDs are drawn at random
}

// DefaultLimits hold a block to as many IDs as a /24 has addresses.
func DefaultLimits() Limits {
	return Limits{Endpoints: 3, IDs: 3, BlockIDs: 256, Chance: 1e-6}
}

// Finding is how many peers were set aside for one reason.
type Finding struct {
	Reason Reason `json:"reason"`
	Peers  int    `json:"peers"`  // distinct IDs over all crawls
	Counts []int  `json:"counts"` // visits that answered, in each crawl
}

// Result is who was set aside in some crawls of one network.
type Result struct {
	Limits    Limits    `json:"limits"`
	Findings  []Finding `json:"findings"`  // one for each reason
	Peers     int       `json:"peers"`     // distinct IDs that were set aside
	SetAside  []int     `json:"set_aside"` // visits that answered and were set aside, in each crawl
	Answered  []int     `json:"answered"`  // visits that answered, those included
	Strangers []int     `json:"strangers"` // visits answered under another ID than asked for: never counted as reachable
	Crowds    []Crowd   `json:"crowds"`    // places that more IDs share than chance allows, deepest first

	query string // names the IDs that are set aside
	args  []any
	known []uint64 // hashes of these IDs, if they are few
}

// Crowd is a prefix of the key space that more IDs share than chance allows.
type Crowd struct {
	Bits   int    `json:"bits"`
	Prefix uint64 `json:"prefix"` // its bits, the last of them lowest
	Least  int    `json:"least"`  // IDs from which a prefix of that length is crowded
}

// SetAside finds who answered in the given whole crawls of one network and is
// no sign of one peer. What q reads of them must not be filtered already.
func (l Limits) SetAside(ctx context.Context, q analysis.Querier, network string, crawls []string) (*Result, error) {
	none := func() []int { return make([]int, len(crawls)) }
	r := &Result{Limits: l, Answered: none(), Strangers: none(), SetAside: none()}
	for _, reason := range Reasons() {
		r.Findings = append(r.Findings, Finding{Reason: reason, Counts: none()})
	}
	if len(crawls) == 0 {
		return r, nil
	}
	if err := r.totals(ctx, q, network, crawls); err != nil {
		return nil, fmt.Errorf("count peers: %w", err)
	}
	together := batches(crawls, r.Answered)
	var err error
	if r.Crowds, err = l.crowds(ctx, q, network, together, slices.Max(r.Answered)); err != nil {
		return nil, fmt.Errorf("find crowded places of the key space: %w", err)
	}
	suspects, err := l.suspects(ctx, q, network, together)
	if err != nil {
		return nil, fmt.Errorf("look for identities that repeat: %w", err)
	}
	if len(suspects.crawls) == 0 && len(r.Crowds) == 0 {
		return r, nil
	}
	r.query, r.args = l.aside(r.Crowds, network, crawls, suspects)
	if err := r.count(ctx, q, network, crawls); err != nil {
		return nil, fmt.Errorf("count peers that are set aside: %w", err)
	}
	return r, nil
}

// totals counts visits that answered, as whom they were asked for and not.
func (r *Result) totals(ctx context.Context, q analysis.Querier, network string, crawls []string) error {
	rows, err := q.QueryContext(ctx, `
SELECT indexOf(@crawls, toString(crawl_id)), countIf(outcome = 'answered'), countIf(outcome = 'wrong_identity')
FROM visits WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls))) GROUP BY crawl_id`,
		sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var crawl, answered, strangers uint64
		if err := rows.Scan(&crawl, &answered, &strangers); err != nil {
			return err
		}
		r.Answered[crawl-1], r.Strangers[crawl-1] = int(answered), int(strangers)
	}
	return rows.Err()
}

// count fills in the findings from the query of who is set aside.
func (r *Result) count(ctx context.Context, q analysis.Querier, network string, crawls []string) error {
	rows, err := q.QueryContext(ctx, `
SELECT reason, uniqExact(peer_id), sumForEach(arrayMap(t -> toUInt64(t = indexOf(@crawls, toString(crawl_id))), range(1, toUInt64(length(@crawls)) + 1))),
       groupUniqArray(@most)(sipHash64(peer_id))
FROM (
    SELECT peer_id, crawl_id FROM visits
    WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
) AS seen
INNER JOIN (`+r.query+`) AS aside USING (peer_id)
GROUP BY reason`, append(slices.Clone(r.args), sql.Named("network", network), sql.Named("crawls", crawls), sql.Named("most", mostKnown+1))...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var reason uint8
		var peers uint64
		var counts, ids []uint64
		if err := rows.Scan(&reason, &peers, &counts, &ids); err != nil {
			return err
		}
		r.known = append(r.known, ids...)
		f := &r.Findings[reason-1]
		f.Peers = int(peers)
		r.Peers += f.Peers
		for t, n := range counts {
			f.Counts[t] += int(n)
			r.SetAside[t] += int(n)
		}
	}
	return rows.Err()
}

// placeSQL is the first 64 bits of where a peer stands in the key space: a
// hexadecimal ID is the key itself, that of another is hashed (libp2p).
const placeSQL = `reinterpretAsUInt64(reverse(substring(if(match(peer_id, '^[0-9a-f]{40}$'), unhex(peer_id),
           SHA256(if(empty(tryBase58Decode(peer_id)), peer_id, tryBase58Decode(peer_id)))), 1, 8)))`

// answeredSQL is who answered. The 21 bits that BEP 42 ties to an address are
// shared by all its IDs, so there these count as one (see unit).
const answeredSQL = `
SELECT crawl_id, peer_id, ` + placeSQL + ` AS place,
       if(has(protocols, 'bep42=valid'), sipHash64(address, bitShiftRight(place, 43)), sipHash64(peer_id)) AS unit
FROM visits
WHERE network = @aside_network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@aside_crawls)))`

// blockSQL is the /24 of an address, or the /56 in IPv6.
const blockSQL = `IPv6CIDRToRange(address, if(address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), 120, 56)).1`

// asideSQL names who is set aside, and why, by the number of the reason: of the
// suspects those that are ones when counted exactly. The first three %s are the
// conditions that a visit is of a suspect, the last is one for each depth at
// which there are crowds.
const asideSQL = `
WITH seen AS (
    SELECT crawl_id, peer_id, address, port FROM visits
    WHERE network = @aside_network AND outcome = 'answered' AND ` + addressedSQL + ` AND crawl_id IN (SELECT toUUID(arrayJoin(@aside_suspects)))
)
SELECT peer_id, toUInt8(min(why)) AS reason FROM (
    SELECT peer_id, 1 AS why FROM seen WHERE %s
    GROUP BY crawl_id, peer_id HAVING uniqExact(address, port) > @aside_endpoints
    UNION ALL
    SELECT arrayJoin(groupUniqArray(peer_id)), 2 FROM seen WHERE %s
    GROUP BY crawl_id, address, port HAVING uniqExact(peer_id) > @aside_ids
    UNION ALL
    SELECT arrayJoin(groupUniqArray(peer_id)), 3 FROM seen WHERE %s
    GROUP BY crawl_id, ` + blockSQL + ` HAVING uniqExact(peer_id) > @aside_block
    %s
) GROUP BY peer_id`

// aside returns the query of the IDs that are set aside, with its arguments:
// two columns, peer_id and the number of the reason, counted from 1.
// suspects are the crawls that may hold one for another reason than a crowd.
func (l Limits) aside(crowds []Crowd, network string, crawls []string, suspects suspects) (query string, args []any) {
	within, args := crowded(crowds)
	args = append(args, sql.Named("aside_network", network), sql.Named("aside_crawls", crawls), sql.Named("aside_suspects", suspects.crawls),
		sql.Named("aside_endpoints", l.Endpoints), sql.Named("aside_ids", l.IDs), sql.Named("aside_block", l.BlockIDs))
	if within != "" {
		within = "UNION ALL SELECT peer_id, 4 FROM (" + answeredSQL + ") WHERE " + within
	}
	among, more := suspects.among()
	return fmt.Sprintf(asideSQL, among[0], among[1], among[2], within), append(args, more...)
}

// mostKnown is how many IDs a query can well name one by one.
const mostKnown = 4000

// Without returns a querier for which those who were set aside have no visits.
// Its queries read visits as any other's do.
func (r *Result) Without(q analysis.Querier) analysis.Querier {
	if r.Peers == 0 {
		return q
	}
	if len(r.known) <= mostKnown {
		return &without{q, `visits AS (SELECT * FROM visits WHERE sipHash64(peer_id) NOT IN (SELECT arrayJoin(@aside_known)))`, []any{sql.Named("aside_known", r.known)}}
	}
	return &without{q, `visits AS (SELECT * FROM visits WHERE peer_id NOT IN (SELECT peer_id FROM (` + r.query + `)))`, r.args}
}

// without puts another table in the place of visits.
type without struct {
	analysis.Querier
	with string
	args []any
}

// QueryContext runs a query.
func (w *without) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	with := "WITH " + w.with
	if rest, ok := strings.CutPrefix(strings.TrimSpace(query), "WITH"); ok {
		query, with = rest, with+","
	}
	return w.Querier.QueryContext(ctx, with+query, append(slices.Clone(args), w.args...)...)
}

// crowded is the condition that a place lies in one of the crowds, empty without
// crowds.
func crowded(crowds []Crowd) (condition string, args []any) {
	var conditions []string
	for start := 0; start < len(crowds); {
		bits, end := crowds[start].Bits, start
		var prefixes []uint64
		for ; end < len(crowds) && crowds[end].Bits == bits; end++ {
			prefixes = append(prefixes, crowds[end].Prefix)
		}
		name := fmt.Sprintf("aside_prefixes_%d_", bits)
		conditions = append(conditions, fmt.Sprintf("bitShiftRight(place, %d) IN (SELECT arrayJoin(@%s))", 64-bits, name))
		args, start = append(args, sql.Named(name, prefixes)), end
	}
	return strings.Join(conditions, " OR "), args
}

// depths are the lengths of prefixes, beyond the one that a single ID has on
// average, at which crowds are looked for.
var depths = []int{0, 3, 6, 10, 15, 20}

// mostCrowds bounds how many crowds are looked into at each depth.
const mostCrowds = 1000

// crowdsSQL looks for runs in the ordered places of each crawl: as many IDs as
// make a crowd share a prefix where the first and the last of them do. %s is
// one list of prefixes for each depth.
const crowdsSQL = `
SELECT %s FROM (
    SELECT arraySort(groupArray(place)) AS places
    FROM (SELECT crawl_id, min(place) AS place FROM (` + answeredSQL + `) GROUP BY crawl_id, unit)
    GROUP BY crawl_id
)`

// crowds finds the prefixes that more IDs share, in one of the crawls, than
// chance allows among n IDs.
func (l Limits) crowds(ctx context.Context, q analysis.Querier, network string, batches [][]string, n int) ([]Crowd, error) {
	if n < 2 {
		return nil, nil
	}
	first := int(math.Ceil(math.Log2(float64(n))))
	crowds := make([]Crowd, len(depths))
	found, into, lists := make([][]uint64, len(depths)), make([]any, len(depths)), make([]string, len(depths))
	for i, more := range slices.Backward(depths) {
		c := Crowd{Bits: first + more, Least: Least(n, first+more, l.Chance/float64(len(depths)))}
		at := len(depths) - 1 - i // deepest first
		crowds[at], into[at] = c, &found[at]
		lists[at] = fmt.Sprintf(`arraySlice(arraySort(groupUniqArrayArray(arrayMap(p -> bitShiftRight(p, %[1]d), arrayFilter(
        (p, last) -> last != 0 AND bitShiftRight(last, %[1]d) = bitShiftRight(p, %[1]d), places, arrayResize(arraySlice(places, %[2]d), length(places), 0))))), 1, %[3]d)`,
			64-c.Bits, c.Least, mostCrowds)
	}
	query := fmt.Sprintf(crowdsSQL, strings.Join(lists, ",\n"))
	prefixes := make([]map[uint64]bool, len(depths))
	for i := range prefixes {
		prefixes[i] = map[uint64]bool{}
	}
	keep := func() {
		for i := range found {
			for _, p := range found[i] {
				prefixes[i][p] = true
			}
		}
	}
	for _, batch := range batches {
		if err := analysis.EachRow(ctx, q, keep, query, []any{sql.Named("aside_network", network), sql.Named("aside_crawls", batch)}, into...); err != nil {
			return nil, err
		}
	}
	var all []Crowd
	for i, c := range crowds {
		sorted := slices.Sorted(maps.Keys(prefixes[i]))
		for _, c.Prefix = range sorted[:min(mostCrowds, len(sorted))] {
			all = append(all, c)
		}
	}
	return all, nil
}

// mostAnswered is about how many visits are looked through at once: those of all
// crawls would take much memory, and one query for each small crawl much time.
const mostAnswered = 200_000

// batches divides crawls into some that are looked through at once. answered
// are the visits that answered in each.
func batches(crawls []string, answered []int) (list [][]string) {
	sum := 0
	for t, crawl := range crawls {
		if t == 0 || sum+answered[t] > mostAnswered {
			list, sum = append(list, nil), 0
		}
		last := len(list) - 1
		list[last], sum = append(list[last], crawl), sum+answered[t]
	}
	return list
}

// Least is the number of IDs from which a prefix of the given length is crowded
// among n IDs drawn at random: the chance that any of the 2^bits prefixes holds
// as many is below chance. Their numbers are taken as Poisson of mean n/2^bits,
// at most 1, and the chances of all prefixes are added up (Boole).
func Least(n, bits int, chance float64) int {
	mean := float64(n) / math.Exp2(float64(bits))
	for c := 2; ; c++ {
		log, _ := math.Lgamma(float64(c) + 1)
		tail := math.Exp(float64(c)*math.Log(mean)-mean-log) / (1 - mean/float64(c+1)) // geometric bound of the rest
		if tail*math.Exp2(float64(bits)) < chance {
			return c
		}
	}
}
