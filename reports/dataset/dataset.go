// Package dataset publishes the record: one Parquet or CSV file for each table,
// with labels that were computed before identities and addresses became
// pseudonyms, and the papers that a reader needs to judge it. It also reads such
// a dataset back, so that every figure of a report can be made from it alone.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"canopy/analysis"
	"canopy/analysis/operator"
)

// Smallest is how many peers a published cell holds at least.
const Smallest = 5

// Record is what a dataset is made from.
type Record interface {
	analysis.Querier
	// Stream hands the answer of a query to each, block by block and column by
	// column; the slices are valid until each returns.
	Stream(ctx context.Context, query string, each func(columns []any) error) error
}

// Options say what is published, and how.
type Options struct {
	Window       analysis.Window // crawls by their start, probes and sessions by their time
	Rules        *operator.Rules // default the built-in ones
	Format       string          // "parquet" (the default) or "csv"
	Key          *Key            // of the epoch; default one that is forgotten with the export
	Raw          bool            // publish identities, addresses and every cell as they are
	Own          []netip.Prefix  // addresses of the observer: left out
	Clearcut     Simulate        // results of the clear-cut, nil for none
	Findings     Findings        // results of checks, nil for none
	Generated    time.Time       // default now
	Software     string          // program and version
	Creator      string          // whom to cite; default "The stewards of this observatory"
	Attributions []string        // lines that the data sets behind the facts ask for
	Progress     func(Progress)  // called now and then, nil for nobody
	Force        bool            // replace a dataset that is there

	forget func() // destroys the key of this export alone
}

// Simulate runs the clear-cut of a report on the crawls of one network and
// returns its result as JSON, empty if there is none. Lookups need keys, which
// pseudonyms don't have, so the dataset holds the result.
type Simulate func(ctx context.Context, network string, crawls []string) (string, error)

// Findings are the results of the checks of one network and scope as JSON, empty
// if there are none.
type Findings func(ctx context.Context, network, scope string) (string, error)

// Progress is how far an export is.
type Progress struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Parts int    `json:"parts"` // written, of
	Of    int    `json:"of"`
}

// Summary is what an export wrote.
type Summary struct {
	Dir        string           `json:"dir"`
	Rows       map[string]int64 `json:"rows"`       // of each table
	Bytes      int64            `json:"bytes"`      // of all files
	Suppressed map[string]int64 `json:"suppressed"` // visits, by the first field that was withheld
	Dropped    int64            `json:"dropped"`    // visits of our own nodes and addresses, and of networks with too few peers
	Unfinished int              `json:"unfinished"` // crawls that were running, left out
}

// The errors that a caller may want to tell apart.
var (
	ErrExists  = errors.New("there is something already")
	ErrNoCrawl = errors.New("no finished crawl in the period, so there is nothing to export: run `canopy crawl` first, or name another period")
	ErrTooFew  = fmt.Errorf("no network of the period has %d peers that may be published: nothing to export", Smallest)
)

func (o Options) withDefaults() (Options, error) {
	if o.Rules == nil {
		o.Rules = operator.Default()
	}
	if o.Format == "" {
		o.Format = Parquet
	}
	if o.Format != Parquet && o.Format != CSV {
		return o, fmt.Errorf("format %q: want %s or %s", o.Format, Parquet, CSV)
	}
	if o.Generated.IsZero() {
		o.Generated = time.Now()
	}
	if o.Creator == "" {
		o.Creator = "The stewards of this observatory"
	}
	if o.Key == nil {
		o.Key = NewKey()
		o.forget = o.Key.Destroy
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o, nil
}

// Export writes a dataset into the folder dir. Everything is written beside it
// and renamed when it is whole, so dir is either a whole dataset or is not
// there; one that is there is replaced only with Options.Force.
func Export(ctx context.Context, r Record, dir string, o Options) (sum *Summary, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if o.forget != nil {
		defer o.forget()
	}
	dir = filepath.Clean(dir)
	if err := vacant(dir, o.Force); err != nil {
		return nil, fmt.Errorf("export to %s: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("export to %s: %w", dir, err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".part-*")
	if err != nil {
		return nil, fmt.Errorf("export to %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	x := &exporter{Options: o, record: r, dir: temp, workers: max(2, runtime.GOMAXPROCS(0)), sum: &Summary{Dir: dir, Rows: map[string]int64{}, Suppressed: map[string]int64{}}}
	if err := x.run(ctx); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if err := os.Chmod(temp, 0o755); err != nil { // MkdirTemp makes it private
		return nil, fmt.Errorf("export to %s: %w", dir, err)
	}
	if err := place(temp, dir); err != nil {
		return nil, fmt.Errorf("export to %s: %w", dir, err)
	}
	return x.sum, nil
}

// vacant says whether a dataset may be written to dir. What is no dataset is
// never replaced.
func vacant(dir string, force bool) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) == 0:
		return nil
	case !force:
		return fmt.Errorf("%w: name another folder, or replace it with --force", ErrExists)
	}
	if _, err := os.Stat(filepath.Join(dir, sumsFile)); err != nil {
		return fmt.Errorf("%w, and it is no dataset: it is not replaced, not even with --force", ErrExists)
	}
	return nil
}

// place moves the finished folder to where it belongs.
func place(temp, dir string) error {
	old := temp + ".old"
	err := os.Rename(dir, old)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	replaced := err == nil
	if err := os.Rename(temp, dir); err != nil {
		if replaced {
			err = errors.Join(err, os.Rename(old, dir))
		}
		return err
	}
	if replaced {
		return os.RemoveAll(old)
	}
	return nil
}
