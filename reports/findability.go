package reports

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"canopy/analysis"
	"canopy/analysis/findability"
	"canopy/analysis/operator"
	"canopy/reports/page"
)

// readFindability reads what checks of the period found.
func (n *Network) readFindability(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	if n.published {
		_, err := n.publishedResult(ctx, q, "findings", &n.Findability)
		return err
	}
	r, err := findability.Read(ctx, q, rules, n.Name, n.Scope, n.window)
	if err != nil || r == nil {
		return err
	}
	for i := range r.Content {
		r.Content[i].Latest.Detail = analysis.Public(r.Content[i].Latest.Detail)
	}
	for i := range r.Entries {
		r.Entries[i].Latest.Detail = analysis.Public(r.Entries[i].Latest.Detail)
	}
	n.Findability = r
	return nil
}

// findability is the section.
func (v view) findability() page.Section {
	const name, heading = "findability", "Is it found, and can newcomers enter?"
	r := v.Findability
	if r == nil {
		return v.part(name, heading, notice("The period holds no check: run “canopy check”, and this part says whether content is found from a cold start and whether newcomers depend on a few entry points."))
	}
	blocks := [][]page.Block{
		text("If these hosts vanish, can newcomers still enter? %s", r.Newcomers.Answer(legible)),
		{{List: r.Newcomers.Doubts(legible)}},
	}
	if len(r.Entries) > 0 {
		blocks = append(blocks, entryTable(r), siteTable(r))
	}
	if len(r.Content) == 0 {
		blocks = append(blocks, notice("No content was looked for."))
	} else {
		blocks = append(blocks, text("%s", foundWords(r)), contentTable(r), holderTable(r))
	}
	when := fmt.Sprintf("Checked in %s, %s, from %s.", plural(r.Runs, "run"), dates(r.First, r.Last), vantages(r.Vantages))
	blocks = append(blocks, [][]page.Block{{{List: append([]string{when}, r.Warnings...)}}}...)
	return v.part(name, heading, append(blocks, text("Method: %s. %s. %s. Times include the pace that Canopy keeps towards strangers.",
		findability.SearchMethod, sentence(findability.StartMethod), sentence(findability.FilterMethod)))...)
}

func vantages(names []string) string {
	if len(names) == 0 || len(names) == 1 && names[0] == "" {
		return "a place without a name"
	}
	return joined(names, 5)
}

func foundWords(r *findability.Result) string {
	found, never := 0, 0
	for _, c := range r.Content {
		switch {
		case c.Latest.Outcome == "found":
			found++
		case c.Yes == 0:
			never++
		}
	}
	words := fmt.Sprintf("Of %s, %s found when last looked for, from a cold start", plural(len(r.Content), "piece")+" of content that stands for the commons", wereFound(found))
	if never > 0 {
		words += fmt.Sprintf("; %s never found in the period", wereFound(never))
	}
	return words + "."
}

func wereFound(n int) string {
	switch n {
	case 0:
		return "none was"
	case 1:
		return "1 was"
	}
	return count(n) + " were"
}

func contentTable(r *findability.Result) []page.Block {
	var rows [][]string
	for _, c := range r.Content {
		rows = append(rows, []string{
			named(c.Name, legible(c.ID)), outcomeWords(c.Latest.Outcome), timesOf(c.Checks), firstNamed(c), count(c.Latest.Queries), count(c.Latest.Hops),
			holderCount(c.Latest), swarmWords(c.Latest),
		})
	}
	return worded(table("Content from a cold start: outcome of the latest check, checks that found it with their 95\u00a0% interval, median time until somebody was named (quartiles), queries and hops of the latest lookup, "+
		"distinct peers or providers named in it, and seeds and downloaders by Bloom filters where nodes give them, with 95\u00a0% intervals.",
		[]string{"Content", "latest", "found in", "first named after", "queries", "hops", "have it", "seeds + downloaders"}, rows), 1)
}

func outcomeWords(outcome string) string {
	return legible(strings.ReplaceAll(outcome, "_", " "))
}

