package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"canopy/crawler/address"
	"canopy/crawler/address/refresh"
	"canopy/crawler/columns"
)

// dataUpdateOptions say what is fetched and from where.
type dataUpdateOptions struct {
	from    string
	sources []string
	shrink  bool
}

func newDataUpdate(a *app) *cobra.Command {
	var o dataUpdateOptions
	var known []string
	for _, s := range refresh.Sources() {
		known = append(known, "  "+s.Name+strings.Repeat(" ", max(1, 14-len(s.Name)))+s.Title)
	}
	cmd := &cobra.Command{
		Use: "update", Short: "Fetch newer data sets and keep the old ones as versions", Args: cobra.NoArgs,
		Long: `Ask the publisher of every data set whether it changed, and keep what did as a new version
below the data folder. What comes broken, cut short, as a web page or suspiciously small is
refused, and the data at hand stay. Old versions are kept, so that old crawls can be
explained as of their day.

--from takes the files from a mirror instead, a URL or a folder that holds SOURCE/FILE, such
as aws/ip-ranges.json; what it lacks is left as it is.

Sources (npm is fetched only when it is named):
` + strings.Join(known, "\n"),
		Example: "  canopy data update\n  canopy data update --source iptoasn --source aws\n  canopy data update --from /media/usb/canopy-mirror",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.dataUpdate(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.from, "from", "", "`URL or folder` of a mirror (default: the publishers)")
	cmd.Flags().StringSliceVar(&o.sources, "source", nil, "`name` of a data set to fetch; may be repeated (default: all)")
	cmd.Flags().BoolVar(&o.shrink, "shrink", false, "take data sets in that are suspiciously small")
	return cmd
}

// dataFolder is where data sets are kept: --data, else the folder there is,
// else the user's own.
func (a *app) dataFolder() (string, error) {
	found, err := a.dataFound()
	if err != nil {
		return "", err
	}
	if dir := cmp.Or(found, address.Home()); dir != "" {
		return dir, nil
	}
	return "", usagef("data update: there is no folder to keep data in; name one with --data")
}

func (a *app) dataUpdate(ctx context.Context, o dataUpdateOptions) error {
	sources, unknown := refresh.Named(o.sources...)
	if unknown != "" {
		return usagef("data update: there is no source %q; canopy data update --help lists them", unknown)
	}
	isURL := strings.HasPrefix(o.from, "http://") || strings.HasPrefix(o.from, "https://")
	if info, err := os.Stat(o.from); o.from != "" && !isURL && (err != nil || !info.IsDir()) {
		return usagef("data update: --from %s is no folder and no http(s) address", o.from)
	}
	dir, err := a.dataFolder()
	if err != nil {
		return err
	}
	options := a.refreshOptions(o.from)
	options.Shrink = o.shrink
	results, err := refresh.Update(ctx, dir, sources, options)
	if err != nil {
		return err
	}
	return a.printRefresh(dir, results)
}

// refreshOptions say how data sets are fetched, from a mirror unless from is
// empty.
func (a *app) refreshOptions(from string) refresh.Options {
	options := refresh.DefaultOptions()
	options.From, options.Agent, options.Logger = from, software(), a.logger
	options.Client = &http.Client{Timeout: options.Timeout}
	return options
}

func (a *app) printRefresh(dir string, results []refresh.Result) error {
	tw := columns.New(a.stdout, 0)
	var failed []string
	for _, r := range results {
		if r.State == refresh.Failed {
			failed = append(failed, r.Source+" ("+r.Reason+")")
		}
		if !a.json {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", r.Source, r.State, describeVersion(r.Version), r.Reason+r.Note)
		}
	}
	if a.json {
		if err := a.printJSON(map[string]any{"folder": dir, "results": results}); err != nil {
			return err
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if len(failed) > 0 {
		return degradedError{"these data sets stay as they were: " + strings.Join(failed, "; ")}
	}
	return nil
}

func describeVersion(v address.Version) string {
	if v.File == "" {
		return "none at hand"
	}
	return fmt.Sprintf("of %s, %s ranges", v.Date.Format(time.DateOnly), count(v.Rows))
}

// age says how old data are, in words.
func age(date, now time.Time) string {
	days := int(now.Sub(date).Hours() / 24)
	switch {
	case days < 0:
		return "in the future"
	case days == 1:
		return "1 day old"
	case days > 730:
		return fmt.Sprintf("%d years old", days/365)
	}
	return count(days) + " days old"
}
