package reports

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"canopy/analysis"
	"canopy/analysis/churn"
	"canopy/analysis/operator"
	"canopy/analysis/reachability"
	"canopy/analysis/shares"
)

// Options say what a report is of.
type Options struct {
	From, To     time.Time       // period of crawls by their start, [From, To); a zero end is open
	Generated    time.Time       // default now
	Software     string          // program and version
	Attributions []string        // lines that the data sets ask for, with their dates
	Warnings     []string        // what a reader must know of the data sets
	Rules        *operator.Rules // default the built-in ones
	Published    bool            // the record is a dataset: it carries what was judged before identities became pseudonyms
}

func (o Options) withDefaults() Options {
	if o.Generated.IsZero() {
		o.Generated = time.Now()
	}
	if o.Software == "" {
		o.Software = "canopy"
	}
	if o.Rules == nil {
		o.Rules = operator.Default()
	}
	return o
}

// ErrNoCrawl is returned when the period holds no crawl that has ended.
var ErrNoCrawl = errors.New("run `canopy crawl` first")

// Build reads the record and computes a report on each network that has a
// finished crawl in the period. What was measured on a local network stands
// apart from what was measured in public.
func Build(ctx context.Context, q analysis.Querier, opt Options) (*Report, error) {
	opt = opt.withDefaults()
	crawls, err := reachability.Crawls(ctx, q, analysis.Window{From: opt.From, To: opt.To})
	if err != nil {
		return nil, fmt.Errorf("build report: %w", err)
	}
	r := &Report{
		Generated: opt.Generated.UTC(), Software: opt.Software, From: opt.From, To: opt.To, Cell: Cell,
		Rules: opt.Rules.Version(), Attributions: opt.Attributions, Warnings: opt.Warnings,
	}
	for _, group := range grouped(crawls) {
		n := newNetwork(group)
		n.slug = r.slug(n)
		n.window = analysis.Window{From: opt.From, To: opt.To}
		n.published = opt.Published
		n.warnOfTime(opt.Generated)
		if err := n.read(ctx, q, opt.Rules); err != nil {
			return nil, fmt.Errorf("build report on %s: %w", legible(n.Name), err)
		}
		r.Synthetic = r.Synthetic || n.Synthetic()
		r.Networks = append(r.Networks, *n)
	}
	if len(r.Networks) == 0 {
		if opt.From.After(opt.Generated) {
			return nil, fmt.Errorf("no finished crawl %s, which lies ahead: %w", opt.period(), ErrNoCrawl)
		}
		return nil, fmt.Errorf("no finished crawl %s: %w", opt.period(), ErrNoCrawl)
	}
	return r, nil
}

func (o Options) period() string {
	const form = "2006-01-02 15:04"
	switch {
	case o.From.IsZero() && o.To.IsZero():
		return "in the store"
	case o.To.IsZero():
		return "since " + o.From.UTC().Format(form)
	case o.From.IsZero():
		return "before " + o.To.UTC().Format(form)
	}
	return "between " + o.From.UTC().Format(form) + " and " + o.To.UTC().Format(form)
}

// grouped puts finished crawls of one network and scope together, in the order
// in which they come.
func grouped(crawls []reachability.Crawl) [][]reachability.Crawl {
	var groups [][]reachability.Crawl
	at := map[[2]string]int{}
	for _, c := range crawls {
		if !c.Finished() {
			continue
		}
		key := [2]string{c.Network, c.Scope}
		if _, ok := at[key]; !ok {
			at[key] = len(groups)
			groups = append(groups, nil)
		}
		groups[at[key]] = append(groups[at[key]], c)
	}
	return groups
}

// slug names a network in files and links: its name as far as it is safe there,
// and a number where that is not enough to tell it from others.
func (r *Report) slug(n *Network) string {
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, strings.ToLower(n.Name))
	name = name[:min(len(name), 40)]
	if name == "" {
		name = "network"
	}
	if n.Synthetic() {
		name += "-local"
	}
	taken := func(s string) bool {
		return slices.ContainsFunc(r.Networks, func(m Network) bool { return m.slug == s })
	}
	slug := name
	for i := 2; taken(slug); i++ {
		slug = fmt.Sprintf("%s-%d", name, i)
	}
	return slug
}

