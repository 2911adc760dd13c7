package reports

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"canopy/analysis"
	"canopy/analysis/comparison"
	"canopy/analysis/operator"
	"canopy/analysis/survival"
	"canopy/reports/figure"
	"canopy/reports/page"
)

// Survival is how long sessions last, from probes between crawls.
type Survival struct {
	survival.Result
	Vantage      string            `json:"vantage"`          // that made the probes
	Elsewhere    int               `json:"probes_elsewhere"` // from other vantages, left out
	From         time.Time         `json:"first_probe"`
	To           time.Time         `json:"last_probe"`
	Probes       int               `json:"probes"`
	Watched      int               `json:"peers_watched"`
	Availability analysis.Estimate `json:"availability"`
	Arrivals     int               `json:"arrivals"`   // sessions that were seen to begin
	Departures   int               `json:"departures"` // that were seen to end
	Changes      int               `json:"identity_changes"`
	ByOperator   []Part            `json:"by_operator"`
	ByHosting    []Part            `json:"by_hosting"`
	ByClient     []Part            `json:"by_client"`
}

// Part is the sessions of some of the peers.
type Part struct {
	Class string `json:"class"`
	survival.Result
}

// readSurvival fills in what probes say of sessions; without probes it does
// nothing.
func (n *Network) readSurvival(ctx context.Context, q analysis.Querier, rules *operator.Rules, in analysis.Window) error {
	w, err := survival.Read(ctx, q, n.Name, n.Used, in)
	if err != nil || w == nil {
		return err
	}
	s := &Survival{Vantage: w.Vantage, Elsewhere: w.Elsewhere, From: w.From, To: w.To, Probes: w.Probes, Watched: w.Peers, Availability: availability(w)}
	opt := survival.Options{Watch: w.To.Sub(w.From), Seed: 1}
	if opt.Watch > 0 {
		if s.Result, err = survival.Compute(spells(w.Sessions), opt); err != nil {
			return err
		}
	} else {
		s.Absent = "all probes were made at one moment"
	}
	for _, session := range w.Sessions {
		if session.Before >= 0 {
			s.Arrivals++
		}
		switch session.Reason {
		case "departed":
			s.Departures++
		case "changed_identity":
			s.Changes++
		}
	}
	n.Survival = s
	if s.Absent != "" {
		return nil
	}
	judged := func(p survival.Watched) string {
		return string(rules.Judge(operator.Traits{Agent: p.Agent, ASN: p.ASN, Organisation: p.Organisation, Country: p.Country, Hosting: p.Hosting}).Operator)
	}
	for _, by := range []struct {
		parts *[]Part
		class func(survival.Watched) string
		order []string
	}{
		{&s.ByOperator, judged, append(slices.Clone(operatorKinds), unknown)},
		{&s.ByHosting, func(p survival.Watched) string { return orUnknown(p.Hosting) }, hostingOrder},
		{&s.ByClient, func(p survival.Watched) string { return analysis.Client(p.Agent) }, nil},
	} {
		if *by.parts, err = parts(w.Sessions, by.class, by.order, s.Shortest, opt); err != nil {
			return err
		}
	}
	return nil
}

func spells(sessions []survival.Watched) []survival.Spell {
	list := make([]survival.Spell, len(sessions))
	for i, s := range sessions {
		list[i] = s.Spell
	}
	return list
}

// parts computes the sessions of each class, in a given order and the largest
// first.
func parts(sessions []survival.Watched, class func(survival.Watched) string, order []string, shortest time.Duration, opt survival.Options) ([]Part, error) {
	byClass := map[string][]survival.Spell{}
	for _, s := range sessions {
		byClass[class(s)] = append(byClass[class(s)], s.Spell)
	}
	names := slices.SortedFunc(maps.Keys(byClass), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(order, a), rank(order, b)), cmp.Compare(len(byClass[b]), len(byClass[a])), cmp.Compare(a, b))
	})
	var list []Part
	for _, name := range names[:min(len(names), mostClients)] {
		r, err := survival.Kaplan(byClass[name], shortest, opt)
		if err != nil {
			return nil, err
		}
		list = append(list, Part{name, r})
	}
	return list, nil
}

// availability is the mean over peers of the share of their probes that were
// answered, with the interval of a mean.
func availability(w *survival.Watch) analysis.Estimate {
	half := 1.96 * w.Spread / math.Sqrt(float64(w.Peers))
	e := analysis.Estimate{
		Value: w.Availability, Unit: "share of a watched peer's probes that it answered", Level: 0.95, N: w.Peers, NUnit: "watched peers",
		Lower: max(0, w.Availability-half), Upper: min(1, w.Availability+half), Method: "mean over watched peers; normal interval of the mean",
	}
	if w.Peers < 2 {
		e.Lower, e.Upper = 0, 1
	}
	return e
}

