package reports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"canopy/analysis"
	"canopy/analysis/clearcut"
	"canopy/analysis/operator"
	"canopy/reports/figure"
	"canopy/reports/page"
)

// Clearcut is what stands when the largest leave, by the routing tables of the
// latest whole crawl that kept them.
type Clearcut struct {
	Operators     *clearcut.Result `json:"operators,omitempty"` // by name; nil if nobody is named
	Organisations *clearcut.Result `json:"organisations,omitempty"`
	Absent        string           `json:"absent,omitempty"` // why there is nothing, empty if there is
}

// How much a report simulates.
const (
	cutsShown  = 6
	cutLookups = 2000
	cutSets    = 3
)

// readClearcut simulates the largest leaving.
func (n *Network) readClearcut(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	if n.published {
		return n.publishedClearcut(ctx, q)
	}
	n.Clearcut = &Clearcut{}
	crawl, err := clearcut.Latest(ctx, q, n.Name, n.Used)
	if errors.Is(err, clearcut.ErrNoTables) {
		n.Clearcut.Absent = "No crawl of the period kept routing tables: crawl with --edges, and this part fills."
		return nil
	}
	if err != nil {
		return err
	}
	graph, err := clearcut.Load(ctx, q, rules, &crawl)
	var described clearcut.NetworkError
	if errors.As(err, &described) {
		n.Clearcut.Absent = "The latest crawl with routing tables can’t be simulated: " + legible(described.Error()) + "."
		return nil
	}
	if err != nil {
		return err
	}
	if n.Clearcut.Operators, err = n.fell(ctx, graph, crawl, clearcut.ByOperator); err != nil {
		return err
	}
	if n.Clearcut.Organisations, err = n.fell(ctx, graph, crawl, clearcut.ByOrganisation); err != nil {
		return err
	}
	if n.Clearcut.main() == nil {
		n.Clearcut.Absent = cmp.Or(n.Clearcut.Absent, "Nobody is known who could leave: no peer of the crawl has a known operator or organisation.")
	}
	return nil
}

// fell removes the largest of one kind, one after the other. It returns nil if
// nobody is known, or nothing is left without the first.
func (n *Network) fell(ctx context.Context, graph *clearcut.Graph, crawl clearcut.Crawl, kind string) (*clearcut.Result, error) {
	holders := len(graph.Holders(kind))
	if holders == 0 {
		return nil, nil
	}
	r, err := graph.Run(ctx, clearcut.Scenario{
		Network: n.Name, Crawl: crawl.ID, Lookups: cutLookups, Repetitions: cutSets, Seed: 1,
		Remove: clearcut.Removal{Largest: min(cutsShown, holders), By: kind},
	})
	if errors.Is(err, clearcut.ErrTooFew) {
		n.Clearcut.Absent = "With the largest " + kind + " gone, fewer than two peers would be left: nothing could be looked up any more."
		return nil, nil
	}
	r.Crawl = crawl
	return &r, err
}

// main is the result that the finding is about: operators if any has a name.
func (c *Clearcut) main() *clearcut.Result {
	if c == nil {
		return nil
	}
	return cmp.Or(c.Operators, c.Organisations)
}

// clearcutFinding says in words what stands when the largest leaves, beside
// what stands now.
func (n *Network) clearcutFinding() string {
	return n.withoutLargest() + "; with nobody leaving it is " + ofHundred(n.Clearcut.main().Before.Recorded.Success)
}

func (n *Network) withoutLargest() string {
	s := n.Clearcut.main().Steps[0]
	return fmt.Sprintf("If %s left, %s of 100 lookups would still succeed", joined(s.Leaves, 3), ofHundred(s.Cut.Recorded.Success))
}

// ofHundred writes a share as a number of 100.
func ofHundred(e analysis.Estimate) string {
	return number(e.Value, min(1, decimals(e)))
}

func ofHundredInterval(e analysis.Estimate) string {
	d := decimals(e)
	return fmt.Sprintf("%s (%s to %s)", number(e.Value, d), number(e.Lower, d), number(e.Upper, d))
}

// drawClearcut draws the curve of share removed against lookup success.
func (n *Network) drawClearcut(draw func(name, title, caption string, chart figure.Chart)) {
	main := n.Clearcut.main()
	if main == nil {
		return
	}
	draw("clearcut", n.clearcutFinding(), n.clearcutCaption(main), n.clearcutChart())
}

