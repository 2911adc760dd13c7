package reports

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"canopy/analysis"
	"canopy/analysis/reachability"
	"canopy/reports/figure"
)

// banner stands on every figure and page with data of a local network.
const banner = "Synthetic demo data: a planned population on a local network, not a public one"

const interval = "95\u00a0% interval"

var looks = map[string]figure.Look{
	"community": figure.Green, "institutional": figure.Sky, "commercial": figure.Orange, unknown: figure.Neutral,
	"residential": figure.Green, "mobile": figure.Yellow, "hosting": figure.Orange, "anonymiser": figure.Purple,
}

func look(class string) figure.Look {
	if l, ok := looks[class]; ok {
		return l
	}
	return figure.Blue
}

// landLabel names a hosting class for people.
func landLabel(class string) string {
	switch class {
	case unknown:
		return "unknown land"
	case "hosting":
		return "hosting (cloud, VPS)"
	}
	return legible(class)
}

// operatorLabel names a kind of operator for people.
func operatorLabel(kind string) string {
	if kind == unknown {
		return "undecided"
	}
	return kind
}

// figures draws what there is to draw of one network, by what each shows.
func (n *Network) figures() (map[string]figure.Figure, error) {
	drawn := map[string]figure.Figure{}
	var errs []error
	draw := func(name, title, caption string, chart figure.Chart) {
		f, err := figure.Draw(n.frame(name, title, caption), chart)
		if err != nil {
			errs = append(errs, err)
			return
		}
		drawn[name] = f
	}
	if n.Absent == "" {
		draw("land", n.landFinding(), n.shareCaption("Length: hosting class; parts: who runs the peers, as far as the evidence decides."), n.landChart())
		draw("operators", n.operatorFinding(), n.shareCaption("Full: at least, if none of the undecided are of the kind; hatched: left open, up to at most, if all of them are; each verdict allowed twice its chance of error."), n.operatorChart())
		draw("counting", n.countingFinding(n.countedClass()), n.countingCaption(), n.countingChart(n.countedClass()))
		draw("clients", n.clientFinding(), n.shareCaption(""), shareBars(n.Clients, "no name given"))
		if n.Organisations != nil {
			draw("organisations", n.organisationFinding(), n.shareCaption("By the AS organisation of the address that answered."), shareBars(n.Organisations.Largest, ""))
		}
		if len(n.Used) > 1 {
			draw("trend", n.landTrendFinding(), n.trendCaption(""), n.trendChart("hosting class", n.Trend, landLabel))
			draw("operator-trend", trendFinding(n.OperatorTrend[0], "peers run by communities"), n.trendCaption(" As far as the evidence decides."),
				n.trendChart("who runs them", n.OperatorTrend, operatorLabel))
			if c := n.concentrationTrend(); len(c.Series) > 0 {
				draw("concentration-trend", n.concentrationFinding(), n.concentrationCaption(), c)
			}
		}
	}
	if n.Sessions != nil && n.Sessions.Crawls > 1 {
		draw("sessions", n.sessionFinding(), n.sessionCaption(), n.sessionChart())
	}
	if s := n.Survival; s != nil && s.main() != nil {
		draw("survival", s.finding(), n.survivalCaption("Three methods beside each other; bands: intervals."), n.survivalChart())
		if c := n.landSurvivalChart(); len(c.Curves) > 1 {
			draw("land-survival", s.landFinding(), n.survivalCaption("Kaplan-Meier with delayed entry."), c)
		}
	}
	if len(n.Outcomes) > 0 {
		draw("outcomes", n.outcomeFinding(), n.outcomeCaption(), n.outcomeChart())
	}
	n.drawClearcut(draw)
	n.drawSize(draw)
	return drawn, errors.Join(errs...)
}

func (n *Network) frame(name, title, caption string) figure.Frame {
	about := n.Title
	if n.Synthetic() {
		about += " (synthetic demo data)"
	}
	f := figure.Frame{Name: n.slug + "-" + name, Title: title, Caption: about + ". " + caption, Plain: n.plain}
	if n.Synthetic() {
		f.Banner = banner
	}
	return f
}

// Synthetic says whether the network is a local one.
func (n *Network) Synthetic() bool { return n.Scope == "local" }

func (n *Network) shareCaption(more string) string {
	first, last := n.period()
	parts := []string{
		"Unit: share of reachable peers, " + Cell + ".",
		fmt.Sprintf("n\u00a0=\u00a0%s in %s, %s.", plural(n.Peers, "distinct peer"), plural(len(n.Used), "crawl"), dates(first, last)),
	}
	if more != "" {
		parts = append(parts, more)
	}
	return strings.Join(append(parts, "Interval: 95\u00a0%, Wilson on the effective sample size."), " ")
}

// trendCaption is of shares of each crawl by itself.
func (n *Network) trendCaption(more string) string {
	first, last := n.period()
	return fmt.Sprintf("Unit: share of the reachable peers of one crawl. n\u00a0=\u00a0%s in %s, %s.%s%s Band: 95\u00a0%% interval, Wilson on the peers of that crawl.",
		plural(n.Peers, "distinct peer"), plural(len(n.Used), "crawl"), dates(first, last), more, n.sparse())
}

// period is from the first to the last crawl used.
func (n *Network) period() (first, last time.Time) {
	for _, c := range n.used() {
		if first.IsZero() {
			first = c.StartedAt
		}
		last = c.StartedAt
	}
	return first, last
}

