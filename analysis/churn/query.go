package churn

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// Presences reads how the peers of one network showed in the given crawls,
// which are in order of time. A peer is one identity; it stands on the land
// where it last answered.
func Presences(ctx context.Context, q analysis.Querier, network string, crawls []string) ([]Presence, error) {
	rows, err := q.QueryContext(ctx, `
SELECT pattern, hosting, count() AS peers
FROM (
    SELECT arrayStringConcat(arrayMap(t -> multiIf(has(up, t), '2', has(heard, t), '1', '0'), range(1, toUInt64(@count) + 1))) AS pattern,
           if(land = '', 'unknown', land) AS hosting
    FROM (
        SELECT groupUniqArrayIf(crawl, outcome = 'answered') AS up, groupUniqArray(crawl) AS heard,
               argMaxIf(toString(hosting), visited_at, outcome = 'answered') AS land
        FROM (
            SELECT peer_id, outcome, hosting, visited_at, indexOf(@crawls, toString(crawl_id)) AS crawl
            FROM visits
            WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
        )
        GROUP BY peer_id
        HAVING notEmpty(up)
    )
)
GROUP BY pattern, hosting
ORDER BY pattern, hosting`,
		sql.Named("count", len(crawls)), sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return nil, fmt.Errorf("read presence of peers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var presences []Presence
	for rows.Next() {
		var p Presence
		var peers uint64
		if err := rows.Scan(&p.Pattern, &p.Hosting, &peers); err != nil {
			return nil, fmt.Errorf("read presence of peers: %w", err)
		}
		p.Peers = int(peers)
		presences = append(presences, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read presence of peers: %w", err)
	}
	return presences, nil
}
