package reports

import (
	"context"
	"fmt"
	"math"
	"slices"

	"canopy/analysis"
	"canopy/analysis/identity"
	"canopy/reports/page"
)

// setAside finds out which identities are no sign of one peer each, and returns
// a reader of the record without them. A crawl that found nobody else is left
// out of the shares.
func (n *Network) setAside(ctx context.Context, q analysis.Querier) (analysis.Querier, error) {
	find := identity.DefaultLimits().SetAside
	if n.published {
		find = identity.DefaultLimits().Published
	}
	r, err := find(ctx, q, n.Name, n.Used)
	if err != nil {
		return nil, err
	}
	n.Aside = r
	left := 0
	for t, id := range slices.Clone(n.Used) {
		if r.SetAside[t] == 0 || r.SetAside[t] < r.Answered[t] {
			n.Used[left] = id
			left++
		}
	}
	if n.Used = n.Used[:left]; left == 0 {
		n.Absent = "No shares: all peers that answered were set aside."
	}
	return r.Without(q), nil
}

// aside says who is left out of every share, and why.
func (v view) aside() page.Section {
	r := v.Aside
	what := map[identity.Reason]string{
		identity.ManyEndpoints: fmt.Sprintf("one ID answers at more than %d endpoints within one crawl", r.Limits.Endpoints),
		identity.SharedAddress: fmt.Sprintf("more than %d IDs answer at one endpoint", r.Limits.IDs),
		identity.SharedBlock:   fmt.Sprintf("more than %d IDs answer within one /24, or /56 in IPv6", r.Limits.BlockIDs),
		identity.Crowding:      fmt.Sprintf("more IDs share a prefix than random ones would, but with a chance of 1 in %s", count(int(math.Round(1/r.Limits.Chance)))),
	}
	var rows [][]string
	for _, f := range r.Findings {
		rows = append(rows, []string{sentence(string(f.Reason)), count(f.Peers), count(sum(f.Counts)), what[f.Reason]})
	}
	rows = append(rows, []string{"Answered as somebody else", "–", count(sum(r.Strangers)), "never counted as reachable"})
	t := table("Set aside and in no share or session here: identities that are no sign of one peer each. Each counts under the first reason that applies.",
		[]string{"Reason", "IDs", "answers", "what it means"}, rows)
	t[0].Table.Numeric = []bool{false, true, true, false}
	return v.part("aside", "Who is not counted",
		text("%s of %s answers came from identities that are set aside. Who stands behind them can’t be told, so they are no community of nodes, and no company’s either.",
			count(sum(r.SetAside)), count(sum(r.Answered))), t)
}

func sum(list []int) (total int) {
	for _, n := range list {
		total += n
	}
	return total
}
