package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"canopy/crawler/columns"
	"canopy/crawler/store"
)

func newStorePrune(a *app) *cobra.Command {
	var older []string
	var yes bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove what is older than you want to keep", Args: cobra.NoArgs,
		Long: `Remove whole months of a table once all of it is older than you say. Nothing is ever removed
unless you ask for it, and without --yes this command only shows what would go.`,
		Example: `  canopy store prune --older-than probes=180d --older-than edges=1y
  canopy store prune --older-than probes=180d --yes`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.storePrune(cmd.Context(), older, yes) },
	}
	cmd.Flags().StringSliceVar(&older, "older-than", nil, "`TABLE=AGE`, such as probes=180d or visits=2y; may be given for each table")
	cmd.Flags().BoolVar(&yes, "yes", false, "remove it")
	return cmd
}

func (a *app) storePrune(ctx context.Context, older []string, yes bool) error {
	retention, err := parseRetention(older)
	if err != nil {
		return err
	}
	return a.withStore(ctx, store.Options{ReadOnly: !yes, MustExist: true}, func(s *store.Store) error {
		pruned, err := s.Prune(ctx, retention, time.Now(), !yes)
		if err != nil {
			return err
		}
		if a.json {
			for _, p := range pruned {
				if err := a.printJSON(p); err != nil {
					return err
				}
			}
			return nil
		}
		return a.printPruned(pruned, yes)
	})
}

func (a *app) printPruned(pruned []store.Pruned, removed bool) error {
	if len(pruned) == 0 {
		fmt.Fprintln(a.stdout, "Nothing is as old as that.")
		return nil
	}
	tw := columns.New(a.stdout, tabwriter.AlignRight)
	fmt.Fprintln(tw, "table\tmonth\trows\tbytes\t")
	for _, p := range pruned {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t\n", p.Table, p.Month, count(p.Rows), count(p.Bytes))
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if removed {
		fmt.Fprintln(a.stdout, "This was removed.")
	} else {
		fmt.Fprintln(a.stdout, "This would be removed: add --yes to do it.")
	}
	return nil
}

// parseRetention reads TABLE=AGE.
func parseRetention(texts []string) (store.Retention, error) {
	retention := store.Retention{}
	for _, text := range texts {
		table, age, ok := strings.Cut(text, "=")
		if !ok {
			return nil, usagef("--older-than %s: want TABLE=AGE, such as probes=180d", text)
		}
		keep, err := parseAge(age)
		if err != nil {
			return nil, usagef("--older-than %s: %w", text, err)
		}
		retention[table] = keep
	}
	if len(retention) == 0 {
		return nil, usagef("store prune: say what to remove, with --older-than TABLE=AGE")
	}
	return retention, nil
}

// parseAge reads days and years, as 180d or 2y.
func parseAge(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	units := map[string]time.Duration{"d": day, "y": 365 * day}
	for suffix, unit := range units {
		number, ok := strings.CutSuffix(text, suffix)
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 && time.Duration(n) <= 250*365*day/unit {
			return time.Duration(n) * unit, nil
		}
	}
	return 0, fmt.Errorf("%q is no age: want days or years, such as 180d or 2y", text)
}
