package reports

import (
	"context"
	"fmt"
	"slices"
	"time"

	"canopy/analysis"
	"canopy/analysis/comparison"
	"canopy/analysis/operator"
	"canopy/analysis/reachability"
	"canopy/reports/page"
)

// Before is the headlines beside those of the period of equal length before.
type Before struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Crawls  int       `json:"crawls"`
	Peers   int       `json:"peers"`
	Absent  string    `json:"absent,omitempty"` // why nothing is compared, empty if something is
	Changes []Change  `json:"changes"`
}

// Change is one figure now and before.
type Change struct {
	What       string            `json:"what"`
	Now        analysis.Estimate `json:"now"`
	Before     analysis.Estimate `json:"before"`
	Difference analysis.Estimate `json:"difference"`
	Share      bool              `json:"share"` // else a number
}

// earlier is the period of equal length before that of a report; ok is false
// if the report has no beginning. A report without an end ends with its last
// crawl.
func (n *Network) earlier() (w analysis.Window, ok bool) {
	w.To = n.window.From
	to := n.window.To
	if _, last := n.period(); to.IsZero() && !last.IsZero() {
		to = last.Add(time.Millisecond)
	}
	if w.To.IsZero() || !to.After(w.To) {
		return w, false
	}
	w.From = w.To.Add(-to.Sub(w.To))
	return w, true
}

// readBefore sets the headlines beside those of the period before, if the two
// can be compared.
func (n *Network) readBefore(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	w, ok := n.earlier()
	if !ok {
		return nil
	}
	n.Before = &Before{From: w.From, To: w.To}
	crawls, err := reachability.Crawls(ctx, q, w)
	if err != nil {
		return err
	}
	crawls = slices.DeleteFunc(crawls, func(c reachability.Crawl) bool { return c.Network != n.Name || c.Scope != n.Scope || !c.Finished() })
	if len(crawls) == 0 {
		n.Before.Absent = "the record holds no crawl of it"
		return nil
	}
	old := newNetwork(crawls)
	old.published = n.published
	if n.Before.Absent = incomparable(n, old); n.Before.Absent != "" {
		return nil
	}
	counted, err := old.setAside(ctx, q)
	if err != nil {
		return err
	}
	if n.Before.Absent = incomparable(n, old); n.Before.Absent != "" {
		return nil
	}
	census, err := old.census(ctx, counted, rules, nil)
	if err != nil {
		return err
	}
	if err := old.counted(judged(census.Groups)); err != nil {
		return err
	}
	old.Bounds = bounded(old.Operator, census.Groups)
	outcomes, err := reachability.Outcomes(ctx, q, n.Name, snapshots(crawls))
	if err != nil {
		return err
	}
	old.ended(outcomes)
	n.Before.Crawls, n.Before.Peers = len(old.Used), old.Peers
	n.compare(old)
	return nil
}

// incomparable says why two periods can't be compared, nothing if they can.
func incomparable(now, before *Network) string {
	for _, p := range []struct {
		name string
		of   *Network
	}{{"the period before", before}, {"this period", now}} {
		switch used := p.of.used(); {
		case len(used) < 2:
			return p.name + " has " + plural(len(used), "whole crawl") + ", and it takes two to know how much figures vary by themselves"
		case slices.ContainsFunc(used, reachability.Crawl.Degraded):
			return "a crawl of " + p.name + " was degraded, so that living peers may have been missed"
		}
	}
	if a, b := now.vantages(), before.vantages(); !slices.Equal(a, b) {
		return "it was measured from elsewhere: " + joined(b, 4) + ", now " + joined(a, 4)
	}
	return ""
}

