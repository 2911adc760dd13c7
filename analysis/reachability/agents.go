package reachability

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// Agents reads what the peers announce that answered in the given crawls of
// one network, the most frequent first. A peer counts with what it announced
// last. totals are the reachable peers of each crawl.
func Agents(ctx context.Context, q analysis.Querier, network string, crawls []string, totals []int) ([]analysis.Alike, error) {
	agents, err := analysis.ByColumn(ctx, q, "agent", network, crawls, totals)
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return agents, nil
}

// PublishedAgents reads what [Agents] read before a dataset was published, from
// its table agents; those of few peers stand there together, without a name.
func PublishedAgents(ctx context.Context, q analysis.Querier, network, scope string) (agents []analysis.Alike, err error) {
	var a analysis.Alike
	var peers int64
	var counts []int64
	keep := func() {
		a.Peers, a.Counts = int(peers), make([]int, len(counts))
		for t, n := range counts {
			a.Counts[t] = int(n)
		}
		agents = append(agents, a)
	}
	err = analysis.EachRow(ctx, q, keep, `SELECT agent, peers, counts, weight, squares FROM agents WHERE network = @network AND scope = @scope ORDER BY weight DESC, agent`,
		[]any{sql.Named("network", network), sql.Named("scope", scope)}, &a.Name, &peers, &counts, &a.Weight, &a.Squares)
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return agents, nil
}
