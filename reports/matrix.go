package reports

import (
	"context"
	"fmt"
	"math"
	"slices"

	"canopy/analysis"
	"canopy/analysis/shares"
	"canopy/reports/figure"
	"canopy/reports/page"
)

// Counting is every share in every way of counting it.
type Counting struct {
	Hosting  []shares.Cell `json:"hosting"`
	Operator []shares.Cell `json:"operator"`        // as far as the evidence decides; who never answered is undecided
	Moved    string        `json:"moved,omitempty"` // what to know where peers changed land within the period
}

// readCounting counts hosting classes and verdicts in every cell; all are the
// groups of reachable peers, verdict the place in operatorClasses of that on a
// peer, by its hash.
func (n *Network) readCounting(ctx context.Context, q analysis.Querier, all []peers, verdict map[uint64]uint8) error {
	visits := 0
	for _, c := range n.used() {
		visits += c.Discovered
	}
	in := shares.Question{Network: n.Name, Crawls: n.Used, Visits: visits, Land: hostingOrder, Kinds: operatorClasses}
	if !n.published {
		in.Verdict = func(peer uint64) int {
			if class, ok := verdict[peer]; ok {
				return int(class)
			}
			return len(operatorClasses) - 1
		}
	}
	n.Counting = &Counting{}
	var err error
	if n.Counting.Hosting, n.Counting.Operator, err = shares.Matrix(ctx, q, in); err != nil {
		return err
	}
	hosting := func(p peers) string { return p.Hosting }
	if n.Counting.Moved, err = moved(n.Counting.Hosting, all, hosting); err != nil {
		return err
	}
	if err := wholeHeadline(n.Counting.Hosting, all, hostingOrder, hosting); err != nil {
		return err
	}
	return wholeHeadline(n.Counting.Operator, all, operatorClasses, func(p peers) string { return p.Operator })
}

// wholeHeadline puts the count of all peers in the place of one of some, in the
// cell of the headline: the two must be one number.
func wholeHeadline(cells []shares.Cell, all []peers, order []string, class func(peers) string) error {
	groups := make([]shares.Group, len(all))
	for i, p := range all {
		groups[i] = p.Group
	}
	for i, cell := range cells {
		if !headlineCell(cell) || cell.OneIn == 0 {
			continue
		}
		whole, err := shares.ByGroups(groups, order, func(i int) int { return min(rank(order, class(all[i])), len(order)-1) })
		if err != nil {
			return err
		}
		cells[i] = whole
	}
	return nil
}

// moved says how far the cell of the headline is from the headline, nothing if
// they are one number: headlines and trends count a peer where it answered last,
// cells where it stood in each crawl.
func moved(cells []shares.Cell, all []peers, class func(peers) string) (string, error) {
	whole := slices.Clone(cells)
	for i := range whole { // also where every unit was counted
		whole[i].OneIn = max(1, whole[i].OneIn)
	}
	if err := wholeHeadline(whole, all, hostingOrder, class); err != nil {
		return "", err
	}
	most, words := 0.0, ""
	for i, cell := range cells {
		if !headlineCell(cell) || cell.OneIn > 0 { // a drawn part of the units differs by chance
			continue
		}
		for _, c := range whole[i].Classes {
			here := inCell(cell, c.Class)
			if by := math.Abs(here.Value - c.Share.Value); by > max(most, 1e-9) {
				most = by
				words = fmt.Sprintf("Some peers changed land within the period. Headline, trend and largest count a peer in all crawls where it answered last; the table counts it where it stood in each crawl. "+
					"So %s is %s here and %s there.", landLabel(c.Class), percent(here), percent(c.Share))
			}
		}
	}
	return words, nil
}

// headlineCell is the cell that headlines are in.
func headlineCell(c shares.Cell) bool {
	return c.Over == shares.Mean && c.Per == "peer" && c.Of == shares.Reachable
}

// countedClass is the class that the headline names, where it is one that the
// matrix tells apart.
func (n *Network) countedClass() string {
	if class := largestOf(n.Hosting).Class; slices.Contains(hostingOrder, class) {
		return class
	}
	return unknown
}