// place is from where the peers were watched.
func (s *Survival) place() string {
	place := named(s.Vantage, "a vantage without a name")
	if s.Elsewhere > 0 {
		place += fmt.Sprintf(" (what other vantages saw, in %s, is left out: the two don't mix)", plural(s.Elsewhere, "probe"))
	}
	return place
}

// main is the curve that the report speaks of.
func (s *Survival) main() *survival.Curve {
	if s.Turnbull != nil {
		return s.Turnbull
	}
	return s.Kaplan
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

// length writes a length of sessions with its interval.
func length(q survival.Quantile) string {
	value := lasting(seconds(q.Seconds.Value))
	switch {
	case !q.Reached:
		return "more than " + value
	case q.OpenEnds:
		return value + " (" + unitFor(seconds(q.Seconds.Value)).of(seconds(q.Seconds.Lower)) + " or more)"
	}
	unit := unitFor(seconds(q.Seconds.Upper))
	return fmt.Sprintf("%s%s%s (%s–%s)", unit.of(seconds(q.Seconds.Value)), nbsp, unit.name, unit.of(seconds(q.Seconds.Lower)), unit.of(seconds(q.Seconds.Upper)))
}

// finding tells the median, or what the interval says of it where its upper end
// lies beyond what was watched.
func (s *Survival) finding() string {
	median := s.main().Quartiles[1]
	sessions := "Half of the sessions of at least " + lasting(s.Result.From)
	if !median.Reached || median.OpenEnds {
		return sessions + " last longer than " + lasting(rounded(seconds(median.Seconds.Lower)))
	}
	return sessions + " are over after " + lasting(seconds(median.Seconds.Value))
}

// rounded is a duration less what lasting would not show of it, so that nothing
// is said to last longer than it does.
func rounded(d time.Duration) time.Duration {
	switch {
	case d < 2*time.Minute:
		return d.Truncate(time.Second)
	case d < 2*time.Hour:
		return d.Truncate(time.Minute)
	}
	return d.Truncate(time.Hour / 10)
}

func (n *Network) survivalCaption(more string) string {
	s := n.Survival
	return fmt.Sprintf("Unit: share of sessions that last longer, of those of at least %s whose beginning was seen. n\u00a0=\u00a0%s seen to begin, shorter ones included, of %s, %s, watched from %s. %s Interval: 95\u00a0%%, resamples of peers in groups.",
		lasting(s.Result.From), plural(s.Used, "session"), plural(s.Peers, "peer"), dates(s.From, s.To), named(s.Vantage, "a vantage without a name"), more)
}

// survivalChart is the curves of all methods.
func (n *Network) survivalChart() figure.Spans {
	c := figure.Spans{AxisX: "length of a session, logarithmic", AxisY: "share of sessions that last longer"}
	for _, m := range []struct {
		name  string
		look  figure.Look
		curve *survival.Curve
	}{{"interval-censored (Turnbull)", figure.Green, n.Survival.Turnbull}, {"Kaplan-Meier", figure.Blue, n.Survival.Kaplan}, {"create-based", figure.Orange, n.Survival.Created}} {
		if m.curve != nil && len(m.curve.Times) > 1 {
			c.Curves = append(c.Curves, drawnCurve(m.name, m.look, m.curve))
		}
	}
	return c
}

func drawnCurve(name string, l figure.Look, c *survival.Curve) figure.SpanCurve {
	return figure.SpanCurve{Key: figure.Key{Name: name, Look: l}, Seconds: c.Times, Values: c.Share, Lower: c.Lower, Upper: c.Upper}
}

// landSurvivalChart is the curve of each hosting class that has one.
func (n *Network) landSurvivalChart() figure.Spans {
	c := figure.Spans{AxisX: "length of a session, logarithmic", AxisY: "share of sessions that last longer"}
	for _, p := range n.Survival.ByHosting {
		if p.Kaplan != nil && len(p.Kaplan.Times) > 1 {
			c.Curves = append(c.Curves, drawnCurve(landLabel(p.Class), look(p.Class), p.Kaplan))
		}
	}
	return c
}

// landFinding says on which land sessions last longest and shortest.
func (s *Survival) landFinding() string {
	var with []Part
	for _, p := range s.ByHosting {
		if p.Kaplan != nil && p.Kaplan.Quartiles[1].Reached {
			with = append(with, p)
		}
	}
	if len(with) < 2 {
		return "How long sessions last, by the land that peers stand on"
	}
	least, most, ok := furthestApart(with)
	if !ok {
		return "How long sessions last does not differ clearly between kinds of land"
	}
	median := func(p Part) string { return lasting(seconds(p.Kaplan.Quartiles[1].Seconds.Value)) }
	return fmt.Sprintf("Half of the sessions of at least %s are over after %s %s, and after %s %s", lasting(s.Result.From),
		median(least), landPlace(least.Class), median(most), landPlace(most.Class))
}

// furthestApart finds two parts whose medians differ beyond doubt: those of
// whose difference the most is certain. Few sessions of an extreme median hide
// no difference between others.
func furthestApart(with []Part) (least, most Part, ok bool) {
	var certain float64
	for _, a := range with {
		for _, b := range with {
			short, long := a.Kaplan.Quartiles[1], b.Kaplan.Quartiles[1]
			if short.OpenEnds {
				continue
			}
			if d := comparison.Difference(long.Seconds, short.Seconds).Lower; d > certain {
				least, most, certain, ok = a, b, d, true
			}
		}
	}
	return least, most, ok
}

func (v view) survival() page.Section {
	const name, heading = "survival", "How long peers stay"
	s := v.Survival
	if s == nil {
		return v.part(name, heading, notice("Peers were not probed between the crawls of this period, so how long sessions last is not estimated."))
	}
	terms := []page.Term{
		{Name: "Shortest session that can be seen", Meaning: lasting(s.Shortest) + ": of nine in ten beginnings and ends of sessions it is known to within this when they came. Shorter ones are seen by chance; curves are of sessions of at least " + lasting(s.Result.From) + "."},
		{Name: "Availability", Meaning: percentInterval(s.Availability) + " of the probes of a watched peer were answered, mean over peers."},
		{Name: "Coming and going", Meaning: fmt.Sprintf("%s seen to begin, %s to end; %s of identity. A change of identity is no departure.", plural(s.Arrivals, "session"), count(s.Departures), plural(s.Changes, "change"))},
		{Name: "Not in the curves", Meaning: plural(s.AlreadyUp, "session") + " under way when the watch began, or when their peer was first met: their age is not known."},
	}
	about := text("%s of %s from %s, between %s and %s, UTC. Two missed probes in a row close a session.", plural(s.Probes, "probe"), plural(s.Watched, "peer"), s.place(), s.From.Format("2 Jan 2006 15:04"), s.To.Format("2 Jan 2006 15:04"))
	if s.Absent != "" {
		if s.Shortest == 0 {
			terms = terms[1:3]
		}
		return v.part(name, heading, about, notice("No survival curve: %s.", s.Absent), []page.Block{{Terms: terms}})
	}
	blocks := [][]page.Block{about, v.figure("survival"), {{Terms: terms}}, v.survivalTable(), v.figure("land-survival")}
	for _, by := range []struct {
		caption, head string
		parts         []Part
		label         func(string) string
	}{
		{"By who runs the peer, judged by the peer alone and not by who stands beside it: Kaplan-Meier.", "Run by", s.ByOperator, operatorLabel},
		{"By hosting class: Kaplan-Meier.", "Hosting class", s.ByHosting, landLabel},
		{"By client: Kaplan-Meier.", "Client", s.ByClient, func(c string) string { return named(c, "no name given") }},
	} {
		blocks = append(blocks, partTable(by.caption, by.head, by.parts, by.label))
	}
	return v.part(name, heading, blocks...)
}

var quartileHeads = []string{"a quarter is over after", "half", "three quarters"}

func (v view) survivalTable() []page.Block {
	var rows [][]string
	for _, m := range []struct {
		name  string
		curve *survival.Curve
	}{{"Interval-censored (Turnbull)", v.Survival.Turnbull}, {"Kaplan-Meier", v.Survival.Kaplan}, {"Create-based", v.Survival.Created}} {
		if m.curve == nil {
			rows = append(rows, []string{m.name, "too few sessions", "–", "–"})
			continue
		}
		row := []string{m.name}
		for _, q := range m.curve.Quartiles {
			row = append(row, length(q))
		}
		rows = append(rows, row)
	}
	return table("Length of sessions by three methods, with 95\u00a0% intervals.", append([]string{"Method"}, quartileHeads...), rows)
}

func partTable(caption, head string, parts []Part, label func(string) string) []page.Block {
	var rows [][]string
	for _, p := range parts {
		row := []string{label(p.Class), count(p.Used), "too few sessions", "–", "–"}
		if p.Kaplan != nil {
			row = row[:2]
			for _, q := range p.Kaplan.Quartiles {
				row = append(row, length(q))
			}
		}
		rows = append(rows, row)
	}
	return table(caption, append([]string{head, "sessions"}, quartileHeads...), rows)
}
