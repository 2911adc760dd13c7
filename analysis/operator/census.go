package operator

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go4.org/netipx"

	"canopy/analysis"
)

// Group is reachable peers that are alike in land and verdict. The weight a of
// a peer is the sum, over the crawls in which it was reachable, of one over the
// number of reachable peers of that crawl.
type Group struct {
	Verdict      Verdict `json:"verdict"`
	Hosting      string  `json:"hosting"`
	ASN          uint32  `json:"asn"` // 0 when unknown
	Organisation string  `json:"organisation"`
	Country      string  `json:"country"`
	Marks        Marks   `json:"marks"`   // of the registry entry that the verdict names
	Peers        int     `json:"peers"`   // distinct peers
	Counts       []int   `json:"counts"`  // reachable peers in each crawl
	Weight       float64 `json:"weight"`  // sum of a over its peers
	Squares      float64 `json:"squares"` // sum of a² over its peers
}

// Census is every reachable peer of some crawls of one network, judged.
type Census struct {
	Rules  string  `json:"rules"`  // version of the ruleset
	Totals []int   `json:"totals"` // reachable peers of each crawl
	Groups []Group `json:"groups"` // heaviest first
}

// Record reads the peers that answered in the given crawls of one network,
// which are in order of time, and judges them. Every peer counts once in each
// crawl, whatever the number of endpoints that claim its ID, and has the traits
// that it showed when it answered last. The record holds facts of one address
// per visit, so a peer with addresses of several classes stands under the one
// that answered.
func Record(ctx context.Context, q analysis.Querier, r *Rules, network string, crawls []string) (*Census, error) {
	return RecordMembers(ctx, q, r, network, crawls, nil)
}

// RecordMembers reads as [Record] does, and on the way tells of each verdict
// whose it is, as [Members] does, unless each is nil.
func RecordMembers(ctx context.Context, q analysis.Querier, r *Rules, network string, crawls []string, each func(v Verdict, members []uint64)) (*Census, error) {
	c := &Census{Rules: r.version, Totals: make([]int, len(crawls))}
	if len(crawls) == 0 {
		return c, nil
	}
	query, args := r.traitsQuery(network, crawls, each != nil)
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read traits of peers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	groups := map[string]*Group{}
	for rows.Next() {
		var members *[]uint64
		if each != nil {
			members = new([]uint64)
		}
		t, g, err := r.scan(rows, c.Totals, members)
		if err != nil {
			return nil, fmt.Errorf("read traits of peers: %w", err)
		}
		g.Verdict = r.Judge(t)
		if entry, ok := r.Entry(g.Verdict.Entry); ok {
			g.Marks = r.Marks(entry)
		}
		if each != nil {
			each(g.Verdict, *members)
		}
		merge(groups, g)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read traits of peers: %w", err)
	}
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		c.Groups = append(c.Groups, *groups[k])
	}
	slices.SortStableFunc(c.Groups, func(a, b Group) int { return cmp.Compare(b.Weight, a.Weight) })
	return c, nil
}

// caution is how many times its stated chance of error a verdict is allowed to
// err in [Bound]. Plans with twice the planned number of peers that stand where
// nobody would look for them stay inside.
const caution = 2

// Bound returns between which shares, of the weight of all groups, the peers of
// one kind of operator lie: at least those that are judged so, at most those
// and all undecided, each verdict allowed twice its stated chance of error.
func Bound(groups []Group, kind Operator) (lower, upper float64) {
	var all, sure, open float64
	for _, g := range groups {
		all += g.Weight
		right := max(0, 1-caution*(1-g.Verdict.Probability))
		switch g.Verdict.Operator {
		case kind:
			sure += right * g.Weight
			open += (1 - right) * g.Weight
		case Unknown:
			open += g.Weight
		default:
			open += (1 - right) * g.Weight
		}
	}
	if all == 0 {
		return 0, 1
	}
	return sure / all, (sure + open) / all
}

// merge adds a group to the one with the same land and reasons.
func merge(groups map[string]*Group, g Group) {
	key := fmt.Sprintf("%s\x00%d\x00%s\x00%s\x00%s", g.Hosting, g.ASN, g.Organisation, g.Country, g.Verdict.Name)
	for _, e := range g.Verdict.Evidence {
		key += "\x00" + e.Name
	}
	have, ok := groups[key]
	if !ok {
		groups[key] = &g
		return
	}
	have.Peers += g.Peers
	have.Weight += g.Weight
	have.Squares += g.Squares
	for t := range have.Counts {
		have.Counts[t] += g.Counts[t]
	}
}

