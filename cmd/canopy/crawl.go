package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"canopy/crawler"
	"canopy/crawler/address"
	"canopy/crawler/observation"
)

// crawlOptions are the settings of one crawl that all networks share, and
// those of single networks, which only their own flags can set.
type crawlOptions struct {
	paceOptions
	bootstrap []string
	vantage   string
	contact   string
	local     bool
	edges     bool
	deadline  time.Duration
	maxPeers  int
	optOut    string
	visits    string

	zoneOptions          // mainline: the part of the key space to walk
	bind        []string // mainline: local addresses to send from
	sampled     float64  // mainline: share of peers that are asked what else they can do
	protocol    string   // ipfs: DHT protocol ID
}

const crawlLong = `Walk a network until nobody new is named, and keep every visit in the store.

Ctrl-C, or --deadline, cuts a crawl short: what was seen is stored and the crawl is
marked. A second Ctrl-C ends the program at once; a crawl that ended so, or with the
machine, is marked by the next command that writes to the record.

A crawl of a public network talks to strangers. Only crawl where you may, name
yourself, keep to the default pace, and honour the wishes of those who opt out
(--opt-out FILE: addresses, prefixes, AS numbers such as AS64500, and peer IDs, one a line).
--rate-per-address and --rate-per-block may lower the pace anywhere, and raise it only
with --local: many peers at one address are common in networks of your own.`

func newCrawl(a *app) *cobra.Command {
	var commands []*cobra.Command
	for _, n := range networks {
		commands = append(commands, newCrawlNetwork(a, n))
	}
	return group("crawl", "Walk one network once, into the store", crawlLong, commands...)
}

func newCrawlNetwork(a *app, n network) *cobra.Command {
	o := crawlOptions{paceOptions: paceOptions{pace: crawler.DefaultPace()}}
	cmd := &cobra.Command{
		Use: n.name, Short: "Walk the " + n.title, Long: crawlLong, Example: n.example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runCrawl(cmd.Context(), n, o) },
	}
	flags := cmd.Flags()
	walkFlags(flags, n, &o)
	flags.StringVar(&o.vantage, "vantage", "", "your `name` for the place that you look from, kept with the crawl")
	flags.StringVar(&o.contact, "contact", "", "`URL` or mail address where people reach you; kept with the crawl, and told to peers where the protocol can")
	flags.StringVar(&o.optOut, "opt-out", "", "`file` with the addresses, prefixes, ASes and peers that are never contacted")
	flags.StringVar(&o.visits, "visits", "", "also write every visit to `FILE` as a JSON line")
	return cmd
}

// walkFlags declares the settings of how a network is walked, which a single
// crawl and those of an observer share.
func walkFlags(flags *pflag.FlagSet, n network, o *crawlOptions) {
	flags.StringSliceVar(&o.bootstrap, "bootstrap", nil, "entry `points` instead of the network's own, separated by commas: "+n.bootstrapForm)
	flags.BoolVar(&o.local, "local", false, "allow loopback and private addresses; without it they are never contacted")
	flags.BoolVar(&o.edges, "edges", false, "read whole routing tables and keep who named whom")
	paceFlags(flags, &o.paceOptions, o.pace.Global.PerSecond)
	timeFlag(flags, &o.deadline, 0, "deadline", 0, "cut a crawl short after this `time`, such as 2h (0: never)")
	flags.IntVar(&o.maxPeers, "max-peers", 0, "bound of the frontier, in `peers` (default 50 million, about 8 GiB)")
	if n.flags != nil {
		n.flags(flags, o)
	}
}

func (a *app) runCrawl(ctx context.Context, n network, o crawlOptions) error {
	if err := o.checkPace("crawl "+n.name, "--"); err != nil {
		return err
	}
	run, err := a.prepareCrawl(n, o) // before anything is opened: it reads what the user wrote
	if err != nil {
		return err
	}
	facts, err := a.openData()
	if err != nil {
		return err
	}
	record, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer a.close("store", record.Close)
	var sink crawler.Sink = record
	lines := new(output)
	if o.visits != "" {
		file, err := newVisitsFile(o.visits, record)
		if err != nil {
			return err
		}
		sink, lines = file, file.out
	}
	crawl, err := run(ctx, sink, facts)
	if err != nil {
		return errors.Join(err, lines.err())
	}
	return errors.Join(lines.err(), a.printCrawl(crawl, n), verdict(crawl))
}

// crawlFunc runs a crawl that was prepared.
type crawlFunc func(ctx context.Context, sink crawler.Sink, facts *address.Table) (observation.Crawl, error)

