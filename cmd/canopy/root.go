package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `Canopy observes peer-to-peer networks: it walks their routing tables, keeps
what it saw in ClickHouse, and reports who runs them and on whose land.

Start with the demo, which needs no internet:
  canopy demo

Settings come from --config FILE (YAML), then from the environment
(CANOPY_STORE, CANOPY_CRAWL_MAINLINE_RATE, ...), then from flags; the later one wins.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but degraded (it says why), 141 done
but its output went to a reader that had gone.

Ctrl-C, SIGTERM, SIGQUIT, SIGXCPU and a closed terminal (SIGHUP, unless under nohup) end what is
under way with all of it stored. Only a second Ctrl-C, SIGABRT and SIGKILL end at once. When
the reader of output or logs goes away, the work goes on.`

// newRoot builds the command tree.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use: "canopy", Short: "Who runs the peer-to-peer networks we all rely on?", Long: rootLong,
		SilenceUsage: true, SilenceErrors: true, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.configure(cmd); err != nil {
				return err
			}
			return a.validate()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", "", "YAML `file` with settings")
	flags.StringVar(&a.storeURL, "store", "chdb:canopy-data", "where the record is kept: chdb:DIR, clickhouse://user:pass@host:9000/db or http(s)://user:pass@host:8123/db")
	flags.StringVar(&a.spool, "spool", "", "`folder` for rows that the record can't take at once (default: DIR.spool for chdb:DIR, else canopy-spool)")
	flags.StringVar(&a.dataDir, "data", "", "`folder` with address data sets (default: what make data installed)")
	flags.BoolVar(&a.json, "json", false, "machine-readable output: one JSON object a line")
	flags.StringVar(&a.logLevel, "log", "warn", "log `level` on stderr: debug, info, warn or error")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%s: %w; see %s --help", cmd.CommandPath(), err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newDemo(a), newCrawl(a), newReport(a), newClearcut(a), newCheck(a), newObserve(a), newExport(a), newFigures(a), newImport(a), newExplain(a), newLabel(a), newRules(a), newStore(a), newData(a), newTestnet(a), newVersion(a))
	for _, c := range root.Commands() {
		usageOnArgs(c)
	}
	return root
}

// group is a command that only holds others.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs}
	g.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return cmd.Help()
	}
	g.AddCommand(commands...)
	return g
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usagef("%s: no command %q; there are %s", cmd.CommandPath(), name, strings.Join(names, ", "))
}

// usageOnArgs makes a wrong number of arguments a usage error.
func usageOnArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usagef("%s: %w; see %s --help", c.CommandPath(), err, c.CommandPath())
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		usageOnArgs(c)
	}
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(map[string]string{"version": versionString(), "go": runtime.Version()})
			}
			fmt.Fprintln(a.stdout, software(), runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
			return nil
		},
	}
}

// readable turns the operating system's word for a missing file into ours.
func readable(what, path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return usagef("read %s: there is no file %s", what, path)
	}
	return usagef("read %s: %w", what, err)
}
