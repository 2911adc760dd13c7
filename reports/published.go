package reports

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"canopy/analysis"
	"canopy/analysis/clearcut"
	"canopy/analysis/findability"
	"canopy/analysis/operator"
	"canopy/analysis/reachability"
)

// census judges the peers of a network, or reads how they were judged before
// they became a dataset.
func (n *Network) census(ctx context.Context, q analysis.Querier, rules *operator.Rules, each func(v operator.Verdict, members []uint64)) (*operator.Census, error) {
	if n.published {
		return operator.Published(ctx, q, rules, n.Name, n.Used)
	}
	return operator.RecordMembers(ctx, q, rules, n.Name, n.Used, each)
}

// announced reads what peers call their programs; totals are the reachable
// peers of each crawl.
func (n *Network) announced(ctx context.Context, q analysis.Querier, totals []int) ([]analysis.Alike, error) {
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

// Found is what the checks of a period say of one network, as JSON for a
// dataset; empty if nothing was checked. Groups of fewer than smallest holders
// of content are left out. Entry points are named: clients ship with them.
func Found(ctx context.Context, q analysis.Querier, rules *operator.Rules, network, scope string, in analysis.Window, smallest int) (string, error) {
	r, err := findability.Read(ctx, q, rules, network, scope, in)
	if err != nil || r == nil {
		return "", err
	}
	few := func(p findability.Part) bool { return p.Count < smallest }
	for i := range r.Content {
		c := &r.Content[i]
		c.Land, c.Operators, c.Holders = slices.DeleteFunc(c.Land, few), slices.DeleteFunc(c.Operators, few), slices.DeleteFunc(c.Holders, few)
		c.Latest.Detail = ""
	}
	for i := range r.Entries {
		r.Entries[i].Latest.Detail = ""
	}
	text, err := json.Marshal(r)
	return string(text), err
}

// publishedResult reads a result from a table of a dataset.
func (n *Network) publishedResult(ctx context.Context, q analysis.Querier, table string, into any) (found bool, err error) {
	rows, err := q.QueryContext(ctx, "SELECT result FROM "+table+" WHERE network = @network AND scope = @scope LIMIT 1", sql.Named("network", n.Name), sql.Named("scope", n.Scope))
	if err != nil {
		return false, fmt.Errorf("read %s: %w", table, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return false, fmt.Errorf("read %s: %w", table, err)
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return false, fmt.Errorf("read %s: %w", table, err)
		}
		found = true
	}
	return found, rows.Err()
}

// publishedClearcut reads a result from a dataset.
func (n *Network) publishedClearcut(ctx context.Context, q analysis.Querier) error {
	n.Clearcut = &Clearcut{}
	found, err := n.publishedResult(ctx, q, "clearcuts", n.Clearcut)
	if !found {
		n.Clearcut.Absent = "The dataset holds no clear-cut of this network: its crawls kept no routing tables, or too few peers leave."
	}
	return err
}
