package reports

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"canopy/analysis"
	"canopy/analysis/reachability"
	"canopy/reports/figure"
	"canopy/reports/page"
)

// section tells all that is known of one network.
func (n *Network) section(figures map[string]figure.Figure) page.Section {
	v := view{Network: n, figures: figures}
	s := page.Section{ID: n.slug, Heading: legible(n.Title)}
	if n.Synthetic() {
		s.Blocks = append(s.Blocks, page.Block{Notice: banner + "."})
	}
	if n.Absent != "" {
		s.Blocks = append(s.Blocks, page.Block{Notice: n.Absent})
	} else {
		s.Sections = append(s.Sections, v.land(), v.operators(), v.trend(), v.before(), v.holders())
	}
	s.Sections = append(s.Sections, v.survival(), v.size(), v.clearcut(), v.findability())
	if n.Absent == "" {
		s.Sections = append(s.Sections, v.clients())
	}
	s.Sections = append(s.Sections, v.reachability(), v.sessions())
	if n.Absent == "" {
		s.Sections = append(s.Sections, v.counting(), v.elsewhere())
	}
	if n.Aside != nil {
		s.Sections = append(s.Sections, v.aside())
	}
	s.Sections = append(s.Sections, v.measured())
	return s
}

// view is a network with its figures.
type view struct {
	*Network
	figures map[string]figure.Figure
}

func (v view) part(name, heading string, blocks ...[]page.Block) page.Section {
	s := page.Section{ID: v.slug + "-" + name, Heading: heading}
	for _, b := range blocks {
		s.Blocks = append(s.Blocks, b...)
	}
	return s
}

func text(format string, args ...any) []page.Block {
	return []page.Block{{Text: fmt.Sprintf(format, args...)}}
}

func notice(format string, args ...any) []page.Block {
	return []page.Block{{Notice: fmt.Sprintf(format, args...)}}
}

func table(caption string, head []string, rows [][]string) []page.Block {
	numeric := make([]bool, len(head))
	for i := range numeric[1:] {
		numeric[i+1] = true
	}
	return []page.Block{{Table: &page.Table{Caption: caption, Head: head, Numeric: numeric, Rows: rows}}}
}

// worded sets columns of a table as words, not as numbers.
func worded(t []page.Block, columns ...int) []page.Block {
	for _, c := range columns {
		t[0].Table.Numeric[c] = false
	}
	return t
}

func (v view) figure(name string) []page.Block {
	f, ok := v.figures[name]
	if !ok {
		return nil
	}
	return []page.Block{{Figure: &page.Figure{
		ID: "figure-" + f.Name, Title: f.Title, Caption: f.Caption, Wide: f.Wide, Narrow: f.Narrow, PNG: f.Name + ".png", SVG: f.Name + ".svg",
	}}}
}

// clock writes the time of a crawl so that crawls differ.
func (v view) clock(t time.Time) string {
	if first, last := v.Crawls[0].StartedAt, v.Crawls[len(v.Crawls)-1].StartedAt; last.Sub(first) < time.Hour {
		return t.Format("15:04:05")
	}
	return t.Format("2 Jan 15:04")
}

func (v view) land() page.Section {
	head := []string{"On whose land"}
	for _, o := range v.Operator {
		head = append(head, o.Class)
	}
	head = append(head, "undecided", "all")
	var rows [][]string
	for _, land := range v.Matrix {
		row := []string{landLabel(land.Hosting)}
		for _, o := range land.Operators {
			row = append(row, cell(o.AtLeast))
		}
		rows = append(rows, append(row, cell(land.Undecided), percentInterval(land.Share)))
	}
	all := []string{"all"}
	for _, o := range v.Operator {
		all = append(all, percentInterval(o.AtLeast))
	}
	rows = append(rows, append(all, percentInterval(*v.Undecided), "100"+nbsp+"%"))
	return v.part("land", "Whose land", v.figure("land"),
		table("Share of all reachable peers by land (rows) and by who runs them (columns), as far as the evidence decides, with 95\u00a0% intervals at the margins. "+sentence(Cell)+".", head, rows))
}

// cell writes a share within a table, where nothing reads as a dash.
func cell(e analysis.Estimate) string {
	if e.Value == 0 {
		return "–"
	}
	return percent(e)
}

