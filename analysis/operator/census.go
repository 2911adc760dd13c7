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
	c := &Census{Rules: r.version, Totals: make([]int, len(crawls))}
	if len(crawls) == 0 {
		return c, nil
	}
	if err := c.readTotals(ctx, q, network, crawls); err != nil {
		return nil, fmt.Errorf("count reachable peers: %w", err)
	}
	rows, err := q.QueryContext(ctx, traitsSQL, r.traitsArgs(network, crawls, c.Totals)...)
	if err != nil {
		return nil, fmt.Errorf("read traits of peers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	groups := map[string]*Group{}
	for rows.Next() {
		t, g, err := r.scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read traits of peers: %w", err)
		}
		g.Verdict = r.Judge(t)
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

// readTotals counts the distinct peers that answered in each crawl.
func (c *Census) readTotals(ctx context.Context, q analysis.Querier, network string, crawls []string) error {
	rows, err := q.QueryContext(ctx, `
SELECT indexOf(@crawls, toString(crawl_id)) AS crawl, uniqExact(peer_id)
FROM visits
WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
GROUP BY crawl`, sql.Named("crawls", crawls), sql.Named("network", network))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var crawl, peers uint64
		if err := rows.Scan(&crawl, &peers); err != nil {
			return err
		}
		c.Totals[crawl-1] = int(peers)
	}
	return rows.Err()
}

// traitsSQL makes visits into peers, peers into those alike within one /24 (or
// /56), finds there how many stand together at once, and forgets the block.
// Peer IDs, blocks and protocols are told apart only where the registry names
// them.
const traitsSQL = `
SELECT agent, asn, organisation, country, hosting, siblings, neighbourhood, known_id, known_block, known_protocol,
       sum(peers), sumForEach(counts), sum(weight), sum(squares)
FROM (
    SELECT agent, asn, organisation, country, hosting, known_id, known_block, known_protocol, peers, counts, weight, squares,
           arrayMax(sumForEach(counts) OVER (PARTITION BY net, agent)) AS siblings,
           arrayMax(sumForEach(counts) OVER (PARTITION BY net)) AS neighbourhood
    FROM (
        SELECT last.1 AS agent, last.2 AS asn, last.3 AS organisation, last.4 AS country, last.5 AS hosting, last.6 AS net,
               last.7 AS known_block, last.8 AS known_protocol, if(has(@ids, peer_id), peer_id, '') AS known_id,
               count() AS peers, sumForEach(arrayMap(t -> toUInt64(has(up, t)), range(1, toUInt64(@count) + 1))) AS counts,
               sum(arraySum(arrayMap(t -> 1 / @totals[t], up)) AS a) AS weight, sum(a * a) AS squares
        FROM (
            SELECT peer_id, groupUniqArray(indexOf(@crawls, toString(crawl_id))) AS up,
                   argMax((agent, asn, organisation, country, hosting,
                           IPv6CIDRToRange(address, if(address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), 120, 56)).1,
                           arrayFirstIndex((a, b) -> address BETWEEN toIPv6(a) AND toIPv6(b), @from, @to),
                           arrayFirst(p -> match(p, @protocols), protocols)), visited_at) AS last
            FROM visits
            WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
            GROUP BY peer_id
        )
        GROUP BY agent, asn, organisation, country, hosting, net, known_block, known_protocol, known_id
    )
)
GROUP BY agent, asn, organisation, country, hosting, siblings, neighbourhood, known_id, known_block, known_protocol`

// traitsArgs says which peers the registry wants told apart. Each list begins
// with a value that no peer has, because an empty list has no type.
func (r *Rules) traitsArgs(network string, crawls []string, totals []int) []any {
	ids, protocols, from, to := []string{""}, []string{""}, []string{"::"}, []string{"::"}
	for _, e := range r.registry {
		ids = append(ids, e.Signals.PeerIDs...)
		for _, p := range e.Signals.Protocols {
			protocols = append(protocols, strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*"))
		}
	}
	for _, p := range r.blocks() {
		block := netipx.RangeOfPrefix(p)
		from, to = append(from, mapped(block.From())), append(to, mapped(block.To()))
	}
	return []any{
		sql.Named("network", network), sql.Named("crawls", crawls), sql.Named("count", len(crawls)), sql.Named("totals", totals),
		sql.Named("ids", ids), sql.Named("from", from), sql.Named("to", to),
		sql.Named("protocols", "(?i)^("+strings.Join(protocols, "|")+")$"),
	}
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

// scan reads a row of traitsSQL.
func (r *Rules) scan(rows *sql.Rows) (t Traits, g Group, err error) {
	var siblings, neighbourhood, peers uint64
	var block uint32
	var protocol string
	var counts []uint64
	err = rows.Scan(&t.Agent, &t.ASN, &t.Organisation, &t.Country, &t.Hosting, &siblings, &neighbourhood, &t.PeerID, &block, &protocol,
		&peers, &counts, &g.Weight, &g.Squares)
	if err != nil {
		return t, g, err
	}
	t.Siblings, t.Neighbourhood = int(siblings), int(neighbourhood)
	if block > 1 {
		t.Address = r.blocks()[block-2].Addr()
	}
	if protocol != "" {
		t.Protocols = []string{protocol}
	}
	g.Hosting, g.ASN, g.Organisation, g.Country, g.Peers = cmp.Or(t.Hosting, "unknown"), t.ASN, t.Organisation, t.Country, int(peers)
	for _, n := range counts {
		g.Counts = append(g.Counts, int(n))
	}
	return t, g, nil
}
