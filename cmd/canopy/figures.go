package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"canopy/crawler/store"
	"canopy/reports"
	"canopy/reports/dataset"
)

func newFigures(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "figures DATASET", Short: "Make every figure of the report from a dataset alone",
		Long: `Read a dataset that canopy export wrote, hold its files against their checksums, and
write the report of its period: the page, each figure as PNG and SVG, and figures.json.
No record is needed, only the embedded engine. Shares are those of the report on the record, except where
cells of fewer than 5 peers are withheld: docs/dataset.md says which figures that changes.`,
		Example: "  canopy figures october --out october-figures\n  make figures DATASET=october",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runFigures(cmd.Context(), args[0], out) },
	}
	cmd.Flags().StringVar(&out, "out", "figures", "`folder` to write to")
	return cmd
}

func (a *app) runFigures(ctx context.Context, dir, out string) (err error) {
	index, err := dataset.Check(dir)
	if err != nil {
		return fmt.Errorf("make figures: %w", err)
	}
	temp, err := os.MkdirTemp("", "canopy-figures-*")
	if err != nil {
		return fmt.Errorf("make figures: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	s, err := store.Open(ctx, "chdb:"+filepath.Join(temp, "record")+"?database=default", store.Options{Logger: a.logger, Spool: store.NoSpool})
	if err != nil {
		return fmt.Errorf("make figures: %w", err)
	}
	defer a.close("store", s.Close)
	if err := dataset.Load(ctx, s.DB(), dir, index); err != nil {
		return fmt.Errorf("make figures: %w", err)
	}
	report, err := reports.Build(ctx, s.DB(), reports.Options{
		From: index.From, To: index.To, Software: software(), Attributions: index.Attributed, Published: true,
		Warnings: []string{fmt.Sprintf("Made from a dataset of %s, in which cells of fewer than %d peers are withheld.", index.Generated.Format("2 January 2006"), index.Smallest)},
	})
	if errors.Is(err, reports.ErrNoCrawl) {
		return fmt.Errorf("make figures: %s holds no finished crawl of its period", dir)
	}
	if err != nil {
		return fmt.Errorf("make figures: %w", err)
	}
	report.Rules = index.Rules
	if err := report.Write(out); err != nil {
		return err
	}
	return a.printReport(report, out)
}