func (v view) operators() page.Section {
	var rows [][]string
	for _, o := range v.bounds() {
		rows = append(rows, []string{o.Class, percentInterval(o.AtLeast), percentInterval(o.Share), percentInterval(o.AtMost)})
	}
	blocks := [][]page.Block{
		text("A hobbyist’s rented server is a community node on commercial land, so who runs a peer is judged apart from where it stands. "+
			"For %s of the reachable peers the evidence does not decide: the bound says what that leaves open.", percentInterval(*v.Undecided)),
		v.figure("operators"),
		table("Share of reachable peers by who runs them: if none of the undecided are of the kind, by the likeliest kind, if all are, each with its 95\u00a0% interval. "+
			"At either end each verdict is allowed twice its stated chance of error.",
			[]string{"Run by", "at least", "likeliest", "at most"}, rows),
	}
	if v.Operators != nil {
		blocks = append(blocks, v.concentration(v.Operators, "Operator"))
	}
	blocks = append(blocks, v.registry())
	return v.part("operators", "Who runs it", blocks...)
}

func (v view) trend() page.Section {
	if len(v.Used) < 2 {
		return v.part("trend", "Over time", notice("One crawl only: there is no trend to show yet. Crawl again, and this part fills."))
	}
	return v.part("trend", "Over time", v.gaps(),
		v.figure("trend"), v.trendTable("hosting class", v.Trend, landLabel),
		v.figure("operator-trend"), v.trendTable("who runs them, as far as the evidence decides", v.OperatorTrend, operatorLabel))
}

// gaps says where so long a time passed between two crawls that a line from one
// to the other tells nothing.
func (v view) gaps() []page.Block {
	used := v.used()
	var waits []time.Duration
	for i, c := range used[1:] {
		waits = append(waits, c.StartedAt.Sub(used[i].StartedAt))
	}
	usual := slices.Sorted(slices.Values(waits))[len(waits)/2]
	var list []string
	for i, wait := range waits {
		if wait > 24*time.Hour && wait > 5*usual {
			list = append(list, fmt.Sprintf("No whole crawl between %s and %s, %s: what lies between is not known, and lines only join the ends.",
				used[i].StartedAt.Format("2 January 2006"), used[i+1].StartedAt.Format("2 January 2006"), lasting(wait)))
		}
	}
	if len(list) == 0 {
		return nil
	}
	return []page.Block{{List: list}}
}

func (v view) trendTable(by string, trend []Trend, label func(string) string) []page.Block {
	head := []string{"Crawl"}
	for _, t := range trend {
		head = append(head, label(t.Class))
	}
	var rows [][]string
	for i, c := range v.used() {
		row := []string{v.clock(c.StartedAt)}
		for _, t := range trend {
			row = append(row, percentInterval(t.Shares[i]))
		}
		rows = append(rows, row)
	}
	return table("Share of reachable peers of each crawl by "+by+", with 95\u00a0% intervals. Times in UTC.", head, rows)
}

func (v view) holders() page.Section {
	if v.Organisations == nil {
		return v.part("organisations", "Largest organisations",
			notice("No organisation is known for any reachable peer: address data is missing. Run “canopy data update” and crawl again; facts are frozen when a peer is visited."))
	}
	blocks := [][]page.Block{v.figure("organisations"), v.concentration(v.Organisations, "Organisation")}
	if v.Countries != nil {
		blocks = append(blocks, v.concentration(v.Countries, "Country"))
	}
	if v.Prefixes != nil {
		blocks = append(blocks, v.concentration(v.Prefixes, "Announced prefix"))
	}
	blocks = append(blocks, v.figure("concentration-trend"), v.concentrationTable())
	return v.part("organisations", "Largest organisations", blocks...)
}

