package reports

import (
	"context"
	"maps"
	"slices"

	"canopy/analysis"
	"canopy/analysis/comparison"
	"canopy/analysis/concentration"
	"canopy/analysis/shares"
	"canopy/reports/figure"
	"canopy/reports/page"
)

// replicates is how many resamples are worth their time with a number of
// holders.
func replicates(holders int) int { return min(1000, max(200, 2_000_000/max(1, holders))) }

// effectiveTrend is the effective number of holders in each crawl of a sample,
// nil if there is one crawl only or one in which nobody is known to hold
// anything.
func effectiveTrend(s *shares.Sample, all []peers, unit string, holder func(peers) string) []analysis.Estimate {
	if len(s.Totals()) < 2 {
		return nil
	}
	held := map[string][]int{}
	for _, p := range all {
		name := holder(p)
		if name == "" {
			continue
		}
		if held[name] == nil {
			held[name] = make([]int, len(p.Counts))
		}
		for t, n := range p.Counts {
			held[name][t] += n
		}
	}
	var trend []analysis.Estimate
	for t := range s.Totals() {
		var counts []int
		for _, name := range slices.Sorted(maps.Keys(held)) {
			counts = append(counts, held[name][t])
		}
		e := concentration.Effective(unit, counts, "reachable peers of one crawl whose holder is known")
		if e.N == 0 {
			return nil
		}
		trend = append(trend, e)
	}
	return trend
}

// readPrefixes measures how few announced prefixes hold the peers; totals are
// the reachable peers of each crawl.
func (n *Network) readPrefixes(ctx context.Context, q analysis.Querier, totals []int) error {
	held, err := concentration.Prefixes(ctx, q, n.Name, n.Used, totals)
	if err != nil {
		return err
	}
	var holders []concentration.Holder
	var groups []shares.Group
	known := 0
	for _, h := range held {
		groups = append(groups, shares.Group{Peers: h.Peers, Counts: h.Counts, Weight: h.Weight, Squares: h.Squares})
		if h.Name != "" {
			holders, known = append(holders, concentration.Holder{Name: h.Name, Weight: h.Weight}), known+h.Peers
		}
	}
	if len(holders) == 0 { // no prefix is known of any peer
		return nil
	}
	s, err := shares.NewSample("reachable peers", groups)
	if err != nil {
		return err
	}
	c := &Concentration{Known: s.Share(func(i int) bool { return held[i].Name != "" })}
	c.Result, err = concentration.Compute("prefixes", holders, concentration.Options{
		Peers: s.EffectivePeers() * c.Known.Value, N: known, Replicates: replicates(len(holders)), Seed: 1,
	})
	if err != nil {
		return err
	}
	for _, h := range c.Holders[:min(mostHolders, len(c.Holders))] {
		c.Largest = append(c.Largest, Share{h.Name, s.Share(func(i int) bool { return held[i].Name == h.Name })})
	}
	n.Prefixes = c
	return nil
}

// trends are the concentrations that have a trend, with their looks.
func (n *Network) trends() (list []*Concentration, looks []figure.Look) {
	for i, c := range []*Concentration{n.Organisations, n.Countries, n.Operators} {
		if c != nil && len(c.Trend) > 1 {
			list, looks = append(list, c), append(looks, []figure.Look{figure.Blue, figure.Green, figure.Orange}[i])
		}
	}
	return list, looks
}

func (n *Network) concentrationTrend() figure.Lines {
	l := n.overTime("effective number of holders, 1/HHI: fewer is more concentrated", figure.Number)
	list, looks := n.trends()
	for i, c := range list {
		l.Series = append(l.Series, n.line(figure.Key{Name: c.Unit, Look: looks[i]}, c.Trend))
	}
	return l
}

func (n *Network) concentrationFinding() string {
	list, _ := n.trends()
	first, last := list[0].Trend[0], list[0].Trend[len(list[0].Trend)-1]
	switch change := comparison.Difference(last, first); {
	case change.Lower > 0:
		return "Fewer peers stand with the largest " + list[0].Unit + ": their effective number rose from " + decimal(first) + " to " + decimal(last)
	case change.Upper < 0:
		return "More peers stand with the largest " + list[0].Unit + ": their effective number fell from " + decimal(first) + " to " + decimal(last)
	}
	return "How concentrated the network is among " + list[0].Unit + " did not change clearly from the first crawl to the last"
}

func (n *Network) concentrationCaption() string {
	return "Unit: effective number of holders of the reachable peers of one crawl whose holder is known. n\u00a0=\u00a0" + plural(n.Peers, "distinct peer") +
		" in " + plural(len(n.Used), "crawl") + ", " + dates(n.period()) + "." + n.sparse() + " Band: 95\u00a0% interval, multinomial variance of HHI."
}

func (v view) concentrationTable() []page.Block {
	list, _ := v.trends()
	if len(list) == 0 {
		return nil
	}
	head := []string{"Crawl"}
	for _, c := range list {
		head = append(head, c.Unit)
	}
	var rows [][]string
	for t, crawl := range v.used() {
		row := []string{v.clock(crawl.StartedAt)}
		for _, c := range list {
			row = append(row, decimal(c.Trend[t]))
		}
		rows = append(rows, row)
	}
	return table("Effective number of holders in each crawl, 1/HHI, with 95\u00a0% intervals. Times in UTC.", head, rows)
}