func (n *Network) clearcutCaption(r *clearcut.Result) string {
	k := r.Crawl.Network.K
	return fmt.Sprintf("Unit: share of iterative lookups (k = %d, alpha = %d) from random survivors to random keys that find the closest living peer. "+
		"n\u00a0=\u00a0%s for each point, on the tables of %s that answered, %s. Each point: all larger ones are gone too. %s"+
		"Band: 95\u00a0%% interval, Wilson over lookups, for random sets on the effective sample size.",
		k, r.Crawl.Network.Alpha, plural(r.Scenario.Lookups, "lookup"), plural(r.Living, "peer"), r.Crawl.StartedAt.Format("2 January 2006 15:04"), randomWords(r))
}

// randomWords says of how many lookups points at random are made: each set has
// an equal part of them, so that a few may be left over.
func randomWords(r *clearcut.Result) string {
	for _, s := range r.Steps {
		if s.Random != nil {
			return fmt.Sprintf("Random: mean over %s of the same size, %s in all. ", plural(r.Scenario.Repetitions, "set"), plural(s.Random.Recorded.Success.N, "lookup"))
		}
	}
	return ""
}

func (n *Network) clearcutChart() figure.Curves {
	c := figure.Curves{
		AxisX: "share of the peers that answered which is removed", AxisY: "share of lookups that find the closest living peer, tables as recorded",
		FormatX: figure.Percent, FormatY: figure.Percent,
	}
	random := curve("as many peers at random", figure.Neutral)
	for _, s := range []struct {
		result *clearcut.Result
		name   string
		look   figure.Look
	}{
		{n.Clearcut.Operators, "operators, largest first", figure.Orange},
		{n.Clearcut.Organisations, "AS organisations, largest first", figure.Blue},
	} {
		if s.result == nil {
			continue
		}
		line := curve(s.name, s.look)
		add(&line, s.result.Before)
		for _, step := range s.result.Steps {
			add(&line, step.Cut)
			if !slices.Contains(random.X, step.Random.Share.Value) {
				add(&random, *step.Random)
			}
		}
		c.Curves = append(c.Curves, line)
		if len(random.X) == len(s.result.Steps) {
			add(&random, s.result.Before)
		}
	}
	c.Curves = append(c.Curves, ascending(random))
	return c
}

func curve(name string, look figure.Look) figure.Curve {
	return figure.Curve{Series: figure.Series{Key: figure.Key{Name: name, Look: look}}}
}

func add(c *figure.Curve, cut clearcut.Cut) {
	s := cut.Recorded.Success
	c.X, c.Values = append(c.X, cut.Share.Value), append(c.Values, s.Value)
	c.Lower, c.Upper = append(c.Lower, s.Lower), append(c.Upper, s.Upper)
}

// ascending puts the points of a curve in the order of X.
func ascending(c figure.Curve) figure.Curve {
	order := make([]int, len(c.X))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(c.X[a], c.X[b]) })
	sorted := curve(c.Name, c.Look)
	for _, i := range order {
		sorted.X, sorted.Values = append(sorted.X, c.X[i]), append(sorted.Values, c.Values[i])
		sorted.Lower, sorted.Upper = append(sorted.Lower, c.Lower[i]), append(sorted.Upper, c.Upper[i])
	}
	return sorted
}

// clearcut is the section.
func (v view) clearcut() page.Section {
	const name, heading = "clearcut", "What stands after a clear-cut"
	main := v.Clearcut.main()
	if main == nil {
		absent := "The period holds no crawl to simulate on."
		if v.Clearcut != nil {
			absent = v.Clearcut.Absent
		}
		return v.part(name, heading, notice("%s", absent))
	}
	last := main.Steps[len(main.Steps)-1]
	s := main.Steps[0].Cut
	blocks := [][]page.Block{
		text("%s%s; after one round of repair %s. With nobody leaving it is %s. %s",
			v.withoutLargest(), intervalOf(s.Recorded.Success), ofHundredInterval(s.Repaired.Success), ofHundredInterval(main.Before.Recorded.Success), lostWords(s.RecordsLost.Value)),
		entryWords(s.EntryPoints),
		text("What is removed: all peers of a holder, the largest first, up to %s of the peers that answered. What is run: the network’s own lookup, on the routing tables that one crawl recorded, dead entries and all. "+
			"The network would go on repairing itself and newcomers would come; neither is simulated beyond one round of repair.", percent(last.Cut.Share)),
		v.figure("clearcut"),
	}
	for _, r := range []*clearcut.Result{v.Clearcut.Operators, v.Clearcut.Organisations} {
		if r != nil {
			blocks = append(blocks, clearcutTables(r))
		}
	}
	var notes []string
	for _, w := range append(main.Crawl.Warnings(), main.Warnings...) {
		notes = append(notes, harmless(w, longestSentence))
	}
	if len(notes) > 0 {
		blocks = append(blocks, []page.Block{{List: notes}})
	}
	return v.part(name, heading, append(blocks, text("%s", cutMethod))...)
}

