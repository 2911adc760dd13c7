package concentration

import (
	"context"
	"fmt"

	"canopy/analysis"
)

// Prefixes reads which announced prefixes the peers stand in that answered in
// the given crawls of one network, largest first; an empty prefix is of the
// peers whose prefix is not known. A peer stands where it answered last. totals
// are the reachable peers of each crawl.
func Prefixes(ctx context.Context, q analysis.Querier, network string, crawls []string, totals []int) ([]analysis.Alike, error) {
	held, err := analysis.ByColumn(ctx, q, "prefix", network, crawls, totals)
	if err != nil {
		return nil, fmt.Errorf("read prefixes: %w", err)
	}
	return held, nil
}
