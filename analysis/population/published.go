package population

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"canopy/analysis"
)

// Published reads the size of a network from a published dataset, whose table
// sizes holds the [Result] with its evidence as JSON: pseudonyms have no place
// in the key space, so their zone can't be counted again. It returns nil if
// there is none.
func Published(ctx context.Context, q analysis.Querier, network, scope string) (*Result, error) {
	rows, err := q.QueryContext(ctx, `SELECT result FROM sizes WHERE network = @network AND scope = @scope LIMIT 1`,
		sql.Named("network", network), sql.Named("scope", scope))
	if err != nil {
		return nil, fmt.Errorf("read evidence of size: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var r *Result
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("read evidence of size: %w", err)
		}
		r = &Result{}
		if err := json.Unmarshal([]byte(text), r); err != nil {
			return nil, fmt.Errorf("read evidence of size: %w", err)
		}
		warnings := r.Warnings
		r.Size = Compute(r.Evidence)
		r.Warnings = warnings
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read evidence of size: %w", err)
	}
	return r, nil
}
