package dataset

import (
	"context"
	"encoding/json"
	"fmt"

	"canopy/analysis/population"
)

// resultRow is a result that pseudonyms could not give again.
type resultRow struct{ network, scope, result string }

var (
	sizesForm = newForm("sizes", "How large a network is, where a zone of its key space was walked: counts and estimates. Pseudonyms have no place in the key space, so the zone was counted before.",
		words("network", "as in crawls", func(r *resultRow) string { return r.network }),
		words("scope", "as in crawls", func(r *resultRow) string { return r.scope }),
		texts("result", "JSON: the evidence (nodes found, marked nodes, lookup distances, pairs of crawls) and what was computed from it", func(r *resultRow) string { return r.result }),
	)
	findingsForm = newForm("findings", "Whether content is found from a cold start and whether newcomers can enter: results of the period's checks. Groups of fewer than 5 holders are left out.",
		words("network", "as in crawls", func(r *resultRow) string { return r.network }),
		words("scope", "as in crawls", func(r *resultRow) string { return r.scope }),
		texts("result", "JSON: as in a report's figures.json", func(r *resultRow) string { return r.result }),
	)
	clearcutsForm = newForm("clearcuts", "What stands when the largest leave: results of lookups that were simulated on the routing tables. Lookups need keys, which pseudonyms don't have.",
		words("network", "as in crawls", func(r *resultRow) string { return r.network }),
		words("scope", "as in crawls", func(r *resultRow) string { return r.scope }),
		texts("result", "JSON: as in a report's figures.json", func(r *resultRow) string { return r.result }),
	)
)

func (x *exporter) writeResults(ctx context.Context) error {
	var sizes, findings, cuts []resultRow
	for _, g := range x.groups {
		size, err := x.size(ctx, g)
		if err != nil {
			return err
		}
		if size != "" {
			sizes = append(sizes, resultRow{clean(g.network), g.scope, size})
		}
		if x.Findings != nil {
			found, err := x.Findings(ctx, g.network, g.scope)
			if err != nil {
				return err
			}
			if found != "" {
				findings = append(findings, resultRow{clean(g.network), g.scope, found})
			}
		}
		if x.Clearcut == nil || len(g.used) == 0 {
			continue
		}
		x.Progress(Progress{Table: "clear-cut of " + clean(g.name())})
		cut, err := x.Clearcut(ctx, g.network, g.used)
		if err != nil {
			return fmt.Errorf("simulate clear-cut: %w", err)
		}
		if cut != "" {
			cuts = append(cuts, resultRow{clean(g.network), g.scope, cut})
		}
	}
	if err := writeAll(ctx, x, sizesForm, sizes); err != nil {
		return err
	}
	if err := writeAll(ctx, x, findingsForm, findings); err != nil {
		return err
	}
	return writeAll(ctx, x, clearcutsForm, cuts)
}

// size is what the crawls of zones tell, empty if there are none.
func (x *exporter) size(ctx context.Context, g *group) (string, error) {
	var crawls []population.Crawl
	for _, c := range g.crawls {
		if c.Zone != "" && c.Exhausted() {
			crawls = append(crawls, population.Crawl{ID: c.ID, Zone: c.Zone, StartedAt: c.StartedAt})
		}
	}
	r, err := population.Read(ctx, x.record, g.network, crawls)
	if err != nil || r == nil {
		return "", err
	}
	text, err := json.Marshal(r)
	return string(text), err
}