const cutMethod = "Method: a lookup starts with the k closest peers of the survivor’s own table; in each round it asks the alpha closest of the k best that were not asked, drops the silent, and ends when all k have answered. " +
	"It succeeds if it found the living peer that is closest to the key in truth. Repair: each survivor drops dead entries and asks, for each bucket that lost one, its closest living entries for more, once. " +
	"Records lost: the exact share of keys whose k closest peers were all removed, beside f to the power k, which would hold if holders were independent. " +
	"All of it is a simulation on a snapshot, not a forecast."

func intervalOf(e analysis.Estimate) string {
	d := decimals(e)
	return fmt.Sprintf(" (95\u00a0%% interval %s to %s)", number(e.Lower, d), number(e.Upper, d))
}

// entryWords says who of the entry points is left.
func entryWords(e *clearcut.Entries) []page.Block {
	if e == nil || e.Known == 0 {
		return nil
	}
	return text("Of %s that the crawl entered by and met, %d would be left.", plural(e.Known, "entry point"), e.Left)
}

// lostWords says how much is lost with those who keep it.
func lostWords(share float64) string {
	if share == 0 {
		return "No record would lose every peer that keeps it."
	}
	return sentence(tinyShare(share)) + " of all records would lose every peer that keeps them."
}

// tinyShare writes a share that may be far below a percent.
func tinyShare(v float64) string {
	switch {
	case v == 0:
		return "none"
	case v < 1e-6:
		return "<0.0001" + nbsp + "%"
	}
	digits := max(0, 1-int(math.Floor(math.Log10(100*v)))) // two that count
	return strconv.FormatFloat(100*v, 'f', digits, 64) + nbsp + "%"
}

// clearcutTables show lookups, and what else changes.
func clearcutTables(r *clearcut.Result) []page.Block {
	success, rest := [][]string{successRow("nobody", r.Before, nil)}, [][]string{restRow("nobody", r.Before)}
	for i, s := range r.Steps {
		name := joined(s.Leaves, 3)
		if i > 0 {
			name = "and " + name
		}
		success, rest = append(success, successRow(name, s.Cut, s.Random)), append(rest, restRow(name, s.Cut))
	}
	by := r.Scenario.Remove.By
	return append(
		table(fmt.Sprintf("If the largest leave one after the other, by %s: lookups of 100 that succeed, with 95\u00a0%% intervals.", by),
			[]string{"Leaves", "peers gone", "tables as recorded", "after repair", "random peers instead"}, success),
		table(fmt.Sprintf("What else changes, by %s, on the tables as recorded: hops of a lookup that succeeds, messages of a lookup, survivors that hang together, and records lost with every peer that keeps them.", by),
			[]string{"Leaves", "hops", "messages", "hang together", "records lost", "if independent (f^k)"}, rest)...)
}

func successRow(name string, c clearcut.Cut, random *clearcut.Cut) []string {
	beside := "–"
	if random != nil {
		beside = ofHundredInterval(random.Recorded.Success)
	}
	return []string{name, percent(c.Share), ofHundredInterval(c.Recorded.Success), ofHundredInterval(c.Repaired.Success), beside}
}

func restRow(name string, c clearcut.Cut) []string {
	hops := "–"
	if e := c.Recorded.Hops; e != nil {
		hops = fmt.Sprintf("%.2f (%.2f–%.2f)", e.Value, e.Lower, e.Upper)
	}
	return []string{name, hops, decimal(c.Recorded.Messages), percent(c.Recorded.Component), tinyShare(c.RecordsLost.Value), tinyShare(c.Expected)}
}
