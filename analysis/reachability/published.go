package reachability

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// PublishedAgents reads what [Agents] read before a dataset was published, from
// its table agents; those of few peers stand there together, without a name.
func PublishedAgents(ctx context.Context, q analysis.Querier, network, scope string) ([]Agent, error) {
	rows, err := q.QueryContext(ctx, `SELECT agent, peers, counts, weight, squares FROM agents WHERE network = @network AND scope = @scope ORDER BY weight DESC, agent`,
		sql.Named("network", network), sql.Named("scope", scope))
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
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
