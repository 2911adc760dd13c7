package reports

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"canopy/analysis"
	size "canopy/analysis/population"
	"canopy/analysis/reachability"
	"canopy/reports/figure"
	"canopy/reports/page"
)

// Size is how large a network is, as the latest zone that was walked shows it.
type Size struct {
	*size.Result
	Absent string `json:"absent,omitempty"` // why there is no estimate
}

const noZone = "No crawl of this period kept to a zone of the key space, so the size of the network is not estimated. A whole crawl counts whom it reaches, which is a floor."

// readSize estimates how large the network is.
func (n *Network) readSize(ctx context.Context, q analysis.Querier) error {
	if n.published {
		result, err := size.Published(ctx, q, n.Name, n.Scope)
		if err != nil {
			return err
		}
		n.takeSize(result)
		return nil
	}
	var crawls []size.Crawl
	for _, c := range n.Crawls {
		if c.Zone != "" && c.Exhausted() {
			crawls = append(crawls, size.Crawl{ID: c.ID, Zone: c.Zone, StartedAt: c.StartedAt})
		}
	}
	result, err := size.Read(ctx, q, n.Name, crawls)
	if err != nil {
		return err
	}
	n.takeSize(result)
	return nil
}

// takeSize takes an estimate, nil if there is none.
func (n *Network) takeSize(result *size.Result) {
	if n.Size = (&Size{Result: result}); result == nil {
		n.Size.Absent = noZone
	}
}

// snapshots are the IDs of the crawls of a whole network. One that was cut short
// is none: it has not asked twice those who were silent.
func snapshots(crawls []reachability.Crawl) (ids []string) {
	for _, c := range crawls {
		if c.Snapshot() {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// visited is from the first to the last crawl of a whole network.
func (n *Network) visited() (first, last time.Time) {
	for _, c := range n.Crawls {
		switch {
		case !c.Snapshot():
			continue
		case first.IsZero():
			first = c.StartedAt
		}
		last = c.StartedAt
	}
	return first, last
}

// sized is one of the three answers.
type sized struct {
	name, method string
	size.Answer
}

func (s *Size) answers() []sized {
	return []sized{
		{"marked nodes in a zone", "planted-node correction", s.Corrected},
		{"distances of lookups", "lookup distances", s.Distances},
		{"two crawls (a floor)", "capture and recapture", s.Floor},
	}
}

// nodes writes a number of nodes and its interval with the digits that it
// warrants.
func nodes(e *analysis.Estimate) string {
	step := math.Pow10(max(0, int(math.Floor(math.Log10(max(1, (e.Upper-e.Lower)/20))))))
	round := func(v float64) string { return figure.Count(math.Round(v/step) * step) }
	return fmt.Sprintf("%s (%s–%s)", round(e.Value), round(e.Lower), round(e.Upper))
}

func (s *Size) finding() string {
	for _, a := range s.answers() {
		if a.Estimate == nil {
			continue
		}
		switch {
		case !s.Agreement.Tested:
			return fmt.Sprintf("About %s nodes answer, by %s alone", nodes(a.Estimate), a.method)
		case s.Agreement.Agree:
			return fmt.Sprintf("About %s nodes answer, and the ways to count them agree", nodes(a.Estimate))
		}
		return fmt.Sprintf("About %s nodes answer by %s, but the ways to count them do not agree", nodes(a.Estimate), a.method)
	}
	return "How many nodes answer can’t be told from this zone"
}

// drawSize draws the intervals side by side.
func (n *Network) drawSize(draw func(name, title, caption string, chart figure.Chart)) {
	s := n.Size
	if s == nil || s.Result == nil {
		return
	}
	b := figure.Bars{Axis: "nodes that answer", Format: figure.Count, Keys: []figure.Key{{Look: figure.Blue}}, Whisk: interval}
	for _, a := range s.answers() {
		if e := a.Estimate; e != nil {
			b.Rows = append(b.Rows, figure.Bar{Label: a.name, Parts: []float64{e.Value}, Lower: e.Lower, Upper: e.Upper, Value: nodes(e)})
		}
	}
	if len(b.Rows) == 0 {
		return
	}
	b.Rows = append(b.Rows, figure.Bar{Label: "zone scaled, uncorrected", Parts: []float64{s.Naive}, Value: figure.Count(s.Naive)})
	draw("size", s.finding(), fmt.Sprintf("Unit: nodes that answer. n\u00a0=\u00a0%s found in zone %s, %s of %s marked nodes among them, %s; %s. "+
		"Interval: 95 %%; the uncorrected count has none, since what it misses is unknown.", count(s.Evidence.Found), legible(s.Crawl.Zone),
		count(s.Evidence.Marks.Found()), count(s.Evidence.Marks.Total()), plural(s.lookups(), "lookup"), dates(s.Crawl.StartedAt, s.Crawl.StartedAt)), b)
}

func (s *Size) lookups() int {
	if s.Evidence.Distances == nil {
		return 0
	}
	return s.Evidence.Distances.Lookups
}

// size tells how large the network is.
func (v view) size() page.Section {
	const heading = "How large is it"
	s := v.Size
	if s == nil || s.Result == nil {
		return v.part("size", heading, notice("%s", noZone))
	}
	var rows [][]string
	var warnings []string
	for _, a := range s.answers() {
		if a.Estimate == nil {
			rows = append(rows, []string{a.name, "–", sentence(a.Absent)})
			continue
		}
		rows = append(rows, []string{a.name, nodes(a.Estimate), a.Estimate.Method})
		for _, w := range a.Estimate.Warnings {
			warnings = append(warnings, sentence(a.name)+": "+w+".")
		}
	}
	naive := "the nodes found times 2^bits"
	if s.NaiveError != nil {
		naive += fmt.Sprintf("; %+.0f%s%% beside the corrected one", 100**s.NaiveError, nbsp)
	}
	rows = append(rows, []string{"zone scaled, uncorrected", figure.Count(s.Naive), naive})
	t := table("Nodes that answer in the whole network, with 95 % intervals.", []string{"By", "nodes", "method, or why there is none"}, rows)
	t[0].Table.Numeric = []bool{false, true, false}
	blocks := [][]page.Block{
		text("A network too large to be walked whole is measured in one zone of its key space, here %s: all IDs that begin with these bits. %s", legible(s.Crawl.Zone), s.agreement()),
		v.figure("size"), t,
	}
	for _, w := range s.Warnings {
		warnings = append(warnings, sentence(w)+".")
	}
	if len(warnings) > 0 {
		blocks = append(blocks, []page.Block{{List: warnings}})
	}
	return v.part("size", heading, blocks...)
}

// agreement says in a sentence whether the estimates agree, and by which test.
func (s *Size) agreement() string {
	a := s.Agreement
	switch {
	case !a.Tested:
		return "There are not two estimates to compare."
	case a.Agree:
		return fmt.Sprintf("The estimates agree (p = %s): %s.", probability(a.P), a.Method)
	}
	return fmt.Sprintf("The estimates do not agree (p = %s), so at least one of them rests on something that does not hold: %s.", probability(a.P), a.Method)
}

func probability(p float64) string {
	if p < 0.001 {
		return "<0.001"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.2g", p), ".0")
}
