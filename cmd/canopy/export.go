package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"canopy/analysis/operator"
	"canopy/crawler/identifier"
	"canopy/crawler/store"
	"canopy/reports"
	"canopy/reports/dataset"
)

// exportOptions say what an export publishes.
type exportOptions struct {
	reportOptions
	period  string
	format  string
	keepKey string
	creator string
	own     []string
	raw     bool
	force   bool
	noCut   bool
}

func newExport(a *app) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use: "export", Short: "Write a research dataset: Parquet or CSV, pseudonymised, with its papers",
		Long: `Write every table of a period as one file, with labels (who runs a peer, on whose land)
that are computed before identities and addresses become keyed pseudonyms. Prefixes are
truncated to /16 (/32 in IPv6), every cell holds at least 5 peers, and our own nodes are
left out. Beside the tables stand a data dictionary, a datasheet, licence, citation,
queries and checksums. docs/dataset.md tells the whole of it.

The key of the pseudonyms is random and forgotten when the export ends. --keep-key FILE
keeps it, so that later exports of the same period share pseudonyms: whoever reads that
file can turn every pseudonym back into an address. The first canopy export or canopy observe
after the period, and a day at least, destroys the file.`,
		Example: `  canopy export --period 2026-10 --out october
  canopy export --from 2026-10-01 --to 2026-11-01 --format csv --out october-csv
  canopy export --period 2026-10 --own 192.0.2.0/28 --creator "Example University" --out october`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runExport(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.period, "period", "", "`year, month or day` to export, such as 2026, 2026-10 or 2026-10-03 (instead of --from and --to)")
	flags.StringVar(&o.from, "from", "", "first `day` or moment (default: the first crawl)")
	flags.StringVar(&o.to, "to", "", "`day` or moment before which the period ends (default: the last crawl)")
	flags.StringVar(&o.out, "out", "dataset", "`folder` to write; it appears when it is whole")
	flags.StringVar(&o.format, "format", dataset.Parquet, "parquet or csv")
	flags.StringVar(&o.keepKey, "keep-key", "", "keep the key of the pseudonyms in `FILE`, or use the one that is there")
	flags.StringVar(&o.creator, "creator", "", "`name` to cite (default: the stewards of this observatory)")
	flags.StringArrayVar(&o.own, "own", nil, "`address or prefix` of yours to leave out; may be given again")
	flags.BoolVar(&o.noCut, "no-clearcut", false, "leave out the results of the clear-cut, which take up to a minute")
	flags.BoolVar(&o.force, "force", false, "replace a dataset that is there")
	flags.BoolVar(&o.raw, "raw", false, "keep identities, addresses and small cells as they are: personal data, never to be published")
	return cmd
}

// check makes options of the flags.
func (o *exportOptions) check() (dataset.Options, error) {
	opt := dataset.Options{Format: o.format, Raw: o.raw, Force: o.force, Creator: o.creator, Software: software()}
	if o.format != dataset.Parquet && o.format != dataset.CSV {
		return opt, usagef("export: --format %s: want parquet or csv", o.format)
	}
	if o.raw && o.keepKey != "" {
		return opt, usagef("export: --raw has no pseudonyms, so there is no key to keep")
	}
	if o.out == "" {
		return opt, usagef("export: --out names no folder")
	}
	for _, text := range o.own {
		p, err := identifier.Prefix(text)
		if err != nil {
			return opt, usagef("export: --own: %w", err)
		}
		opt.Own = append(opt.Own, p)
	}
	var err error
	if o.period != "" {
		if o.from != "" || o.to != "" {
			return opt, usagef("export: --period stands instead of --from and --to")
		}
		opt.Window.From, opt.Window.To, err = period(o.period)
		return opt, err
	}
	opt.Window, err = o.window()
	return opt, err
}

