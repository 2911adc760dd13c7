package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"canopy/analysis"
	"canopy/crawler/address"
	"canopy/crawler/store"
	"canopy/reports"
)

// reportOptions say what a report covers and where it goes.
type reportOptions struct {
	from, to string
	out      string
	index    string
}

func newReport(a *app) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use: "report", Short: "Write the report of a period: HTML, PNG, SVG and figures.json",
		Long: `Compute every figure of a period from the record and write one self-contained page
(index.html), each figure as PNG and SVG, and figures.json with every number, its unit,
n, interval and method. Tables stand beside it as CSV.

With --from, headlines are compared with those of the period of equal length before.
With --index, no report is made: a folder of reports gets a page that leads to each.`,
		Example: "  canopy report --out report\n  canopy report --from 2026-10-01 --to 2026-11-01 --out reports/2026-10\n  canopy report --index reports",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.index != "" {
				return a.runArchive(o.index)
			}
			return a.runReport(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.from, "from", "", "first `day` or moment, such as 2026-10-01 or 2026-10-01T06:00:00Z (default: the first crawl)")
	cmd.Flags().StringVar(&o.to, "to", "", "`day` or moment before which the period ends (default: the last crawl)")
	cmd.Flags().StringVar(&o.out, "out", "report", "`folder` to write to")
	cmd.Flags().StringVar(&o.index, "index", "", "`folder` whose folders are reports: write the page of its archive")
	for _, other := range []string{"from", "to", "out"} {
		cmd.MarkFlagsMutuallyExclusive("index", other)
	}
	return cmd
}

// runArchive writes the page of an archive.
func (a *app) runArchive(dir string) error {
	n, err := reports.Archive(dir, time.Now(), software())
	if err != nil {
		return err
	}
	path := filepath.Join(dir, reports.Index)
	if a.json {
		return a.printJSON(map[string]any{"archive": path, "reports": n})
	}
	fmt.Fprintf(a.stdout, "Archive of %d reports: %s\n", n, path)
	return nil
}

func (a *app) runReport(ctx context.Context, o reportOptions) error {
	if _, err := o.window(); err != nil {
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
	report, err := a.writeReport(ctx, record, facts, o)
	if err != nil {
		return err
	}
	return a.printReport(report, o.out)
}

// printReport says what a report found, and where it is.
func (a *app) printReport(report *reports.Report, dir string) error {
	path := filepath.Join(dir, reports.Index)
	if a.json {
		return a.printJSON(map[string]any{"report": path, "headlines": report.Headlines()})
	}
	for _, headline := range report.Headlines() {
		fmt.Fprintln(a.stdout, headline)
	}
	fmt.Fprintln(a.stdout, "Report:", path)
	return nil
}

// writeReport computes and writes one report; the demo does the same as the
// report command.
func (a *app) writeReport(ctx context.Context, record *store.Store, facts *address.Table, o reportOptions) (*reports.Report, error) {
	window, err := o.window()
	if err != nil {
		return nil, err
	}
	opt := reports.Options{From: window.From, To: window.To, Software: software(), Attributions: credits(facts), Warnings: facts.Warnings()}
	if facts.Empty() {
		opt.Warnings = nil // the record holds the facts of its day, whatever is here now
	}
	report, err := reports.Build(ctx, record.DB(), opt)
	if err != nil {
		return nil, err
	}
	return report, report.Write(o.out)
}

func (o reportOptions) window() (w analysis.Window, err error) {
	if w.From, err = moment("--from", o.from); err != nil {
		return w, err
	}
	if w.To, err = moment("--to", o.to); err != nil {
		return w, err
	}
	if !w.From.IsZero() && !w.To.IsZero() && !w.From.Before(w.To) {
		return w, usagef("report: --from %s is not before --to %s", o.from, o.to)
	}
	return w, nil
}

func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("report: %s %q: want a day such as 2026-10-01 or a moment such as 2026-10-01T06:00:00Z", flag, text)
}

// credits are the lines that the licences of the data sets ask for.
func credits(facts *address.Table) []string {
	var lines []string
	for _, s := range facts.Status() {
		line := fmt.Sprintf("%s of %s", s.Name, s.Date.Format(time.DateOnly))
		for _, part := range []string{s.Credit, s.Licence} {
			if part != "" {
				line += "; " + part
			}
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}