// newNetwork describes a network as its latest crawl does.
func newNetwork(crawls []reachability.Crawl) *Network {
	last := crawls[len(crawls)-1]
	var settings struct {
		Network struct {
			Title    string `json:"title"`
			Identity string `json:"identity"`
		} `json:"network"`
	}
	_ = json.Unmarshal([]byte(last.Settings), &settings) // a crawl without a description still has its name
	n := &Network{
		Name: last.Network, Scope: last.Scope, Crawls: crawls,
		Title: named(settings.Network.Title, named(last.Network, "a network without a name")), Identity: settings.Network.Identity,
	}
	var short, degraded, zones int
	for _, c := range crawls {
		switch {
		case !c.Exhausted():
			short++
		case !c.Snapshot():
			zones++
		case c.Reachable > 0:
			n.Used = append(n.Used, c.ID)
		}
		if c.Degraded() {
			degraded++
		}
	}
	if short > 0 {
		n.Warnings = append(n.Warnings, plural(short, "crawl")+" cut short: left out of every share and of sessions, because such a crawl holds whoever was met first.")
	}
	if degraded > 0 {
		n.Warnings = append(n.Warnings, plural(degraded, "crawl")+" degraded: counted in, but trouble of our own may have hidden living peers.")
	}
	if zones > 0 {
		n.Warnings = append(n.Warnings, plural(zones, "crawl")+" of a zone of the key space: left out of every share and of sessions; such a crawl tells how large the network is.")
	}
	if len(n.Used) == 1 {
		n.Warnings = append(n.Warnings, "One whole crawl only: how shares change from crawl to crawl is not in their intervals.")
	}
	if len(n.Used) == 0 {
		n.Absent = "No shares: of " + plural(len(crawls), "finished crawl") + " none came to its end and found a reachable peer."
	}
	return n
}

// warnOfTime warns of crawls that were made later than now.
func (n *Network) warnOfTime(now time.Time) {
	ahead := 0
	for _, c := range n.Crawls {
		if c.StartedAt.After(now) {
			ahead++
		}
	}
	if ahead > 0 {
		n.Warnings = append(n.Warnings, plural(ahead, "crawl")+" dated later than this report: a clock was wrong, there or here.")
	}
}

// read fills in what the record says of a network. What does not depend on
// one another is read at the same time.
func (n *Network) read(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	absent := n.Absent != ""
	err := together(
		func() error { return n.readCrawls(ctx, q, rules) },
		func() error {
			if absent {
				return nil
			}
			return n.readCommunity(ctx, q, rules)
		})
	if err != nil || n.Absent != "" {
		return err
	}
	if n.Published, err = elsewhere(n); err != nil {
		return err
	}
	return n.readBefore(ctx, q, rules)
}

// readCrawls reads how crawls went, and what does not depend on who is counted.
func (n *Network) readCrawls(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	visited := make([]string, len(n.Crawls))
	for i, c := range n.Crawls {
		visited[i] = c.ID
	}
	if err := n.readSize(ctx, q); err != nil {
		return err
	}
	if err := n.readFindability(ctx, q, rules); err != nil {
		return err
	}
	if whole := snapshots(n.Crawls); len(whole) > 0 {
		outcomes, err := reachability.Outcomes(ctx, q, n.Name, whole)
		if err != nil {
			return err
		}
		n.ended(outcomes)
	}
	var err error
	if n.Tables, err = reachability.TablesRead(ctx, q, n.Name, visited); err != nil {
		return err
	}
	n.Facts, err = reachability.FactSources(ctx, q, n.Name, visited)
	return err
}

// readCommunity reads who answered, and computes what is said of them.
func (n *Network) readCommunity(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	counted, err := n.setAside(ctx, q)
	if err != nil || n.Absent != "" {
		return err
	}
	if err := n.readPeers(ctx, counted, rules); err != nil {
		return err
	}
	err = together(
		func() error {
			presences, err := churn.Presences(ctx, counted, n.Name, n.Used)
			if err != nil {
				return err
			}
			return n.cameAndWent(presences)
		},
		func() error { return n.readSurvival(ctx, counted, rules, n.window) },
	)
	if err != nil {
		return err
	}
	return n.readClearcut(ctx, q, rules)
}

// together does several things at once, and returns all that went wrong.
func together(tasks ...func() error) error {
	failed := make([]error, len(tasks))
	var wait sync.WaitGroup
	for i, task := range tasks {
		wait.Go(func() { failed[i] = task() })
	}
	wait.Wait()
	return errors.Join(failed...)
}

