package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"canopy/crawler"
	"canopy/crawler/address"
	"canopy/crawler/ipfs"
	"canopy/crawler/nebula"
	"canopy/crawler/store"
)

// importOptions say how the crawls of another program become ours.
type importOptions struct {
	network  string
	protocol string
	vantage  string
}

func newImport(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "nebula DIR", Short: "Read crawls of Nebula (JSON lines) into the record",
		Long: `Read every crawl that "nebula crawl --json-out DIR" left in a folder: PREFIX_crawl.json,
PREFIX_visits.ndjson and PREFIX_neighbors.ndjson, packed with gzip or not. Lines that can't be believed are counted
and named, and the rest is kept; a crawl of which more is bad than good is refused whole. Of one peer 256 addresses,
256 protocols and 65,536 neighbours are kept; what is left out of such lists is counted and told at the end.
A crawl that is in the record already is left as it is, so nothing is doubled.

Land and organisation come from today's address data, not from that of the crawl's day:
a note at the crawl says so.`,
		Example: `  canopy import nebula ~/nebula/results --vantage nebula-fra
  canopy report --from 2023-05-01 --to 2023-06-01 --out may-2023`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.importNebula(cmd.Context(), args[0], o) },
	}
	cmd.Flags().StringVar(&o.network, "network", "ipfs", "`name` of the network in the record")
	cmd.Flags().StringVar(&o.protocol, "protocol", ipfs.DefaultProtocol, "protocol `ID` of the DHT that was crawled")
	cmd.Flags().StringVar(&o.vantage, "vantage", "nebula", "`name` of where the crawls looked from")
	return group("import", "Read the crawls of other programs",
		"Read what other crawlers recorded, so that old data can be attributed and reported.", cmd)
}

var networkName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func (a *app) importNebula(ctx context.Context, dir string, o importOptions) error {
	if !networkName.MatchString(o.network) {
		return usagef("import: --network %q: want small letters, digits, dots and dashes", o.network)
	}
	found, err := nebula.Find(dir)
	if err != nil {
		return err
	}
	facts, err := a.openData()
	if err != nil {
		return err
	}
	record, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer a.close("store", record.Close)
	opt := nebula.Options{
		Network: ipfs.Describe(o.protocol, nebulaK), Vantage: o.vantage, Facts: facts.Lookup, Allow: crawler.GloballyRoutable, Notes: factsNotes(facts),
	}
	opt.Network.Name = o.network
	var failed []error
	bad := 0
	for _, f := range found {
		lines, err := a.importOne(ctx, record, f, opt)
		bad += lines
		if ctx.Err() != nil {
			return degradedError{"stopped by the user: crawls that were not read whole are marked as cut short; import them again"}
		}
		failed = append(failed, err)
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	if bad > 0 {
		return degradedError{fmt.Sprintf("%d lines could not be believed and were left out", bad)}
	}
	return nil
}

// nebulaK is the size of a bucket in libp2p's DHT, which Nebula does not write.
const nebulaK = 20

// factsNotes say how old the facts are that imported crawls get.
func factsNotes(facts *address.Table) []string {
	if facts.Empty() {
		return []string{"No address data was there when the crawl was imported: land and organisations are unknown."}
	}
	return []string{"Land and organisations are those of the address data at the time of import, not of the crawl."}
}

// importOne reads one crawl, unless the record has it whole, and returns how
// many of its lines are bad.
func (a *app) importOne(ctx context.Context, record *store.Store, f nebula.Files, opt nebula.Options) (bad int, err error) {
	id, err := f.ID(opt)
	if err != nil {
		return 0, err
	}
	whole, err := imported(ctx, record, opt.Network.Name, id.String())
	if err != nil {
		return 0, err
	}
	if whole {
		return 0, a.printImport(f, id.String(), nil)
	}
	r, err := nebula.Import(ctx, f, opt, record)
	if err != nil {
		return 0, err
	}
	for _, e := range r.Examples {
		fmt.Fprintln(a.stderr, "canopy: left out: "+e)
	}
	if r.Bad > len(r.Examples) {
		fmt.Fprintf(a.stderr, "canopy: and %d more lines of %s\n", r.Bad-len(r.Examples), f.Prefix)
	}
	if cut := r.Cut.String(); cut != "" {
		fmt.Fprintf(a.stderr, "canopy: left out of lists in %s: %s\n", f.Prefix, cut)
	}
	return r.Bad, a.printImport(f, id.String(), r)
}

// imported says whether a crawl was read to its end before.
func imported(ctx context.Context, record *store.Store, network, id string) (bool, error) {
	var n uint64
	err := record.DB().QueryRowContext(ctx, `SELECT count() FROM crawls WHERE network = ? AND crawl_id = toUUID(?) AND state != 'running'
		AND NOT arrayExists(n -> position(n, ?) > 0 OR position(n, ?) > 0, notes)`, network, id, nebula.Interrupted, store.LeftRunning).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for crawl %s: %w", id, err)
	}
	return n > 0, nil
}

func (a *app) printImport(f nebula.Files, id string, r *nebula.Report) error {
	switch {
	case a.json && r == nil:
		return a.printJSON(map[string]any{"event": "import", "files": f.Prefix, "crawl_id": id, "already": true})
	case a.json:
		return a.printJSON(map[string]any{"event": "import", "files": f.Prefix, "crawl_id": id, "report": r})
	case r == nil:
		fmt.Fprintf(a.stdout, "%s: in the record already, as crawl %s\n", f.Prefix, id)
	default:
		fmt.Fprintf(a.stdout, "%s: %s, %s visits, %s answered, %s routing tables, %s lines left out, %s visited again (crawl %s)\n",
			f.Prefix, r.Crawl.State, count(r.Visits), count(r.Crawl.Reachable), count(r.Edges), count(r.Bad), count(r.Repeated), id)
	}
	return nil
}
