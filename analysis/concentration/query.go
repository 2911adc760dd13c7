package concentration

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// Held is one announced prefix and the reachable peers in it. The weight a of a
// peer is the sum, over the crawls in which it was reachable, of one over the
// number of reachable peers of that crawl.
type Held struct {
	Prefix  string
	Peers   int     // distinct
	Counts  []int   // reachable peers in each crawl
	Weight  float64 // sum of a
	Squares float64 // sum of a²
}

// Prefixes reads which announced prefixes the peers stand in that answered in
// the given crawls of one network, largest first; an empty prefix is of the
// peers whose prefix is not known. A peer stands where it answered last. totals
// are the reachable peers of each crawl.
func Prefixes(ctx context.Context, q analysis.Querier, network string, crawls []string, totals []int) ([]Held, error) {
	rows, err := q.QueryContext(ctx, `
SELECT toString(prefix), count() AS peers, groupArrayArray(up),
       sum(arraySum(arrayMap(t -> 1 / @totals[t], up)) AS a) AS weight, sum(a * a) AS squares
FROM (
    SELECT argMax(prefix, visited_at) AS prefix, groupUniqArray(toUInt16(indexOf(arrayMap(c -> toUUID(c), @crawls), crawl_id))) AS up
    FROM visits
    WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
    GROUP BY sipHash64(peer_id)
)
GROUP BY prefix
ORDER BY weight DESC, prefix`,
		sql.Named("totals", totals), sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return nil, fmt.Errorf("read prefixes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var held []Held
	for rows.Next() {
		var h Held
		var peers uint64
		var up []uint16
		if err := rows.Scan(&h.Prefix, &peers, &up, &h.Weight, &h.Squares); err != nil {
			return nil, fmt.Errorf("read prefixes: %w", err)
		}
		h.Peers, h.Counts = int(peers), analysis.PerCrawl(up, len(crawls))
		held = append(held, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read prefixes: %w", err)
	}
	return held, nil
}