// usualPortsSQL lists the ports that programs use by themselves: those of one
// visit in 200 or more, and of 5 blocks at least. Its %s says of which crawls.
const usualPortsSQL = `
    SELECT arrayMap(p -> p.1, arrayFilter(p -> p.3 >= 5 AND p.2 * 200 >= sum(n), groupArray((port, n, blocks))))
    FROM (
        SELECT port, count() AS n, uniqUpTo(5)(IPv6CIDRToRange(address, 120).1) AS blocks
        FROM visits WHERE network = @network AND outcome = 'answered' AND %s GROUP BY port
    )`

// patternSQL is how many of the ports s, in order, and u, which are the same
// without repetition, are one, or follow each other without a gap.
const patternSQL = `arrayMax(arrayMap(run -> length(run), arrayConcat(
               arraySplit((p, d) -> d != 0, s, arrayDifference(s)), arraySplit((p, d) -> d != 1, u, arrayDifference(u)))))`

// traitsSQL makes visits into peers, peers into those alike within one /24 (or
// /56), finds there how many stand together at once, and forgets the block.
// A judgement depends on agent, siblings, ID, block and protocol only through
// the conditions of the rules: peers that meet the same ones are one row, and
// any of them stands for all. Peers are grouped by a hash of 128 bits, which
// halves the work. The first %s says which crawls have a say in what ports are usual, the
// next three are empty, or name the members of each row; the last is one test of the agent for each list of patterns.
const traitsSQL = `
WITH (
    SELECT sumForEach(arrayMap(t -> if(t = crawl, n, 0), range(1, toUInt64(@count) + 1)))
    FROM (
        SELECT indexOf(@crawls, toString(crawl_id)) AS crawl, uniqExact(sipHash64(peer_id)) AS n
        FROM visits
        WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
        GROUP BY crawl_id
    )
) AS totals, (` + usualPortsSQL + `) AS usual
SELECT (any((agent, siblings, neighbourhood, here, anywhere, together, ports)) AS one).1, one.2, one.3, one.4, one.5, one.6, one.7, asn, organisation, country, hosting, known_id, known_block, known_protocol,
       sum(peers), sumForEach(counts), sum(peers * a), sum(peers * a * a), any(totals)%s
FROM (
    SELECT *, arraySort(beside) AS s, arrayDistinct(s) AS u, ` + patternSQL + ` AS ports,
           arrayMax(sumForEach(counts) OVER (PARTITION BY agent)) AS anywhere, arraySum(arrayMap(t -> 1 / totals[t], up)) AS a
    FROM (
        SELECT *, arrayMax(sumForEach(counts) OVER (PARTITION BY agent, asn)) AS here
        FROM (
            SELECT *, arrayMax(sumForEach(counts) OVER (PARTITION BY net)) AS neighbourhood
            FROM (
                SELECT *, arrayMax(sumForEach(counts) OVER (PARTITION BY net, agent)) AS siblings,
                       groupArrayArray(256)(own) OVER (PARTITION BY net, agent) AS beside,
                       if(@count >= 3 AND length(up) < @count, sum(peers) OVER (PARTITION BY net, agent, up), 0) AS together
                FROM (
                    SELECT up, last.1 AS agent, last.2 AS asn, last.3 AS organisation, last.4 AS country, last.5 AS hosting,
                           IPv6CIDRToRange(last.6 AS address, if(address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), 120, 56)).1 AS net,
                           last.7 AS known_id, arrayFirstIndex((a, b) -> address BETWEEN a AND b, arrayMap(a -> toIPv6(a), @from), arrayMap(b -> toIPv6(b), @to)) AS known_block,
                           last.8 AS known_protocol, groupArrayIf(256)(last.9, NOT has(usual, last.9)) AS own, count() AS peers, arrayMap(t -> if(has(up, t), toUInt32(peers), 0), range(1, toUInt64(@count) + 1)) AS counts%s
                    FROM (
                        SELECT arraySort(groupUniqArray(toUInt16(indexOf(arrayMap(c -> toUUID(c), @crawls), crawl_id)))) AS up,
                               argMax((agent, asn, organisation, country, hosting, address, if(peer_id IN (SELECT arrayJoin(@ids)), peer_id, ''),
                                       arrayFirst(p -> match(p, @protocols), protocols), port), visited_at) AS last%s
                        FROM visits
                        WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
                        GROUP BY sipHash128(peer_id)
                    )
                    GROUP BY up, agent, asn, organisation, country, hosting, net, known_id, known_block, known_protocol
                )
            )
        )
    )
)
GROUP BY asn, organisation, country, hosting, known_id, known_block, known_protocol,
         [%s], agent = '', arrayCount(n -> siblings >= n, @steps), arrayCount(s -> siblings >= s * neighbourhood, @shares),
         arrayCount(n -> together >= n, @together), arrayCount(n -> ports >= n, @port_steps),
         arrayCount(n -> here >= n, @agent_steps), arrayCount(s -> here >= s * anywhere, @agent_shares)`

