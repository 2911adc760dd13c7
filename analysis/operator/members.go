package operator

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// Members judges the peers that answered in the given crawls of one network, as
// [Record] does, and tells of each verdict whose it is: members are sipHash64
// of peer IDs. A peer is a member once. It returns how many peers each crawl reached.
func Members(ctx context.Context, q analysis.Querier, r *Rules, network string, crawls []string, each func(v Verdict, members []uint64)) ([]int, error) {
	found, err := r.read(ctx, q, network, crawls)
	if err != nil {
		return nil, fmt.Errorf("read members of groups: %w", err)
	}
	totals := found.totals()
	for k := range found.kin(r, totals) {
		each(r.Judge(k.traits), k.members)
	}
	return totals, nil
}

// Published reads the groups of a published dataset: a record whose visits
// carry the verdict on their peer in columns operator, leaning, operator_name
// and probability. Nothing is judged anew, and no evidence is known; r tells the
// marks of who is known by name.
func Published(ctx context.Context, q analysis.Querier, r *Rules, network string, crawls []string) (*Census, error) {
	c := &Census{Rules: r.version, Totals: make([]int, len(crawls))}
	if len(crawls) == 0 {
		return c, nil
	}
	rows, err := q.QueryContext(ctx, `
SELECT last.1, last.2, last.3, last.4, last.5, last.6, last.7, last.8, peers, counts, weight, squares, totals
FROM (
    SELECT last, sum(n) AS peers, sumForEach(here) AS counts, sum(n * a) AS weight, sum(n * a * a) AS squares, any(all) AS totals
    FROM (
        SELECT *, sumForEach(here) OVER () AS all, arraySum(arrayMap(t -> 1 / all[t], up)) AS a
        FROM (
            SELECT last, up, count() AS n, arrayMap(t -> has(up, t) * n, range(1, toUInt64(@count) + 1)) AS here
            FROM (
                SELECT arraySort(groupUniqArray(indexOf(@crawls, toString(crawl_id)))) AS up,
                       argMax((toString(operator), toString(leaning), toString(operator_name), toFloat64(probability),
                               asn, toString(organisation), toString(country), toString(hosting)), visited_at) AS last
                FROM visits
                WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
                GROUP BY sipHash128(peer_id)
            )
            GROUP BY last, up
        )
    )
    GROUP BY last
)
ORDER BY weight DESC, last`, sql.Named("count", len(crawls)), sql.Named("crawls", crawls), sql.Named("network", network))
	if err != nil {
		return nil, fmt.Errorf("read judged peers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var g Group
		var kind, leaning string
		var peers uint64
		var counts, all []uint64
		if err := rows.Scan(&kind, &leaning, &g.Verdict.Name, &g.Verdict.Probability, &g.ASN, &g.Organisation, &g.Country, &g.Hosting, &peers, &counts, &g.Weight, &g.Squares, &all); err != nil {
			return nil, fmt.Errorf("read judged peers: %w", err)
		}
		g.Verdict.Operator, g.Verdict.Leaning, g.Peers = Operator(kind), Operator(leaning), int(peers)
		for _, e := range r.registry { // marks are those of the entry of that name
			if e.Name == g.Verdict.Name && e.operator == g.Verdict.Operator {
				g.Verdict.Entry, g.Marks = e.ID, r.Marks(e)
			}
		}
		for t, n := range counts {
			g.Counts = append(g.Counts, int(n))
			c.Totals[t] = int(all[t])
		}
		c.Groups = append(c.Groups, g)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read judged peers: %w", err)
	}
	return c, nil
}