// concentration tells how few hold how much, and the largest.
func (v view) concentration(c *Concentration, noun string) []page.Block {
	if len(c.Holders) == 1 {
		return text("One holder is known among the %s: %s, with %s of the reachable peers.", c.Unit, legible(c.Holders[0].Name), percentInterval(c.Largest[0].Share))
	}
	known := ""
	if c.Known.Value < 1 {
		known = " of those known"
	}
	terms := []page.Term{
		{Name: "Effective number of " + c.Unit, Meaning: decimal(c.Effective) + " by 1/HHI, " + decimal(c.Shannon) + " by entropy: that many of equal size would be as concentrated."},
	}
	for i, n := range c.Nakamoto {
		part := []string{"a third", "half", "two thirds"}[i]
		terms = append(terms, page.Term{
			Name:    fmt.Sprintf("More than %s%s: %s of %s %s", part, known, whole(n.Size), count(len(c.Holders)), c.Unit),
			Meaning: ended(joined(n.Names, 8)),
		})
	}
	terms = append(terms, page.Term{
		Name:    "HHI " + index(c.HHI) + ", Gini " + index(c.Gini),
		Meaning: fmt.Sprintf("Over %s. Gini can’t be compared between different numbers of holders.", plural(c.HHI.N, "distinct peer")),
	})
	rows := make([][]string, len(c.Largest))
	for i, s := range c.Largest {
		rows[i] = []string{named(s.Class, "not named"), percentInterval(s.Share)}
	}
	caption := fmt.Sprintf("The %d largest of %s %s: share of reachable peers with its 95\u00a0%% interval.", len(rows), count(len(c.Holders)), c.Unit)
	t := table(caption, []string{noun, "share"}, rows)
	for _, s := range c.Largest {
		t[0].Table.Links = append(t[0].Table.Links, v.entryOf(s.Class))
	}
	lead := text("%s are known for %s of the reachable peers.", sentence(c.Unit), percentInterval(c.Known))
	return slices.Concat(lead, []page.Block{{Terms: terms}}, t)
}

// whole writes a number of holders and its interval.
func whole(e analysis.Estimate) string {
	s := strconv.Itoa(int(e.Value))
	if e.Lower != e.Upper {
		s += fmt.Sprintf(" (%d–%d)", int(e.Lower), int(e.Upper))
	}
	return s
}

// index writes a number between 0 and 1 with as many digits as its interval
// warrants: two, or three where two would hide the interval.
func index(e analysis.Estimate) string {
	digits := 2
	if e.Upper-e.Lower < 0.04 {
		digits = 3
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, e.Value, digits, e.Lower, digits, e.Upper)
}

func (v view) clients() page.Section {
	var rows [][]string
	for _, a := range v.Agents {
		rows = append(rows, []string{named(a.Class, "no name given"), percentInterval(a.Share)})
	}
	if v.OtherAgents != nil {
		rows = append(rows, []string{"all others together", percentInterval(v.OtherAgents.Share)})
	}
	return v.part("clients", "Clients", v.figure("clients"), v.capabilities(),
		table("What reachable peers announce as their program, with versions. Anyone can announce anything.", []string{"Agent", "share of reachable peers"}, rows))
}

func (v view) reachability() page.Section {
	if v.Answered == nil {
		absent := "No peer was visited in these crawls."
		if len(snapshots(v.Crawls)) == 0 {
			absent = "No whole crawl in this period: a crawl that was cut short, or kept to a zone, does not tell which share of the peers answers."
		}
		return v.part("reachability", "Reachability", notice("%s", absent))
	}
	var rows [][]string
	for _, o := range v.Outcomes {
		rows = append(rows, []string{outcomeLabel(o.Outcome.Outcome), count(o.Total()), percentInterval(o.Share)})
	}
	return v.part("reachability", "Reachability",
		text("%s of the discovered peers answered as the peer that was asked for. A peer behind a router that lets nobody in counts as not reachable, though it may use the network.", percentInterval(*v.Answered)),
		v.figure("outcomes"),
		table("How visits ended.", []string{"Outcome", "visits", "share of discovered peers"}, rows))
}

