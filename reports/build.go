package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"canopy/analysis"
	"canopy/analysis/operator"
	"canopy/analysis/reachability"
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
		Rules: opt.Rules.Version(), Attributions: opt.Attributions,
	}
	for _, w := range opt.Warnings {
		r.Warnings = append(r.Warnings, analysis.Public(w))
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
// in which they come, as they may be published.
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
		groups[at[key]] = append(groups[at[key]], c.Public())
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