// countingFinding says how far the choice moves the share of a class.
func (n *Network) countingFinding(class string) string {
	low, high, _ := shares.Range(n.Counting.Hosting, class)
	from, to := inCell(low, class), inCell(high, class)
	phrase := landPhrase(class)
	if from.Value == to.Value {
		return "However it is counted, " + percent(to) + " " + phrase
	}
	return "From " + percent(from) + " to " + percent(to) + " " + phrase + ": the same crawls, counted in different ways"
}

// inCell is the share of a class in a cell, zero where nothing is in it.
func inCell(c shares.Cell, class string) analysis.Estimate {
	if e := c.Share(class); e != nil {
		return *e
	}
	upper := 1.0
	if len(c.Classes) > 0 {
		_, upper = shares.Wilson(0, float64(c.Units))
	}
	return analysis.Estimate{Upper: upper, Level: 0.95, N: c.Units, Unit: c.Name(), Method: shares.MatrixMethod}
}

func (n *Network) countingCaption() string {
	least, most := n.Counting.Hosting[0].Units, 0
	for _, c := range n.Counting.Hosting {
		least, most = min(least, c.Units), max(most, c.Units)
	}
	return fmt.Sprintf("Unit: share of what each row counts. n\u00a0=\u00a0%s to %s units, as the table beside it tells of each row, in %s, %s. A unit with several classes is mixed. "+
		"Interval: 95\u00a0%%, Wilson, for means on the effective sample size.", count(least), count(most), plural(len(n.Used), "crawl"), dates(n.period()))
}

func (n *Network) countingChart(class string) figure.Bars {
	b := figure.Bars{
		Axis: "share of class " + landLabel(class), Format: figure.Percent, Whisk: interval,
		Keys: []figure.Key{{Name: "cell of the headline", Look: figure.Green}, {Name: "other cells", Look: figure.Neutral}},
	}
	for _, c := range n.Counting.Hosting {
		row := bar(cellLabel(c), inCell(c, class))
		row.Parts = []float64{0, row.Parts[0]}
		if headlineCell(c) {
			slices.Reverse(row.Parts)
		}
		b.Rows = append(b.Rows, row)
	}
	return b
}

// cellLabel names a cell in few words.
func cellLabel(c shares.Cell) string {
	over := "mean"
	if c.Over == shares.Union {
		over = "union"
	}
	return sentence(c.Per) + ", " + c.Of + ", " + over
}

func (v view) counting() page.Section {
	class := v.countedClass()
	return v.part("counting", "How far the choice moves the answer",
		text("A share depends on what is counted. Mean: the share within each crawl, averaged. Union: everything seen in the period, once. Discovered: named by somebody, "+
			"with the address last tried; reachable: answered. A unit that shows several classes counts once, as mixed. The headline is in the cell “%s”.", Cell),
		v.movedWords(), v.figure("counting"),
		cellTable("Land: "+landLabel(class)+" and the other classes, in every way of counting, with 95\u00a0% intervals.", v.Counting.Hosting, append(slices.Clone(hostingOrder), shares.Mixed), landLabel),
		cellTable("Who runs it, as far as the evidence decides, with 95\u00a0% intervals. A verdict is on a peer, over the whole period; addresses, blocks and organisations that show "+
			"peers of several kinds are mixed. A peer that never answered shows no program, so that there is no verdict on it: among the discovered it is undecided.", v.Counting.Operator, append(slices.Clone(operatorClasses), shares.Mixed), operatorLabel))
}

func (v view) movedWords() []page.Block {
	if v.Counting.Moved == "" {
		return nil
	}
	return notice("%s", v.Counting.Moved)
}

// cellTable has a row for each cell and a column for each class in any.
func cellTable(caption string, cells []shares.Cell, order []string, label func(string) string) []page.Block {
	head := []string{"Counted", "units"}
	var shown []string
	for _, class := range order {
		if slices.ContainsFunc(cells, func(c shares.Cell) bool { e := c.Share(class); return e != nil && e.Value > 0 }) {
			shown, head = append(shown, class), append(head, label(class))
		}
	}
	var rows [][]string
	for _, c := range cells {
		units := count(c.Units)
		if c.OneIn > 1 {
			units += fmt.Sprintf(", one in %d drawn", c.OneIn)
		}
		row := []string{cellLabel(c), units}
		for _, class := range shown {
			if e := c.Share(class); e != nil && e.Value > 0 {
				row = append(row, percentInterval(*e))
			} else {
				row = append(row, "–")
			}
		}
		rows = append(rows, row)
	}
	return table(caption, head, rows)
}
