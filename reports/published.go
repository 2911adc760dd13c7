package reports

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"canopy/analysis"
	"canopy/analysis/clearcut"
	"canopy/analysis/operator"
	"canopy/analysis/reachability"
)

// census judges the peers of a network, or reads how they were judged before
// they became a dataset.
func (n *Network) census(ctx context.Context, q analysis.Querier, rules *operator.Rules) (*operator.Census, error) {
	if n.published {
		return operator.Published(ctx, q, n.Name, n.Used)
	}
	return operator.Record(ctx, q, rules, n.Name, n.Used)
}

// announced reads what peers call their programs; totals are the reachable
// peers of each crawl.
func (n *Network) announced(ctx context.Context, q analysis.Querier, totals []int) ([]reachability.Agent, error) {
	if n.published {
		return reachability.PublishedAgents(ctx, q, n.Name, n.Scope)
	}
	return reachability.Agents(ctx, q, n.Name, n.Used, totals)
}

// Simulated is the clear-cut of a report on some crawls of one network, as JSON
// for a dataset; empty if nothing could be simulated. Whoever leaves holds at
// least smallest peers there, and addresses of entry points are withheld.
func Simulated(ctx context.Context, q analysis.Querier, rules *operator.Rules, network string, crawls []string, smallest int) (string, error) {
	n := Network{Name: network, Used: crawls}
	if err := n.readClearcut(ctx, q, rules); err != nil {
		return "", err
	}
	for _, r := range []**clearcut.Result{&n.Clearcut.Operators, &n.Clearcut.Organisations} {
		if *r != nil {
			if withhold(*r, smallest); len((*r).Steps) == 0 {
				*r = nil
			}
		}
	}
	if n.Clearcut.main() == nil {
		return "", nil
	}
	text, err := json.Marshal(n.Clearcut)
	return string(text), err
}

// withhold ends a result before the first step at which fewer than smallest
// leave, and names no address.
func withhold(r *clearcut.Result, smallest int) {
	gone := 0
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Cut.Removed-gone < smallest {
			r.Steps = r.Steps[:i]
			break
		}
		gone = s.Cut.Removed
		unaddressed(s.Cut.EntryPoints)
		if s.Random != nil {
			unaddressed(s.Random.EntryPoints)
		}
	}
	unaddressed(r.Before.EntryPoints)
}

func unaddressed(e *clearcut.Entries) {
	if e == nil {
		return
	}
	for _, list := range [][]string{e.Gone, e.Other} {
		for i := range list {
			list[i] = "(withheld)"
		}
	}
}

// publishedClearcut reads a result from a dataset.
func (n *Network) publishedClearcut(ctx context.Context, q analysis.Querier) error {
	n.Clearcut = &Clearcut{Absent: "The dataset holds no clear-cut of this network: its crawls kept no routing tables, or too few peers leave."}
	rows, err := q.QueryContext(ctx, `SELECT result FROM clearcuts WHERE network = @network AND scope = @scope LIMIT 1`, sql.Named("network", n.Name), sql.Named("scope", n.Scope))
	if err != nil {
		return fmt.Errorf("read clear-cut: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return fmt.Errorf("read clear-cut: %w", err)
		}
		n.Clearcut = &Clearcut{}
		if err := json.Unmarshal([]byte(text), n.Clearcut); err != nil {
			return fmt.Errorf("read clear-cut: %w", err)
		}
	}
	return rows.Err()
}
