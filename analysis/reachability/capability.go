package reachability

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// Capability is what some of the peers were asked whether they can do it.
type Capability struct {
	Name  string `json:"name"`  // such as bep51
	Asked int    `json:"asked"` // distinct peers
	Able  int    `json:"able"`  // of them
}

// Capabilities counts what the peers that answered in the given crawls of one
// network can do. A walk asks a random part of them, and notes of a peer
// asked=NAME if it asked, and NAME if the peer could.
func Capabilities(ctx context.Context, q analysis.Querier, network string, crawls []string) ([]Capability, error) {
	rows, err := q.QueryContext(ctx, `
SELECT name, count(), countIf(able)
FROM (
    SELECT substring(arrayJoin(arrayFilter(p -> startsWith(p, 'asked='), arrayMap(p -> toString(p), protocols))), 7) AS name, max(has(protocols, name)) AS able
    FROM visits
    WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls))) AND NOT empty(protocols)
    GROUP BY sipHash64(peer_id), name
)
GROUP BY name
ORDER BY name
LIMIT 20`, sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return nil, fmt.Errorf("count capabilities: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var list []Capability
	for rows.Next() {
		var c Capability
		var asked, able uint64
		if err := rows.Scan(&c.Name, &asked, &able); err != nil {
			return nil, fmt.Errorf("count capabilities: %w", err)
		}
		c.Asked, c.Able = int(asked), int(able)
		list = append(list, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count capabilities: %w", err)
	}
	return list, nil
}