func timesOf(c findability.Checks) string {
	if c.Times == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d (%.0f–%.0f%s%%)", c.Yes, c.Times, 100*c.Share.Lower, 100*c.Share.Upper, nbsp)
}

func firstNamed(c findability.Item) string {
	if c.Fastest == nil {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", briefly(c.Fastest.Median), briefly(c.Fastest.Low), briefly(c.Fastest.High))
}

// briefly writes milliseconds, as seconds where there are many.
func briefly(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond)).Round(time.Millisecond)
	switch {
	case ms > 0 && d == 0:
		return "<1" + nbsp + "ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + nbsp + "ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + nbsp + "s"
}

func holderCount(l findability.Latest) string {
	if l.Cut {
		return "at least " + count(l.Found)
	}
	return count(l.Found)
}

func swarmWords(l findability.Latest) string {
	if l.Seeds == nil || l.Leechers == nil {
		return "–"
	}
	form := func(e *analysis.Estimate) string { return fmt.Sprintf("%.0f (%.0f–%.0f)", e.Value, e.Lower, e.Upper) }
	return fmt.Sprintf("%s + %s, %s", form(l.Seeds), form(l.Leechers), plural(l.Seeds.N, "filter"))
}

// holderTable says on whose land those stand who have the content.
func holderTable(r *findability.Result) []page.Block {
	var rows [][]string
	for _, c := range r.Content {
		if c.Latest.Found > 0 {
			rows = append(rows, []string{named(c.Name, legible(c.ID)), partWords(c.Land, landLabel), partWords(c.Operators, operatorLabel), partWords(c.Holders, legible)})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return worded(table("Who has it, in the latest check: on whose land, who runs them as far as the evidence decides, and the largest AS organisations. Groups of fewer than 5 people are pooled.",
		[]string{"Content", "on whose land", "run by", "organisations"}, rows), 1, 2, 3)
}

// partWords writes the largest few classes with their counts.
func partWords(parts []findability.Part, label func(string) string) string {
	const most = 3
	var words []string
	for i, p := range parts {
		if i == most {
			words = append(words, fmt.Sprintf("%d more", len(parts)-most))
			break
		}
		words = append(words, label(p.Name)+" "+count(p.Count))
	}
	if len(words) == 0 {
		return "–"
	}
	return strings.Join(words, ", ")
}

func entryTable(r *findability.Result) []page.Block {
	var rows [][]string
	for _, e := range r.Entries {
		trip := "–"
		if e.Latest.RTTMS > 0 {
			trip = briefly(e.Latest.RTTMS)
		}
		rows = append(rows, []string{
			legible(e.Address), joined(e.Clients, 4), outcomeWords(e.Latest.Outcome), timesOf(e.Checks), trip, count(e.Latest.Named), timesOf(e.Alone), timesOf(e.Without),
		})
	}
	return worded(table("Entry points that clients ship with: outcome of the latest check, checks that were answered, round-trip time, peers named in one answer, and starts that led into the network with it alone and with all but it, with 95\u00a0% intervals.",
		[]string{"Entry point", "shipped with", "latest", "answers", "round trip", "names", "alone", "without it"}, rows), 1, 2)
}

func siteTable(r *findability.Result) []page.Block {
	var rows [][]string
	for _, e := range r.Entries {
		runner := named(e.Runner.Name, "unknown")
		if e.Runner.Kind != "" {
			runner += " (" + legible(e.Runner.Kind) + ")"
		}
		var land []string
		for _, s := range e.Land {
			land = append(land, fmt.Sprintf("%s, %s, %s", landLabel(s.Hosting), named(s.Organisation, "organisation unknown"), named(s.Country, "country unknown")))
		}
		rows = append(rows, []string{legible(e.Address), runner, legible(e.Runner.Evidence), joined(distinct(land), 4)})
	}
	return worded(table("Who runs the entry points, what says so, and on whose land each of their addresses stands.",
		[]string{"Entry point", "run by", "because", "on land of"}, rows), 1, 2, 3)
}

// distinct drops repetitions.
func distinct(list []string) (once []string) {
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			once = append(once, s)
		}
	}
	return once
}
