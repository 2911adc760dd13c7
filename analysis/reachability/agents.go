package reachability

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// Agent is the reachable peers that announce one program. The weight a of a
// peer is the sum, over the crawls in which it was reachable, of one over the
// number of reachable peers of that crawl.
type Agent struct {
	Agent   string
	Peers   int     // distinct peers
	Counts  []int   // reachable peers in each crawl
	Weight  float64 // sum of a
	Squares float64 // sum of a²
}

// Agents reads what the peers announce that answered in the given crawls of
// one network, the most frequent first. A peer counts with what it announced
// last. totals are the reachable peers of each crawl.
func Agents(ctx context.Context, q analysis.Querier, network string, crawls []string, totals []int) ([]Agent, error) {
	rows, err := q.QueryContext(ctx, `
SELECT toString(agent), toInt64(count()), sumForEach(arrayMap(t -> toInt64(has(up, t)), range(1, toUInt64(@count) + 1))),
       sum(arraySum(arrayMap(t -> 1 / @totals[t], up)) AS a) AS weight, sum(a * a) AS squares
FROM (
    SELECT argMax(agent, visited_at) AS agent, groupUniqArray(toUInt16(indexOf(arrayMap(c -> toUUID(c), @crawls), crawl_id))) AS up
    FROM visits
    WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
    GROUP BY sipHash64(peer_id)
)
GROUP BY agent
ORDER BY weight DESC, agent`,
		sql.Named("count", len(crawls)), sql.Named("totals", totals), sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return readAgents(rows)
}

// PublishedAgents reads what [Agents] read before a dataset was published, from
// its table agents; those of few peers stand there together, without a name.
func PublishedAgents(ctx context.Context, q analysis.Querier, network, scope string) ([]Agent, error) {
	rows, err := q.QueryContext(ctx, `SELECT agent, peers, counts, weight, squares FROM agents WHERE network = @network AND scope = @scope ORDER BY weight DESC, agent`,
		sql.Named("network", network), sql.Named("scope", scope))
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return readAgents(rows)
}

// readAgents reads rows of agents to their end.
func readAgents(rows *sql.Rows) ([]Agent, error) {
	defer func() { _ = rows.Close() }()
	var agents []Agent
	for rows.Next() {
		var a Agent
		var peers int64
		var counts []int64
		if err := rows.Scan(&a.Agent, &peers, &counts, &a.Weight, &a.Squares); err != nil {
			return nil, fmt.Errorf("read agents: %w", err)
		}
		a.Peers = int(peers)
		for _, n := range counts {
			a.Counts = append(a.Counts, int(n))
		}
		agents = append(agents, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return agents, nil
}