func (v view) sessions() page.Section {
	s := v.Sessions
	if s == nil || s.Crawls < 2 {
		return v.part("sessions", "Sessions seen", notice("Coming and going shows from two whole crawls on."))
	}
	terms := []page.Term{
		{Name: "Seen in every crawl", Meaning: percentInterval(s.AllShare) + " of the peers that answered at all"},
		{Name: "Seen in one crawl only", Meaning: percentInterval(s.OneShare)},
		{Name: "Sessions seen", Meaning: fmt.Sprintf("%s: %s already up at the first crawl, %s still up at the last, %s with both ends inside; %s came back after an absence.",
			count(s.Sessions), count(s.OpenStart), count(s.OpenEnd), count(s.Closed), plural(s.Returns, "peer"))},
		{Name: "Shortest session that can’t be missed", Meaning: lasting(s.Shortest) + ", the longest that can pass between two visits of one peer in consecutive crawls: from the start of one to the end of the next. Shorter ones are seen by chance, so short-lived peers are undercounted."},
	}
	var rows [][]string
	for _, step := range s.Steps {
		rows = append(rows, []string{v.clock(step.From) + " – " + v.clock(step.To),
			count(step.Before), count(step.Arrived), count(step.Silent), count(step.NotHeard)})
	}
	var byLand [][]string
	for _, h := range s.Hosting {
		byLand = append(byLand, []string{landLabel(h.Hosting), count(h.Peers), count(h.InAll), count(h.InOne), count(h.Sessions)})
	}
	return v.part("sessions", "Sessions seen",
		text("A session seen is a run of consecutive crawls in which a peer answered. Between crawls nothing is known, and who was not heard of has not left for certain."),
		v.figure("sessions"), []page.Block{{Terms: terms}},
		table("Peers by hosting class.", []string{"Hosting class", "peers", "in every crawl", "in one only", "sessions seen"}, byLand),
		table("From each crawl to the next.", []string{"Crawls", "answered before", "new or back", "silent now", "not heard of now"}, rows))
}

func (v view) measured() page.Section {
	var rows [][]string
	used := map[string]bool{}
	for _, id := range v.Used {
		used[id] = true
	}
	var notes []string
	for i, c := range v.Crawls {
		state := outcomeLabel(c.State)
		if c.Zone != "" {
			state += ", of zone " + legible(c.Zone)
		}
		if !used[c.ID] {
			state += ", not in the shares"
		}
		rows = append(rows, []string{c.StartedAt.Format("2 Jan 2006 15:04:05"), named(c.Vantage, "not named"), state, lasting(c.Duration),
			count(c.Discovered), count(c.Reachable), tablesRead(v.Tables[i]), asked(c), legible(c.Software)})
		for _, note := range c.Notes {
			notes = append(notes, v.clock(c.StartedAt)+": "+harmless(note, longestSentence))
		}
	}
	for _, w := range v.Warnings {
		notes = append(notes, harmless(w, longestSentence))
	}
	t := table("Crawls of the period, times in UTC.",
		[]string{"Started", "vantage", "state", "took", "discovered", "reachable", "tables read whole", "queries", "software"}, rows)
	t[0].Table.Numeric = []bool{false, false, false, true, true, true, true, true, false}
	about := text("A peer is one %s. A crawl starts from the entry points, asks each peer that it hears of for its whole routing table, and ends when nobody new is named.", named(v.Identity, "identity"))
	blocks := [][]page.Block{about, t}
	if len(v.Facts) > 0 {
		blocks = append(blocks, v.facts())
	}
	if len(notes) > 0 {
		blocks = append(blocks, text("What to know of these crawls:"), []page.Block{{List: notes}})
	}
	return v.part("measured", "How it was measured", blocks...)
}

func tablesRead(t reachability.Tables) string {
	if t.Partly == 0 {
		return count(t.Read)
	}
	return count(t.Read) + " of " + count(t.Read+t.Partly)
}

// asked is how many requests a crawl sent: other crawlers' data don't tell.
func asked(c reachability.Crawl) string {
	if c.Queries == 0 && c.Discovered > 0 {
		return "–"
	}
	return count(int(c.Queries))
}

// facts says how many visits each address data set could place.
func (v view) facts() []page.Block {
	var rows [][]string
	for _, s := range v.Facts[:min(len(v.Facts), mostHolders)] {
		date := "–"
		if !s.Date.IsZero() {
			date = s.Date.Format("2 Jan 2006")
		}
		rows = append(rows, []string{named(s.Name, "no data set knew the address"), date, count(s.Visits)})
	}
	return table("Where the facts of addresses came from, by visits to peers that answered.", []string{"Data set", "of", "visits"}, rows)
}
