package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"canopy/crawler/address"
	"canopy/crawler/observation"
	"canopy/crawler/store"
	"canopy/crawler/testnet"
)

// demoOptions size the demo.
type demoOptions struct {
	out    string
	crawls int
	scale  float64
	seed   uint64
}

const (
	demoHorizon = 24 * time.Hour // virtual time over which nodes come and go
	demoMarker  = ".canopy-demo" // marks a folder that the demo may empty
)

func newDemo(a *app) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo", Short: "Two local networks, crawls, churn and a report: no internet, under 2 minutes",
		Long: `Start a Mainline DHT and an IPFS DHT on loopback with a planned population, walk both
several times while their nodes come and go, keep what was seen in an embedded ClickHouse,
and write a report. Every figure of it is synthetic: the plan is known, and the demo says
whether the crawls found exactly what was planned.`,
		Example: "  canopy demo\n  canopy demo --out /tmp/demo --crawls 6 --seed 7",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("store") {
				a.storeURL = "chdb:" + filepath.Join(o.out, "record")
			}
			return a.runDemo(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.out, "out", "demo", "`folder` for record, truth and report; emptied first if an earlier demo made it")
	cmd.Flags().IntVar(&o.crawls, "crawls", 4, "`crawls` of each network")
	cmd.Flags().Float64Var(&o.scale, "scale", 1, "`factor` on the planned number of nodes")
	cmd.Flags().Uint64Var(&o.seed, "seed", 1, "`seed` of the plan")
	return cmd
}

// localCrawl is one planned network that the demo crawls.
type localCrawl struct {
	network
	running localNetwork
}

func (a *app) runDemo(ctx context.Context, o demoOptions) (err error) {
	if o.crawls < 1 || o.scale <= 0 {
		return usagef("demo: --crawls must be at least 1 and --scale above 0")
	}
	if err := prepareFolder(o.out); err != nil {
		return err
	}
	record, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer a.close("store", record.Close)

	fmt.Fprintln(a.stdout, "Starting two local networks. All that follows is synthetic.")
	locals, err := a.startLocals(ctx, o)
	defer func() {
		for _, l := range locals {
			a.close(l.name+" test network", l.running.Close)
		}
	}()
	if err != nil {
		return err
	}
	if err := writeTruth(o.out, locals); err != nil {
		return err
	}
	facts, err := address.Open(filepath.Join(o.out, "data"), address.Options{})
	if err != nil {
		return fmt.Errorf("open address data: %w", err)
	}
	flaws, err := a.demoCrawls(ctx, o, locals, record, facts)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return degradedError{"stopped by the user; what was seen is stored, no report was written"}
	}
	if err := a.demoReport(ctx, o, record, facts); err != nil {
		return err
	}
	if len(flaws) > 0 {
		return degradedError{errors.Join(flaws...).Error()}
	}
	return nil
}

// demoCrawls walks all networks at the same time, once for every step of
// their plans, and compares what was recorded with what was planned.
func (a *app) demoCrawls(ctx context.Context, o demoOptions, locals []*localCrawl, record *store.Store, facts *address.Table) (flaws []error, err error) {
	for step := range o.crawls {
		at := demoHorizon * time.Duration(step) / time.Duration(o.crawls)
		found := make([]error, len(locals))
		var crawls sync.WaitGroup
		errs := make([]error, len(locals))
		for i, l := range locals {
			crawls.Go(func() { found[i], errs[i] = a.demoCrawl(ctx, l, at, record, facts) })
		}
		crawls.Wait()
		if err := errors.Join(errs...); err != nil || ctx.Err() != nil {
			return flaws, err
		}
		for _, flaw := range found {
			if flaw != nil {
				flaws = append(flaws, flaw)
			}
		}
	}
	return flaws, nil
}

// demoCrawl brings one network to its plan at virtual time at and crawls it.
func (a *app) demoCrawl(ctx context.Context, l *localCrawl, at time.Duration, record *store.Store, facts *address.Table) (flaw, err error) {
	if err := l.running.Advance(ctx, at); err != nil {
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, fmt.Errorf("advance %s test network: %w", l.name, err)
	}
	run, err := a.prepareCrawl(l.network, crawlOptions{
		bootstrap: l.running.Bootstrap(), vantage: "loopback", local: true, edges: true,
		paceOptions: paceOptions{rate: 50_000}, // our own nodes: nobody to be spared
	})
	if err != nil {
		return nil, err
	}
	crawl, err := run(ctx, record, facts)
	if err != nil || ctx.Err() != nil {
		return nil, err
	}
	check, err := compare(ctx, record, crawl, l.running.Plan().AliveAt(at))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(a.stdout, "%s, hour %2.0f of the plan: %s in %.1f s, %s queries. %s\n",
		l.title, at.Hours(), crawl.State, crawl.EndedAt.Sub(crawl.StartedAt).Seconds(), count(crawl.Queries), check)
	if crawl.State != observation.Complete || !check.exact() {
		return fmt.Errorf("%s at hour %.0f: %s; %s", l.title, at.Hours(), crawl.State, check), nil
	}
	return nil, nil
}

// planCheck compares a crawl with the plan.
type planCheck struct{ planned, found, surplus int }

func (c planCheck) exact() bool { return c.found == c.planned && c.surplus == 0 }

func (c planCheck) String() string {
	return fmt.Sprintf("Planned reachable nodes found: %s of %s; dead or absent ones called reachable: %d.",
		count(c.found), count(c.planned), c.surplus)
}

// compare reads back from the record who answered in the crawl.
func compare(ctx context.Context, record *store.Store, crawl observation.Crawl, alive []testnet.Node) (planCheck, error) {
	rows, err := record.DB().QueryContext(ctx,
		"SELECT DISTINCT peer_id FROM visits WHERE crawl_id = @crawl AND outcome = 'answered'", sql.Named("crawl", crawl.ID.String()))
	if err != nil {
		return planCheck{}, fmt.Errorf("compare with the plan: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it all
	planned := map[string]bool{}
	for _, n := range alive {
		planned[n.ID] = true
	}
	check := planCheck{planned: len(planned)}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return planCheck{}, fmt.Errorf("compare with the plan: %w", err)
		}
		if planned[id] {
			check.found++
		} else {
			check.surplus++
		}
	}
	if err := rows.Err(); err != nil {
		return planCheck{}, fmt.Errorf("compare with the plan: %w", err)
	}
	return check, nil
}

func (a *app) demoReport(ctx context.Context, o demoOptions, record *store.Store, facts *address.Table) error {
	dir := filepath.Join(o.out, "report")
	report, err := a.writeReport(ctx, record, facts, reportOptions{out: dir})
	if err != nil {
		return err
	}
	for _, headline := range report.Headlines() {
		fmt.Fprintln(a.stdout, headline)
	}
	path, err := filepath.Abs(filepath.Join(dir, "index.html"))
	if err != nil {
		return fmt.Errorf("find report: %w", err)
	}
	fmt.Fprintln(a.stdout, "Report (synthetic demo data):", path)
	return nil
}

// prepareFolder makes the demo's folder, and empties it if an earlier demo
// made it. Anybody else's folder is left alone.
func prepareFolder(dir string) error {
	marker := filepath.Join(dir, demoMarker)
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		if _, err := os.Stat(marker); err != nil {
			return usagef("demo: the folder %s was not made by an earlier demo: choose another with --out", dir)
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("empty demo folder: %w", err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return fmt.Errorf("make demo folder: %w", err)
	}
	if err := os.WriteFile(marker, nil, 0o644); err != nil {
		return fmt.Errorf("make demo folder: %w", err)
	}
	return nil
}
