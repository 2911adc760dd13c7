package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"canopy/crawler/columns"
)

func newData(a *app) *cobra.Command {
	return group("data", "Address data sets: whose an address is", `Facts of addresses (AS, organisation, country, hosting class) come from data sets
in a folder: --data DIR, or the folder that make data fills. Your own tables may
lie beside them, as CSV with the header start,end,asn,organisation,country,hosting.`,
		newDataUpdate(a),
		&cobra.Command{
			Use: "status", Short: "What is there, from whom, and how old", Args: cobra.NoArgs,
			Example: "  canopy data status\n  canopy data status --data ./tables --json",
			RunE:    func(*cobra.Command, []string) error { return a.dataStatus() },
		})
}

func (a *app) dataStatus() error {
	table, err := a.openData()
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"sources": table.Status(), "warnings": table.Warnings()})
	}
	tw := columns.New(a.stdout, 0)
	for _, s := range table.Status() {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s ranges\t%s\t%s\n", s.Name, s.Date.Format("2006-01-02"), age(s.Date, time.Now()), count(s.Rows), s.Licence, s.File)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	for _, w := range table.Warnings() {
		fmt.Fprintln(a.stdout, "warning:", w)
	}
	return nil
}