func (n *Network) used() (used []reachability.Crawl) {
	in := make(map[string]bool, len(n.Used))
	for _, id := range n.Used {
		in[id] = true
	}
	for _, c := range n.Crawls {
		if in[c.ID] {
			used = append(used, c)
		}
	}
	return used
}

func (n *Network) landChart() figure.Bars {
	b := figure.Bars{Axis: "share of reachable peers", Format: figure.Percent, Whisk: interval + " of the whole bar"}
	for _, o := range n.Operator {
		b.Keys = append(b.Keys, figure.Key{Name: o.Class, Look: look(o.Class)})
	}
	b.Keys = append(b.Keys, figure.Key{Name: "undecided", Look: look(unknown)})
	for _, land := range n.Matrix {
		row := figure.Bar{Label: landLabel(land.Hosting), Lower: land.Share.Lower, Upper: land.Share.Upper, Value: percentInterval(land.Share)}
		for _, o := range land.Operators {
			row.Parts = append(row.Parts, o.AtLeast.Value)
		}
		row.Parts = append(row.Parts, land.Undecided.Value)
		b.Rows = append(b.Rows, row)
	}
	return b
}

func (n *Network) operatorChart() figure.Bars {
	b := figure.Bars{
		Axis: "share of reachable peers", Format: figure.Percent, Whisk: interval + " of each end",
		Keys: []figure.Key{{Name: "at least: the evidence decides", Look: figure.Blue}, {Name: "left open, up to at most", Look: figure.Neutral}},
	}
	for _, o := range n.bounds() {
		b.Rows = append(b.Rows, figure.Bar{
			Label: o.Class, Parts: []float64{o.AtLeast.Value, max(0, o.AtMost.Value-o.AtLeast.Value)}, Lower: o.AtMost.Lower, Upper: o.AtMost.Upper,
			First: &[2]float64{o.AtLeast.Lower, o.AtLeast.Upper}, Value: between(o.Bounded),
		})
	}
	undecided := bar("undecided", *n.Undecided)
	undecided.Parts = []float64{0, n.Undecided.Value}
	b.Rows = append(b.Rows, undecided)
	return b
}

// shareBars is a bar for each class with its interval.
func shareBars(list []Share, nameless string) figure.Bars {
	b := figure.Bars{Axis: "share of reachable peers", Format: figure.Percent, Keys: []figure.Key{{Look: figure.Blue}}, Whisk: interval}
	for _, s := range list {
		b.Rows = append(b.Rows, bar(named(s.Class, nameless), s.Share))
	}
	return b
}

func bar(label string, e analysis.Estimate) figure.Bar {
	return figure.Bar{Label: label, Parts: []float64{e.Value}, Lower: e.Lower, Upper: e.Upper, Value: percentInterval(e)}
}

func (n *Network) trendChart(by string, trend []Trend, label func(string) string) figure.Lines {
	l := n.overTime("share of reachable peers by "+by, figure.Percent)
	for _, t := range trend {
		l.Series = append(l.Series, n.line(figure.Key{Name: label(t.Class), Look: look(t.Class)}, t.Shares))
	}
	return l
}

// mostDrawn is about how many crawls a line has room for.
const mostDrawn = 400

// step is of how many crawls one is drawn.
func (n *Network) step() int { return (len(n.Used) + mostDrawn - 1) / mostDrawn }

// isDrawn says whether lines show a crawl; the first and the last are.
func (n *Network) isDrawn(t int) bool { return t%n.step() == 0 || t == len(n.Used)-1 }

// sparse says which crawls lines show, nothing if all.
func (n *Network) sparse() string {
	if n.step() < 2 {
		return ""
	}
	return fmt.Sprintf(" One crawl in %d and the last are drawn; the CSV has all.", n.step())
}

// overTime is a chart with the crawls to draw, and no line yet.
func (n *Network) overTime(axis string, format figure.Format) figure.Lines {
	l := figure.Lines{Axis: axis, Format: format}
	for t, c := range n.used() {
		if n.isDrawn(t) {
			l.Times = append(l.Times, c.StartedAt)
		}
	}
	return l
}

// line is what an estimate was in each crawl to draw.
func (n *Network) line(key figure.Key, list []analysis.Estimate) figure.Series {
	s := figure.Series{Key: key}
	for t, e := range list {
		if n.isDrawn(t) {
			s.Values, s.Lower, s.Upper = append(s.Values, e.Value), append(s.Lower, e.Lower), append(s.Upper, e.Upper)
		}
	}
	return s
}

func (n *Network) sessionChart() figure.Histogram {
	h := figure.Histogram{AxisX: "number of crawls in which a peer answered", AxisY: "distinct peers", Look: figure.Blue}
	for _, k := range n.Sessions.SeenIn {
		h.Counts = append(h.Counts, float64(k))
	}
	return h
}

func (n *Network) outcomeChart() figure.Bars {
	b := figure.Bars{Axis: "share of discovered peers", Format: figure.Percent, Keys: []figure.Key{{Look: figure.Blue}}, Whisk: interval}
	for _, o := range n.Outcomes {
		b.Rows = append(b.Rows, bar(outcomeLabel(o.Outcome.Outcome), o.Share))
	}
	return b
}

func outcomeLabel(outcome string) string { return strings.ReplaceAll(legible(outcome), "_", " ") }
