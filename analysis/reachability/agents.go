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
SELECT toString(agent), toInt64(count()), groupArrayArray(up),
       sum(arraySum(arrayMap(t -> 1 / @totals[t], up)) AS a) AS weight, sum(a * a) AS squares
FROM (
    SELECT argMax(agent, visited_at) AS agent, groupUniqArray(toUInt16(indexOf(arrayMap(c -> toUUID(c), @crawls), crawl_id))) AS up
    FROM visits
    WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
    GROUP BY sipHash64(peer_id)
)
GROUP BY agent
ORDER BY weight DESC, agent`,
		sql.Named("totals", totals), sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return readAgents(rows, func(up []uint16) []int { return analysis.PerCrawl(up, len(crawls)) })
}

// PublishedAgents reads what [Agents] read before a dataset was published, from
// its table agents; those of few peers stand there together, without a name.
func PublishedAgents(ctx context.Context, q analysis.Querier, network, scope string) ([]Agent, error) {
	rows, err := q.QueryContext(ctx, `SELECT agent, peers, counts, weight, squares FROM agents WHERE network = @network AND scope = @scope ORDER BY weight DESC, agent`,
		sql.Named("network", network), sql.Named("scope", scope))
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return readAgents(rows, func(counts []int64) []int {
		list := make([]int, len(counts))
		for t, n := range counts {
			list[t] = int(n)
		}
		return list
	})
}

// readAgents reads rows of agents to their end. perCrawl makes counts of what
// they say of crawls.
func readAgents[T any](rows *sql.Rows, perCrawl func([]T) []int) ([]Agent, error) {
	defer func() { _ = rows.Close() }()
	var agents []Agent
	for rows.Next() {
		var a Agent
		var peers int64
		var up []T
		if err := rows.Scan(&a.Agent, &peers, &up, &a.Weight, &a.Squares); err != nil {
			return nil, fmt.Errorf("read agents: %w", err)
		}
		a.Peers, a.Counts = int(peers), perCrawl(up)
		agents = append(agents, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return agents, nil
}
