package reports

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// clear says whether the interval of the difference leaves no room for none.
func (c Change) clear() bool { return c.Difference.Lower > 0 || c.Difference.Upper < 0 }

// by writes the difference.
func (c Change) by() string {
	if c.Share {
		return pointsInterval(c.Difference)
	}
	return changeInterval(c.Difference)
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

// perCrawl is the mean number of peers that count in a crawl.
func (n *Network) perCrawl() (analysis.Estimate, bool) {
	values := make([]float64, len(n.perUsed))
	for t, peers := range n.perUsed {
		values[t] = float64(peers)
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
	share := func(of *Network, class string) *analysis.Estimate {
		if i := slices.IndexFunc(of.Hosting, func(s Share) bool { return s.Class == class }); i >= 0 {
			return &of.Hosting[i].Share
		}
		return of.nobody // stood there, then
	}
	var classes []string
	for _, s := range slices.Concat(n.Hosting, old.Hosting) {
		if !slices.Contains(classes, s.Class) {
			classes = append(classes, s.Class)
		}
	}
	for _, class := range classes {
		add(peersOn(class), share(n, class), share(old, class), true)
	}
	for i, o := range n.bounds() {
		b := old.bounds()[i]
		add("Run by "+runners(o.Class)+", at least", &o.AtLeast, &b.AtLeast, true)
		add("Run by "+runners(o.Class)+", at most", &o.AtMost, &b.AtMost, true)
	}
	add("Answered, of those discovered", n.Answered, old.Answered, true)
	if a, ok := n.perCrawl(); ok {
		if b, ok := old.perCrawl(); ok {
			add("Reachable peers of a crawl", &a, &b, false)
		}
	}
	if n.Organisations != nil && old.Organisations != nil {
		add("Effective number of organisations", &n.Organisations.Effective, &old.Organisations.Effective, false)
	}
}

// peersOn names the share of a hosting class among what changed.
func peersOn(class string) string { return "Peers " + landPlace(class) }

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
		if c.clear() {
			verdict = "clear"
			clear++
		}
		write := percentInterval
		if !c.Share {
			write = decimal
		}
		rows = append(rows, []string{c.What, write(c.Now), write(c.Before), c.by(), verdict})
	}
	return v.part(name, heading,
		text("%d of %d figures changed clearly since the period before, %s. Both periods are counted in the same cell, from the same place, by today’s rules; of %d figures about one in twenty would seem to change by chance.",
			clear, len(rows), span(b.From, b.To), len(rows)),
		table(fmt.Sprintf("This period beside the one before (n\u00a0=\u00a0%s in %s), with 95\u00a0%% intervals.", plural(b.Peers, "distinct peer"), plural(b.Crawls, "crawl")),
			[]string{"Figure", "now", "before", "difference", "change"}, rows))
}

// span writes a period as its ends tell it. One of whole days has its last day
// in it.
func span(from, to time.Time) string {
	from, to = from.UTC(), to.UTC()
	if midnight := 24 * time.Hour; from.Truncate(midnight).Equal(from) && to.Truncate(midnight).Equal(to) {
		return dates(from, to.Add(-time.Millisecond))
	}
	const form = "2 January 2006 15:04"
	return from.Format(form) + " to " + to.Format(form)
}

// pointsInterval writes a difference of shares.
func pointsInterval(e analysis.Estimate) string {
	return fmt.Sprintf("%s%spoints (%s to %s)", signed(100*e.Value, 1), nbsp, signed(100*e.Lower, 1), signed(100*e.Upper, 1))
}

// changeInterval writes a difference of numbers.
func changeInterval(e analysis.Estimate) string {
	digits := 1
	if e.Upper-e.Lower > 20 {
		digits = 0
	}
	return fmt.Sprintf("%s (%s to %s)", signed(e.Value, digits), signed(e.Lower, digits), signed(e.Upper, digits))
}

// signed writes a number with its sign, unless all that is shown of it is zero.
func signed(x float64, digits int) string {
	s := strconv.FormatFloat(x, 'f', digits, 64)
	if zero := strings.TrimPrefix(s, "-"); strings.Trim(zero, "0.") == "" {
		return zero
	}
	if x > 0 {
		return "+" + s
	}
	return s
}
