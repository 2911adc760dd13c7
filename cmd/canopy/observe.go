package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"canopy/crawler/store"
)

const observeLong = `Crawl on schedule, probe peers between crawls to see who stays, write reports, and keep
address data fresh, until stopped. One YAML file holds all settings:

  store: chdb:/var/lib/canopy/record
  observe:
    vantage: my-university
    contact: https://observatory.example.org
    report-out: /var/www/canopy
    mainline:
      every: 6h
      jitter: 30m
    ipfs:
      every: 1h
      edges: true

docs/observe.md tells every setting, and how to run this under systemd, in a
container, or from cron. Ctrl-C ends it cleanly; starting again closes nobody's
session and does not make up for crawls that were missed.`

func newObserve(a *app) *cobra.Command {
	var o observeOptions
	cmd := &cobra.Command{
		Use: "observe", Short: "Crawl on schedule, probe in between, write reports, until stopped",
		Long: observeLong, Args: cobra.NoArgs,
		Example: "  canopy observe --config canopy.yaml\n  canopy observe --status --config canopy.yaml\n  canopy observe --networks ipfs --vantage my-university",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.status {
				return a.printObserveStatus(cmd.Context(), o.listen)
			}
			for _, section := range cmd.Commands() {
				if err := a.configureSection(section); err != nil {
					return err
				}
			}
			if err := o.check(); err != nil {
				return err
			}
			return a.runObserve(cmd.Context(), o)
		},
	}
	addObserveFlags(cmd.Flags(), &o)
	for _, n := range networks {
		section, settings := newObserveSection(n)
		cmd.AddCommand(section)
		o.sections = append(o.sections, settings)
	}
	return cmd
}

// runObserve observes until ctx ends, which is how it is meant to end.
func (a *app) runObserve(ctx context.Context, o observeOptions) (err error) {
	for _, s := range o.sections { // before anything is opened: it reads what the user wrote
		if _, err := a.prepareCrawl(s.network, s.crawl); err != nil {
			return err
		}
	}
	if err := a.tryChecks(o); err != nil {
		return err
	}
	record, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, record.Close()) }()
	claim, err := record.Claim(ctx, o.vantage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, claim.Release(context.WithoutCancel(ctx))) }()
	ob, err := newObserver(ctx, a, o, record)
	if err != nil {
		return err
	}
	defer ob.close()
	if o.listen != "" {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
		if err != nil {
			return fmt.Errorf("listen for metrics and status: %w; set listen to a free address, or to nothing", err)
		}
		stop := ob.serve(listener)
		defer stop()
	}
	if err := ob.takeOver(ctx); err != nil {
		return err
	}
	a.logger.Info("observing", "networks", o.networks, "vantage", o.vantage)
	return ob.run(ctx, claim)
}

// observer is one running canopy observe.
type observer struct {
	*app
	options  observeOptions
	record   *store.Store
	started  time.Time
	networks []*observedNetwork
	rows     rowCounts

	crawled     chan struct{} // closed once there is something to report
	haveCrawled func()

	mu     sync.Mutex
	report reportState
	data   taskState // Last: that left nothing undone
	checks taskState
}

func newObserver(ctx context.Context, a *app, o observeOptions, record *store.Store) (*observer, error) {
	ob := &observer{app: a, options: o, record: record, started: time.Now(), crawled: make(chan struct{})}
	ob.haveCrawled = sync.OnceFunc(func() { close(ob.crawled) })
	for _, s := range o.sections {
		n, err := newObservedNetwork(ob, s)
		if err != nil {
			ob.close()
			return nil, err
		}
		ob.networks = append(ob.networks, n)
	}
	return ob, ctx.Err()
}

func (ob *observer) close() {
	for _, n := range ob.networks {
		ob.app.close(n.name+" prober", n.prober.Close)
	}
}

// takeOver ends what an earlier observer left open and learns from the record
// how things stand.
func (ob *observer) takeOver(ctx context.Context) error {
	if err := ob.checkRetention(ctx); err != nil {
		return err
	}
	if err := ob.mend(ctx, ob.record); err != nil { // again: now the vantage is ours
		return err
	}
	for _, n := range ob.networks {
		if err := n.restore(ctx); err != nil {
			return err
		}
	}
	return nil
}

// run crawls, probes and reports until ctx ends, or until something fails
// that makes going on senseless.
func (ob *observer) run(ctx context.Context, claim *store.Claim) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks := []func(context.Context) error{func(ctx context.Context) error { return ob.beat(ctx, claim) }, ob.keys}
	for _, n := range ob.networks {
		tasks = append(tasks, n.crawls, n.monitor.Run)
	}
	if ob.options.reportEvery > 0 {
		tasks = append(tasks, ob.reports)
	}
	if ob.options.checkEvery > 0 {
		tasks = append(tasks, ob.findings)
	}
	if ob.options.dataRefresh > 0 {
		tasks = append(tasks, ob.refreshes)
	}
	if len(ob.options.keep.tables) > 0 {
		tasks = append(tasks, ob.prunes)
	}
	errs := make([]error, len(tasks))
	var running sync.WaitGroup
	for i, task := range tasks {
		running.Go(func() {
			if errs[i] = task(ctx); errs[i] != nil {
				stop()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// beatEvery is how often the claim on the vantage is renewed.
const beatEvery = 30 * time.Second

// beat renews the claim until ctx ends or somebody else has the vantage.
func (ob *observer) beat(ctx context.Context, claim *store.Claim) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch err := claim.Beat(ctx); {
		case errors.Is(err, store.ErrClaimed):
			return err
		case err != nil && ctx.Err() == nil:
			ob.logger.Warn("the claim on the vantage could not be renewed", "error", err)
		}
	}
}
