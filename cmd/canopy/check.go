package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"canopy/analysis/findability"
	"canopy/crawler"
	"canopy/crawler/ipfs"
	"canopy/crawler/mainline"
	"canopy/crawler/observation"
)

// checkOptions are the settings of one run of checks.
type checkOptions struct {
	crawlOptions // of which those that all networks share, --bind and --protocol are used
	list         string
	networks     []string
	starts       int
	files        ruleFiles
	paces        map[string]paceOptions // of single networks, where they have their own
}

const checkLong = `Look up content that stands for the commons from a cold start, as somebody does who
has never been in the network: is it found, in how long, by how many queries, how many have
it, on whose land, and who runs them. And ask the entry points that clients ship with: does
each answer, who runs it, and does a start work with it alone and without it.

A list of your own (--list) has this form; entry points may be left out, Canopy brings along
those of common clients:

  content:
    - name: Debian 13.7.0, network installer for amd64
      network: mainline
      id: 7acf8fb590b2060dd9c3146ef770169d593433b0
      source: https://cdimage.debian.org/debian-cd/current/amd64/bt-cd/
  entry_points:
    - address: router.example.org:6881
      network: mainline
      clients: [Example Client]

Every answer goes into the table checks of the record, and from there into the report. Of
people who share content no address is kept, only how many stand on whose land. Ctrl-C ends
a run cleanly: what was answered is kept.`