// period is a year, a month or a day.
func period(text string) (from, to time.Time, err error) {
	for _, p := range []struct {
		layout              string
		years, months, days int
	}{{"2006", 1, 0, 0}, {"2006-01", 0, 1, 0}, {time.DateOnly, 0, 0, 1}} {
		if from, err = time.Parse(p.layout, text); err == nil {
			return from, from.AddDate(p.years, p.months, p.days), nil
		}
	}
	return from, to, usagef("export: --period %q: want a year, month or day such as 2026, 2026-10 or 2026-10-03", text)
}

func (a *app) runExport(ctx context.Context, o exportOptions) error {
	opt, err := o.check()
	if err != nil {
		return err
	}
	destroyed, err := a.destroyKeys()
	if err != nil {
		return err
	}
	facts, err := a.openData()
	if err != nil {
		return err
	}
	record, err := a.readRecord(ctx)
	if err != nil {
		return err
	}
	defer a.close("store", record.Close)
	kept, err := o.key(&opt, a.keyLedger(), destroyed)
	if err != nil {
		return err
	}
	opt.Attributions, opt.Progress = credits(facts), a.exportProgress
	opt.Findings = func(ctx context.Context, network, scope string) (string, error) {
		return reports.Found(ctx, record.DB(), operator.Default(), network, scope, opt.Window, dataset.Smallest)
	}
	if !o.noCut {
		opt.Clearcut = func(ctx context.Context, network string, crawls []string) (string, error) {
			return reports.Simulated(ctx, record.DB(), operator.Default(), network, crawls, dataset.Smallest)
		}
	}
	if o.raw {
		fmt.Fprintln(a.stderr, "canopy: --raw: the dataset holds identities and addresses of people in the clear. Guard it; do not publish it.")
	}
	sum, err := dataset.Export(ctx, streamed{record.DB(), record}, o.out, opt)
	a.progress.clear()
	if err != nil {
		return exportError(ctx, o, err)
	}
	if kept != "" {
		fmt.Fprintln(a.stderr, "canopy: "+kept)
	}
	return a.printExport(sum)
}

func day(t time.Time) string {
	if t.IsZero() {
		return "open"
	}
	return t.UTC().Format(time.DateOnly)
}

// exportError says what is to be done.
func exportError(ctx context.Context, o exportOptions, err error) error {
	switch {
	case ctx.Err() != nil:
		return degradedError{"stopped by the user: nothing was written to " + o.out}
	case errors.Is(err, dataset.ErrExists):
		return usageError{err}
	}
	return err
}

// streamed is a record that datasets are made from.
type streamed struct {
	*sql.DB
	store *store.Store
}

// Stream reads column by column.
func (s streamed) Stream(ctx context.Context, query string, each func([]any) error) error {
	return s.store.Stream(ctx, query, each)
}

func (a *app) exportProgress(p dataset.Progress) {
	if p.Of == 0 {
		a.progress.say(map[string]any{"event": "progress", "step": p.Table}, p.Table)
		return
	}
	a.progress.say(map[string]any{"event": "progress", "table": p.Table, "rows": p.Rows, "parts": p.Parts, "of": p.Of},
		fmt.Sprintf("%s  %s rows, part %d of %d", p.Table, count(p.Rows), p.Parts, p.Of))
}

func (a *app) printExport(sum *dataset.Summary) error {
	if a.json {
		return a.printJSON(sum)
	}
	var rows int64
	for _, n := range sum.Rows {
		rows += n
	}
	fmt.Fprintf(a.stdout, "Dataset: %s (%s rows, %s bytes)\n", sum.Dir, count(rows), count(sum.Bytes))
	if sum.Dropped > 0 {
		fmt.Fprintf(a.stdout, "Left out: %s visits of our own nodes, and of networks too small to publish\n", count(sum.Dropped))
	}
	if sum.Unfinished > 0 {
		fmt.Fprintf(a.stdout, "Left out: %d crawls that had not ended\n", sum.Unfinished)
	}
	fmt.Fprintln(a.stdout, "Read DATASHEET.md before you publish it.")
	return nil
}