// readPeers reads and judges the peers that answered.
func (n *Network) readPeers(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	verdict := map[uint64]uint8{}
	census, err := n.census(ctx, q, rules, func(v operator.Verdict, members []uint64) {
		if v.Operator != operator.Unknown {
			class := uint8(slices.Index(operatorClasses, string(v.Operator)))
			for _, peer := range members {
				verdict[peer] = class
			}
		}
	})
	if err != nil {
		return err
	}
	all := judged(census.Groups)
	err = together( // counting holds a number for each peer in every way of counting, so nothing else that is large is read meanwhile
		func() error { return n.readCounting(ctx, q, all, verdict) },
		func() error {
			if err := n.readJudged(census.Groups, all, rules); err != nil {
				return err
			}
			return n.readCapabilities(ctx, q)
		},
	)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // the engine beside us needs what counting took, sooner than the collector would return it
	return together(
		func() error { return n.readPrefixes(ctx, q, census.Totals) },
		func() error { return n.readAgents(ctx, q, census.Totals) },
	)
}

// readJudged computes what judged peers say.
func (n *Network) readJudged(census []operator.Group, all []peers, rules *operator.Rules) error {
	if err := n.counted(all); err != nil {
		return err
	}
	n.plain = map[string]string{}
	for _, g := range slices.Backward(census) { // that of the heaviest stays
		if g.ASN > 0 {
			n.plain[legible(g.Organisation)] = fmt.Sprintf("AS%d", g.ASN)
		}
	}
	n.Bounds = bounded(n.Operator, census)
	return n.register(all, rules)
}

// readAgents reads what peers call their programs.
func (n *Network) readAgents(ctx context.Context, q analysis.Querier, totals []int) error {
	announced, err := n.announced(ctx, q, totals)
	if err != nil {
		return err
	}
	programs := make([]agents, len(announced))
	for i, a := range announced {
		programs[i] = agents{shares.Group{Peers: a.Peers, Counts: a.Counts, Weight: a.Weight, Squares: a.Squares}, a.Agent}
	}
	return n.countedAgents(programs)
}

// judged are the groups of a census as a report tells them apart.
func judged(census []operator.Group) []peers {
	all := make([]peers, len(census))
	for i, g := range census {
		all[i] = peers{
			Group:   shares.Group{Peers: g.Peers, Counts: g.Counts, Weight: g.Weight, Squares: g.Squares},
			Hosting: orUnknown(g.Hosting), Operator: string(g.Verdict.Operator), Leaning: string(g.Verdict.Leaning), Name: g.Verdict.Name,
			Entry: g.Verdict.Entry, Marks: g.Marks, Organisation: g.Organisation, Country: g.Country,
		}
	}
	return all
}

func orUnknown(class string) string {
	if class == "" {
		return unknown
	}
	return class
}

// ended fills in how visits ended.
func (n *Network) ended(outcomes []reachability.Outcome) {
	counts := make([][]int, len(outcomes))
	for i, o := range outcomes {
		counts[i] = o.Counts
	}
	s, err := shares.NewSample("discovered peers", shares.Counted(counts))
	if err != nil { // nobody was visited, and the page says so
		return
	}
	answered := s.Share(func(i int) bool { return outcomes[i].Outcome == reachability.Answered })
	n.Answered = &answered
	for i, o := range outcomes {
		n.Outcomes = append(n.Outcomes, Outcome{o, s.Share(func(j int) bool { return j == i })})
	}
}

// cameAndWent fills in the sessions seen.
func (n *Network) cameAndWent(presences []churn.Presence) error {
	var crawls []churn.Crawl
	for _, c := range n.used() {
		crawls = append(crawls, churn.Crawl{Start: c.StartedAt, End: c.StartedAt.Add(c.Duration)})
	}
	r, err := churn.Compute(crawls, presences)
	if err != nil {
		return err
	}
	slices.SortStableFunc(r.Hosting, func(a, b churn.ByHosting) int {
		return cmp.Compare(rank(hostingOrder, a.Hosting), rank(hostingOrder, b.Hosting))
	})
	n.Sessions = &Sessions{
		Result:   r,
		AllShare: shares.Proportion(r.InAll, r.Peers, "share of peers that answered at least once", "peers"),
		OneShare: shares.Proportion(r.InOne, r.Peers, "share of peers that answered at least once", "peers"),
	}
	return nil
}