func newCheck(a *app) *cobra.Command {
	o := checkOptions{crawlOptions: crawlOptions{paceOptions: paceOptions{pace: crawler.DefaultPace()}}}
	cmd := &cobra.Command{
		Use: "check", Short: "Is the commons found from a cold start, and can newcomers enter?", Long: checkLong,
		Example: `  canopy check --vantage my-university
  canopy check --network mainline --starts 10
  canopy check --list ours.yaml --json
  canopy check --local --list local.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runCheck(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.list, "list", "", "YAML `file` with content and entry points (default: the list that Canopy brings along)")
	flags.StringSliceVar(&o.networks, "network", nil, "check these `networks` only, separated by commas")
	flags.IntVar(&o.starts, "starts", 3, "`starts` with each set of entry points; 0: only ask them")
	flags.StringVar(&o.vantage, "vantage", "", "your `name` for the place that you look from, kept with the checks")
	flags.StringVar(&o.contact, "contact", "", "`URL` or mail address where people reach you, told to peers where the protocol can")
	flags.BoolVar(&o.local, "local", false, "allow loopback and private addresses; without it they are never contacted")
	paceFlags(flags, &o.paceOptions, 200)
	flags.StringVar(&o.optOut, "opt-out", "", "`file` with the addresses, prefixes, ASes and peers that are never contacted")
	flags.StringSliceVar(&o.bind, "bind", nil, "local `addresses` to send from, separated by commas (mainline)")
	flags.StringVar(&o.protocol, "protocol", ipfs.DefaultProtocol, "protocol `ID` of the DHT, for private networks (ipfs)")
	o.files.register(cmd)
	return cmd
}

// checker asks what a newcomer to one network asks.
type checker interface {
	Network() observation.Network
	// ParseEntry and ParseContent give an entry point and an ID as the record keeps
	// them, however they are written.
	ParseEntry(text string) (string, error)
	ParseContent(id string) (string, error)
	Knock(ctx context.Context, entry string) (observation.Check, []observation.Holder, error)
	Start(ctx context.Context, entries []string) (observation.Search, error)
	Find(ctx context.Context, entries []string, id string) (observation.Search, []observation.Holder, error)
	Close() error
}

func mainlineChecker(o walkerOptions) (checker, error) {
	return mainline.NewChecker(mainline.Config{
		Bind: o.crawl.bind, Allow: func(a netip.AddrPort) bool { return o.allow(a.Addr()) }, Refuse: o.refuse, Pacer: o.pacer, Logger: o.logger,
	})
}

func ipfsChecker(o walkerOptions) (checker, error) {
	return ipfs.NewChecker(ipfs.Config{
		Protocol: o.crawl.protocol, Allow: o.allow, Refuse: o.refuse, Pacer: o.pacer, Agent: agent(o.crawl.contact), Logger: o.logger,
	})
}

func (a *app) runCheck(ctx context.Context, o checkOptions) error {
	if o.starts < 0 || o.starts > 1000 {
		return usagef("check: --starts %d: want 0 to 1000", o.starts)
	}
	if err := o.checkPace("check", "--"); err != nil {
		return err
	}
	rules, err := o.files.load()
	if err != nil {
		return err
	}
	runs, policy, err := a.readChecks(o)
	if err != nil {
		return err
	}
	defer a.closeChecks(runs)
	facts, err := a.openData()
	if err != nil {
		return err
	}
	if err := inform(policy, facts, "check"); err != nil {
		return err
	}
	record, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer a.close("store", record.Close)
	return a.checkAll(ctx, runs, record, facts, rules)
}

// readChecks reads the list and who opted out, and makes ready what is checked.
func (a *app) readChecks(o checkOptions) ([]*checkRun, *crawler.Policy, error) {
	list, err := o.readList()
	if err != nil {
		return nil, nil, err
	}
	policy, err := a.readPolicy(o.crawlOptions)
	if err != nil {
		return nil, nil, err
	}
	runs, err := a.prepareChecks(o, policy, list)
	return runs, policy, err
}

func (a *app) closeChecks(runs []*checkRun) {
	for _, r := range runs {
		a.close("sockets", r.Close)
	}
}

// readList reads the user's list, or the one that Canopy brings along.
func (o checkOptions) readList() (findability.List, error) {
	if o.list == "" {
		return findability.Default(), nil
	}
	text, err := os.ReadFile(o.list)
	if err != nil {
		return findability.List{}, readable("list", o.list, err)
	}
	list, err := findability.ReadList(bytes.NewReader(text))
	if err != nil {
		return list, usagef("%s: %w", o.list, err)
	}
	if len(list.EntryPoints) == 0 {
		list.EntryPoints = findability.Default().EntryPoints
	}
	return list, nil
}

// prepareChecks makes a checker for each network that is to be checked, and
// refuses what no network can look up.
func (a *app) prepareChecks(o checkOptions, policy *crawler.Policy, list findability.List) (runs []*checkRun, err error) {
	defer func() {
		if err != nil {
			a.closeChecks(runs)
			runs = nil
		}
	}()
	wanted, err := o.wanted(list)
	if err != nil {
		return nil, err
	}
	scope := o.reach()
	for _, n := range wanted {
		of := list.Of(n.name)
		walk := o.crawlOptions
		if pace, own := o.paces[n.name]; own {
			walk.paceOptions = pace
		}
		c, err := n.checker(a.walkerOptions(walk, policy))
		if err != nil {
			return runs, usageError{err}
		}
		runs = append(runs, &checkRun{checker: c, list: of, starts: o.starts, vantage: o.vantage, scope: scope})
		if err := unify(c, n.name, of); err != nil {
			return runs, err
		}
		if len(of.EntryPoints) == 0 {
			return runs, usagef("check: the list has no entry point of %s to start at", n.name)
		}
	}
	return runs, nil
}

// unify writes entry points and IDs as the record keeps them, so that one has
// one history in it, and refuses what the network does not know and what stands
// there twice in two spellings.
func unify(c checker, network string, list findability.List) error {
	seen := map[string]string{}
	take := func(into *string, parse func(string) (string, error)) error {
		written := *into
		canonical, err := parse(written)
		if err != nil {
			return err
		}
		if before, twice := seen[canonical]; twice {
			return fmt.Errorf("%q is the same as %q", observation.Text(written), observation.Text(before))
		}
		seen[canonical], *into = written, canonical
		return nil
	}
	for i := range list.EntryPoints {
		if err := take(&list.EntryPoints[i].Address, c.ParseEntry); err != nil {
			return usagef("check: entry point %d of %s: %w", i+1, network, err)
		}
	}
	for i := range list.Content {
		if err := take(&list.Content[i].ID, c.ParseContent); err != nil {
			return usagef("check: %q of %s: %w", list.Content[i].Name, network, err)
		}
	}
	return nil
}

// wanted are the networks of the list, or those of them that the user named.
func (o checkOptions) wanted(list findability.List) ([]network, error) {
	listed := map[string]bool{}
	for _, c := range list.Content {
		listed[c.Network] = true
	}
	for _, e := range list.EntryPoints { // beside content of the user's, entry points alone ask for no check
		listed[e.Network] = listed[e.Network] || len(list.Content) == 0 || o.list == ""
	}
	var names []string
	var wanted []network
	for _, n := range networks {
		names = append(names, n.name)
		if listed[n.name] && (len(o.networks) == 0 || slices.Contains(o.networks, n.name)) {
			wanted = append(wanted, n)
		}
	}
	for _, name := range append(slices.Clone(o.networks), slices.Sorted(maps.Keys(listed))...) {
		if !slices.Contains(names, name) {
			return nil, usagef("check: there is no network %q, only %s", name, strings.Join(names, ", "))
		}
	}
	if len(wanted) == 0 {
		return nil, usagef("check: the list has nothing of %s", strings.Join(o.networks, ", "))
	}
	return wanted, nil
}