// readPolicy says who may be contacted: it reads the wishes of those who opt
// out.
func (a *app) readPolicy(o crawlOptions) (*crawler.Policy, error) {
	policy := &crawler.Policy{Local: o.local}
	if o.optOut == "" {
		return policy, nil
	}
	f, err := os.Open(o.optOut)
	if err != nil {
		return nil, readable("opt-out list", o.optOut, err)
	}
	defer a.close("opt-out list", f.Close)
	if policy.OptOut, err = crawler.ReadOptOut(f); err != nil {
		return nil, usagef("%s: %w", o.optOut, err)
	}
	if policy.OptOut.Empty() {
		a.logger.Warn("the opt-out list names nobody", "file", o.optOut)
	}
	return policy, nil
}

// informedPolicy says who may be contacted where nothing else is asked of the
// address data: they are opened if a wish needs them. who names what is to be done.
func (a *app) informedPolicy(o crawlOptions, who string) (*crawler.Policy, error) {
	policy, err := a.readPolicy(o)
	if err != nil || !policy.OptOut.NeedsFacts() {
		return policy, err
	}
	facts, err := a.openData()
	if err != nil {
		return nil, err
	}
	return policy, inform(policy, facts, who)
}

// prepareCrawl checks the settings of one crawl and makes its walker.
func (a *app) prepareCrawl(n network, o crawlOptions) (crawlFunc, error) {
	policy, err := a.readPolicy(o)
	if err != nil {
		return nil, err
	}
	opts := a.walkerOptions(o, policy)
	opts.recent = func(ctx context.Context) []string { return a.recentPeers(ctx, n.name) }
	walk, err := n.walker(opts)
	if err != nil {
		return nil, usageError{err}
	}
	return func(ctx context.Context, sink crawler.Sink, facts *address.Table) (observation.Crawl, error) {
		defer a.progress.done(n.name)
		if err := inform(policy, facts, n.name); err != nil {
			return observation.Crawl{}, err
		}
		return walk(ctx, sink, crawler.Options{
			Vantage: o.vantage, Scope: o.reach(), Software: software(), Deadline: o.deadline, MaxPeers: o.maxPeers, Edges: o.edges,
			Facts: facts, OptOut: policy.OptOut, Notes: facts.Warnings(), Progress: a.progress.show, Logger: a.logger,
			Settings: map[string]any{"pace": o.pacing(), "bootstrap": o.bootstrap, "local": o.local, "contact": o.contact},
		})
	}, nil
}

// reach says how far these settings go.
func (o *crawlOptions) reach() string {
	if o.local {
		return observation.ScopeLocal
	}
	return observation.ScopeGlobal
}

// walkerOptions are what contacts peers as these settings and a policy want it.
func (a *app) walkerOptions(o crawlOptions, policy *crawler.Policy) walkerOptions {
	return walkerOptions{
		crawl: o, allow: func(addr netip.Addr) bool { return policy.Allow(addr) }, refuse: policy.OptOut.HasPeer,
		pacer: crawler.NewPacer(o.pacing()), logger: a.logger,
	}
}

// inform tells a policy whose an address is. It fails when there is a wish that
// can't be honoured without that; who names what is to be done.
func inform(policy *crawler.Policy, facts *address.Table, who string) error {
	if policy.Facts = facts; policy.OptOut.NeedsFacts() && facts.Empty() {
		return usagef("%s: --opt-out names an AS, and it is not known whose an address is: install address data (make data) or name its folder with --data", who)
	}
	return nil
}

func (a *app) printCrawl(c observation.Crawl, n network) error {
	if a.json {
		return a.printJSON(c)
	}
	took := c.EndedAt.Sub(c.StartedAt).Round(100 * time.Millisecond)
	share := 0.0
	if c.Discovered > 0 {
		share = 100 * float64(c.Reachable) / float64(c.Discovered)
	}
	fmt.Fprintf(a.stdout, "%s: crawl %s %s in %s: %s peers discovered, %s reachable (%.0f %%), %s queries.\n",
		n.title, c.ID, c.State, took, count(c.Discovered), count(c.Reachable), share, count(c.Queries))
	for _, note := range c.Notes {
		fmt.Fprintln(a.stdout, "  note:", note)
	}
	return nil
}

// verdict is the exit code of a crawl that was kept.
func verdict(c observation.Crawl) error {
	if c.State == observation.Complete {
		return nil
	}
	reason := string(c.State)
	if len(c.Notes) > 0 {
		reason = c.Notes[len(c.Notes)-1]
	}
	return degradedError{fmt.Sprintf("crawl %s: %s", c.ID, reason)}
}
