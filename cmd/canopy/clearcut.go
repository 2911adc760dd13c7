package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"canopy/analysis"
	"canopy/analysis/clearcut"
	"canopy/analysis/operator"
	"canopy/crawler/columns"
	"canopy/crawler/observation"
)

// clearcutOptions are a scenario as flags give it, or the file that holds it.
type clearcutOptions struct {
	clearcut.Scenario
	file  string
	given func(flag string) bool
}

// removalFlags are those that say who leaves.
var removalFlags = []string{"operator", "organisation", "country", "hosting", "largest", "by", "random"}

func newClearcut(a *app) *cobra.Command {
	var o clearcutOptions
	cmd := &cobra.Command{
		Use: "clearcut", Short: "What stands if these leave: lookups on the recorded tables without them",
		Long: `Remove peers from the routing tables that a crawl with --edges recorded, and run the
network's own lookups from survivors to random keys: on the tables as recorded, and
after one round of repair. Beside it, as many peers are removed at random.

A scenario file makes "this company shuts down" a document that others can run again:

  name: Example Hosting shuts down
  network: ipfs
  remove:
    organisations: [Example Hosting]
  lookups: 10000
  seed: 1

Under remove stand operators, organisations, countries and hosting (lists of names),
or largest (a number) with by (operator, organisation, country, hosting), or random (a
share). Flags set the rest of a file, not who leaves. With --json the scenario that
is printed is complete: network, crawl, lookups and seed included.`,
		Example: `  canopy clearcut --organisation "Example Hosting" --network ipfs
  canopy clearcut --largest 10 --by organisation --lookups 10000
  canopy clearcut --country DE --country US --hosting hosting
  canopy clearcut --scenario shutdown.yaml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.given = cmd.Flags().Changed
			return a.runClearcut(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.Remove.Operators, "operator", nil, "remove who runs peers under this `name`, or of this kind: community, commercial, institutional; again for more")
	flags.StringArrayVar(&o.Remove.Organisations, "organisation", nil, "remove all peers in networks of this AS `organisation`; again for more")
	flags.StringArrayVar(&o.Remove.Countries, "country", nil, "remove all peers in this country, by its two-letter `code`; again for more")
	flags.StringArrayVar(&o.Remove.Hosting, "hosting", nil, "remove all peers on land of this hosting `class`; again for more")
	flags.IntVar(&o.Remove.Largest, "largest", 0, "remove this `many` of the largest, one after the other")
	flags.StringVar(&o.Remove.By, "by", "", "`kind` of holder of which --largest are: operator, organisation, country, hosting (default operator)")
	flags.Float64Var(&o.Remove.Random, "random", 0, "remove this `share` of the peers, drawn at random")
	flags.StringVar(&o.file, "scenario", "", "YAML `file` that says who leaves")
	flags.StringVar(&o.Network, "network", "", "`name` of the network, where the record holds several")
	flags.StringVar(&o.Crawl, "crawl", "", "`ID` of the crawl (default: the latest whole one with routing tables)")
	flags.IntVar(&o.Lookups, "lookups", 0, "`lookups` of each removal, before and after repair (default 2000)")
	flags.IntVar(&o.Repetitions, "repetitions", 0, "random `sets` of each size (default 5)")
	flags.Uint64Var(&o.Seed, "seed", 0, "`seed` of all that is random")
	return cmd
}

func (a *app) runClearcut(ctx context.Context, o clearcutOptions) error {
	scenario, err := o.scenario()
	if err != nil {
		return err
	}
	record, err := a.readRecord(ctx)
	if err != nil {
		return err
	}
	defer a.close("store", record.Close)
	result, err := fell(ctx, record.DB(), scenario)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(result)
	}
	return printClearcut(a.stdout, result)
}

// scenario is that of the file with the flags that were given, or that of the
// flags alone.
func (o clearcutOptions) scenario() (clearcut.Scenario, error) {
	if o.file == "" {
		if err := o.Check(); err != nil {
			return o.Scenario, usagef("clearcut: %w; see canopy clearcut --help", err)
		}
		return o.Scenario, nil
	}
	for _, flag := range removalFlags {
		if o.given(flag) {
			return o.Scenario, usagef("clearcut: --%s and --scenario exclude each other: the file says who leaves", flag)
		}
	}
	f, err := os.Open(o.file)
	if err != nil {
		return o.Scenario, readable("scenario", o.file, err)
	}
	s, err := clearcut.ReadScenario(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return s, usagef("clearcut: %s: %w", o.file, err)
	}
	for flag, set := range map[string]func(){
		"network": func() { s.Network = o.Network }, "crawl": func() { s.Crawl = o.Crawl }, "seed": func() { s.Seed = o.Seed },
		"lookups": func() { s.Lookups = o.Lookups }, "repetitions": func() { s.Repetitions = o.Repetitions },
	} {
		if o.given(flag) {
			set()
		}
	}
	if err := s.Check(); err != nil {
		return s, usagef("clearcut: %w", err)
	}
	return s, nil
}

// fell runs a scenario on the record.
func fell(ctx context.Context, q analysis.Querier, s clearcut.Scenario) (clearcut.Result, error) {
	crawl, err := clearcut.Find(ctx, q, s.Network, s.Crawl)
	if err != nil {
		return clearcut.Result{}, err
	}
	graph, err := clearcut.Load(ctx, q, operator.Default(), &crawl)
	if err != nil {
		return clearcut.Result{}, err
	}
	s.Network, s.Crawl = crawl.Network.Name, crawl.ID
	result, err := graph.Run(ctx, s)
	result.Crawl = crawl
	result.Warnings = append(crawl.Warnings(), result.Warnings...)
	return result, err
}

func printClearcut(out io.Writer, r clearcut.Result) error {
	about := ""
	if r.Crawl.Synthetic() {
		about = ", synthetic"
	}
	fmt.Fprintf(out, "%s, crawl %s of %s%s: %s peers answered; of their %s table entries %.0f %% are dead.\n",
		r.Crawl.Network.Title, r.Crawl.ID, r.Crawl.StartedAt.Format("2006-01-02 15:04"), about, count(r.Living), count(r.Edges), 100*r.Dead)
	if r.Scenario.Name != "" {
		fmt.Fprintf(out, "Scenario: %s.\n", observation.Text(strings.TrimSuffix(r.Scenario.Name, ".")))
	}
	fmt.Fprintln(out, sentenceOfCut("If nobody left", r.Before))
	for i, s := range r.Steps {
		fmt.Fprintln(out, sentenceOfCut(subject(s, i > 0), s.Cut))
	}
	fmt.Fprintln(out)
	t := columns.New(out, 0)
	fmt.Fprintln(t, "leaves\tremoved\tsuccess\tafter repair\tas many at random\thops\tmessages\tcomponent\trecords lost\tf^k\tentry points left")
	fmt.Fprintln(t, cutRow("nobody", r.Before, nil))
	for _, s := range r.Steps {
		fmt.Fprintln(t, cutRow(leaving(s), s.Cut, s.Random))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(out, "note:", w)
	}
	return nil
}

// leaving names who leaves at a step.
func leaving(s clearcut.Step) string {
	if len(s.Leaves) == 0 {
		return "random peers"
	}
	names := make([]string, len(s.Leaves))
	for i, name := range s.Leaves {
		names[i] = observation.Text(name)
	}
	return strings.Join(names, " + ")
}

func subject(s clearcut.Step, too bool) string {
	if too {
		return "If " + leaving(s) + " left too"
	}
	return "If " + leaving(s) + " left"
}

func sentenceOfCut(subject string, c clearcut.Cut) string {
	return fmt.Sprintf("%s (%s of peers), %s of 100 lookups would still succeed; after one round of repair %s.",
		subject, percentOf(c.Share.Value), hundredths(c.Recorded.Success), hundredths(c.Repaired.Success))
}

func hundredths(e analysis.Estimate) string {
	return fmt.Sprintf("%.1f (%.1f-%.1f)", 100*e.Value, 100*e.Lower, 100*e.Upper)
}

func percentOf(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }

// smallPercent writes a share that may be too small for anybody to care how small.
func smallPercent(v float64) string {
	if v > 0 && v < 1e-6 {
		return "<0.0001 %"
	}
	return fmt.Sprintf("%.3g %%", 100*v)
}

func cutRow(name string, c clearcut.Cut, random *clearcut.Cut) string {
	beside, hops, entries := "-", "-", "-"
	if random != nil {
		beside = percentOf(random.Recorded.Success.Value)
	}
	if h := c.Recorded.Hops; h != nil {
		hops = fmt.Sprintf("%.2f", h.Value)
	}
	if e := c.EntryPoints; e != nil && e.Known > 0 {
		entries = fmt.Sprintf("%d of %d", e.Left, e.Known)
	}
	return strings.Join([]string{
		name, percentOf(c.Share.Value), percentOf(c.Recorded.Success.Value), percentOf(c.Repaired.Success.Value), beside, hops,
		fmt.Sprintf("%.1f", c.Recorded.Messages.Value), percentOf(c.Recorded.Component.Value),
		smallPercent(c.RecordsLost.Value), smallPercent(c.Expected), entries,
	}, "\t")
}