// vantages are the places from which the crawls used were made.
func (n *Network) vantages() (list []string) {
	for _, c := range n.used() {
		list = append(list, named(c.Vantage, "a vantage without a name"))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// perCrawl is the mean number of reachable peers of a crawl.
func (n *Network) perCrawl() (analysis.Estimate, bool) {
	var values []float64
	for _, c := range n.used() {
		values = append(values, float64(c.Reachable))
	}
	return comparison.Mean(values, "reachable peers of a crawl", "crawls")
}

// compare fills in the changes.
func (n *Network) compare(old *Network) {
	add := func(what string, now, before *analysis.Estimate, share bool) {
		if now != nil && before != nil {
			n.Before.Changes = append(n.Before.Changes, Change{what, *now, *before, comparison.Difference(*now, *before), share})
		}
	}
	class := func(list []Share, name string) *analysis.Estimate {
		for _, s := range list {
			if s.Class == name {
				return &s.Share
			}
		}
		return nil
	}
	for _, s := range n.Hosting {
		add("On land of class "+landLabel(s.Class), &s.Share, class(old.Hosting, s.Class), true)
	}
	for i, o := range n.bounds() {
		b := old.bounds()[i]
		add("Run by "+o.Class+", at least", &o.AtLeast, &b.AtLeast, true)
		add("Run by "+o.Class+", at most", &o.AtMost, &b.AtMost, true)
	}
	add("Answered, of those discovered", n.Answered, old.Answered, true)
	if a, ok := n.perCrawl(); ok {
		if b, ok := old.perCrawl(); ok {
			add("Reachable peers of a crawl", &a, &b, false)
		}
	}
	if n.Organisations != nil && old.Organisations != nil {
		add("Effective number of organisations, 1/HHI", &n.Organisations.Effective, &old.Organisations.Effective, false)
	}
}

// before is the section.
func (v view) before() page.Section {
	const name, heading = "before", "Since the period before"
	b := v.Before
	switch {
	case b == nil:
		return v.part(name, heading, notice("This report covers the record from its beginning, so there is no period before. A report with --from compares with the period of equal length before it."))
	case b.Absent != "":
		return v.part(name, heading, notice("Not compared with the period before, %s: %s.", span(b.From, b.To), legible(b.Absent)))
	}
	var rows [][]string
	clear := 0
	for _, c := range b.Changes {
		verdict := "no clear change"
		if c.Difference.Lower > 0 || c.Difference.Upper < 0 {
			verdict = "clear"
			clear++
		}
		write, points := percentInterval, pointsInterval
		if !c.Share {
			write, points = decimal, changeInterval
		}
		rows = append(rows, []string{c.What, write(c.Now), write(c.Before), points(c.Difference), verdict})
	}
	return v.part(name, heading,
		text("%d of %d figures changed clearly since the period before, %s. Both periods are counted in the same cell, from the same place, by today’s rules; of %d figures about one in twenty would seem to change by chance.",
			clear, len(rows), span(b.From, b.To), len(rows)),
		table(fmt.Sprintf("This period beside the one before (n\u00a0=\u00a0%s in %s), with 95\u00a0%% intervals; differences of shares in points.", plural(b.Peers, "distinct peer"), plural(b.Crawls, "crawl")),
			[]string{"Figure", "now", "before", "difference", "change"}, rows))
}

// span writes a period as its ends tell it.
func span(from, to time.Time) string {
	form := "2 January 2006"
	if to.Sub(from) < 48*time.Hour {
		form = "2 January 2006 15:04:05"
	}
	return from.UTC().Format(form) + " to " + to.UTC().Format(form)
}

// pointsInterval writes a difference of shares.
func pointsInterval(e analysis.Estimate) string {
	return fmt.Sprintf("%+.1f (%+.1f to %+.1f)", 100*e.Value, 100*e.Lower, 100*e.Upper)
}

// changeInterval writes a difference of numbers.
func changeInterval(e analysis.Estimate) string {
	form := "%+.1f (%+.1f to %+.1f)"
	if e.Upper-e.Lower > 20 {
		form = "%+.0f (%+.0f to %+.0f)"
	}
	return fmt.Sprintf(form, e.Value, e.Lower, e.Upper)
}