// traitsQuery fills traitsSQL with what the rules and the registry ask of a
// peer. Each list begins with a value that no peer has or that all have,
// because an empty list has no type.
func (r *Rules) traitsQuery(network string, crawls []string, members bool) (string, []any) {
	ids, protocols, from, to := []string{""}, []string{}, []string{"::"}, []string{"::"}
	steps, shares, together := []int{0}, []float64{0}, []int{0}
	agentSteps, agentShares, portSteps := []int{0}, []float64{0}, []int{0}
	var agents [][]string
	for _, rule := range r.rules {
		steps = append(steps, rule.when.MinSiblings, rule.when.MaxSiblings+1)
		shares, together = append(shares, rule.when.SiblingsShare), append(together, rule.when.MinTogether)
		agentSteps, agentShares = append(agentSteps, rule.when.MinAgentHere), append(agentShares, rule.when.AgentShare)
		portSteps = append(portSteps, rule.when.MinPorts)
		agents = append(agents, rule.when.Agents)
	}
	for _, e := range r.registry {
		ids = append(ids, e.Signals.PeerIDs...)
		protocols = append(append(protocols, e.Signals.versionSigns()...), e.Signals.Protocols...)
		agents = append(agents, e.Signals.Agents)
	}
	for _, p := range r.blocks() {
		block := netipx.RangeOfPrefix(p)
		from, to = append(from, mapped(block.From())), append(to, mapped(block.To()))
	}
	tests := []string{"1"}
	args := []any{
		sql.Named("network", network), sql.Named("crawls", crawls), sql.Named("count", len(crawls)), sql.Named("ids", ids),
		sql.Named("from", from), sql.Named("to", to), sql.Named("protocols", regex(protocols)),
		sql.Named("steps", steps), sql.Named("together", together), sql.Named("shares", shares), sql.Named("agent_steps", agentSteps), sql.Named("agent_shares", agentShares),
		sql.Named("port_steps", portSteps),
	}
	for i, patterns := range agents {
		if len(patterns) > 0 {
			tests = append(tests, fmt.Sprintf("match(agent, @agents_%d_)", i))
			args = append(args, sql.Named(fmt.Sprintf("agents_%d_", i), regex(patterns)))
		}
	}
	var more [3]string
	if members {
		more = [3]string{", groupArrayArray(members)", ", groupArray(unit) AS members", ", any(sipHash64(peer_id)) AS unit"}
	}
	return fmt.Sprintf(traitsSQL, "crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))", more[0], more[1], more[2], strings.Join(tests, ", ")), args
}

// regex is the RE2 expression that fits what any of the patterns fits; without
// patterns it fits the empty string alone.
func regex(patterns []string) string {
	var quoted []string
	for _, p := range patterns {
		quoted = append(quoted, strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*"))
	}
	return "(?is)^(" + strings.Join(quoted, "|") + ")$"
}

// blocks lists every prefix of the registry.
func (r *Rules) blocks() (out []netip.Prefix) {
	for _, e := range r.registry {
		out = append(out, e.Signals.Prefixes...)
	}
	return out
}

// mapped writes an address as the record keeps it.
func mapped(a netip.Addr) string { return netip.AddrFrom16(a.As16()).String() }

// scan reads a row of traitsSQL; each repeats the totals. members is nil unless
// the query names them.
func (r *Rules) scan(rows *sql.Rows, totals []int, members *[]uint64) (t Traits, g Group, err error) {
	var siblings, neighbourhood, here, anywhere, together, ports, peers uint64
	var block uint32
	var protocol string
	var counts, all []uint64
	dest := []any{&t.Agent, &siblings, &neighbourhood, &here, &anywhere, &together, &ports, &t.ASN, &t.Organisation, &t.Country, &t.Hosting, &t.PeerID,
		&block, &protocol, &peers, &counts, &g.Weight, &g.Squares, &all}
	if members != nil {
		dest = append(dest, members)
	}
	if err := rows.Scan(dest...); err != nil {
		return t, g, err
	}
	t.Siblings, t.Neighbourhood, t.Together = int(siblings), int(neighbourhood), int(together)
	t.AgentHere, t.AgentAnywhere, t.Ports = int(here), int(anywhere), int(ports)
	if block > 1 {
		t.Address = r.blocks()[block-2].Addr()
	}
	if protocol != "" {
		t.Protocols = []string{protocol}
	}
	g.Hosting, g.ASN, g.Organisation, g.Country, g.Peers = cmp.Or(t.Hosting, "unknown"), t.ASN, t.Organisation, t.Country, int(peers)
	for t, n := range counts {
		g.Counts = append(g.Counts, int(n))
		totals[t] = int(all[t])
	}
	return t, g, nil
}
