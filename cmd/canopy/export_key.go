package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"canopy/reports/dataset"
)

// keyLedger is the file beside the record that names the keys which were kept.
func (a *app) keyLedger() string {
	if dir, ok := strings.CutPrefix(a.storeURL, "chdb:"); ok {
		dir, _, _ = strings.Cut(dir, "?")
		return filepath.Clean(dir) + ".keys"
	}
	return "canopy-keys"
}

// destroyKeys destroys the kept keys whose epoch is over, and says so.
func (a *app) destroyKeys() ([]string, error) {
	destroyed, err := dataset.DestroyKeys(a.keyLedger(), time.Now())
	for _, path := range destroyed {
		fmt.Fprintf(a.stderr, "canopy: the epoch of the key in %s is over: it was destroyed\n", path)
	}
	return destroyed, err
}

// key finds the key of the epoch, and says what to warn of.
func (o *exportOptions) key(opt *dataset.Options, ledger string, destroyed []string) (warning string, err error) {
	if o.keepKey == "" {
		return "", nil
	}
	if path, err := filepath.Abs(o.keepKey); err == nil && slices.Contains(destroyed, path) {
		return "", usagef("export: the key in %s is destroyed: what is exported now would not share its pseudonyms. Run the command again to make a new one there", o.keepKey)
	}
	opt.Key, err = dataset.ReadKey(o.keepKey)
	switch {
	case err == nil && opt.Key.Over(time.Now()):
		return "", usagef("export: the epoch of the key in %s ended on %s, and this file is a copy: delete it", o.keepKey, day(opt.Key.End))
	case err == nil:
		if !opt.Key.From.Equal(opt.Window.From) || !opt.Key.To.Equal(opt.Window.To) {
			return "", usagef("export: --keep-key %s is of another epoch (%s to %s): one key serves one period", o.keepKey, day(opt.Key.From), day(opt.Key.To))
		}
	case errors.Is(err, os.ErrNotExist):
		opt.Key = dataset.NewKey()
		opt.Key.From, opt.Key.To = opt.Window.From, opt.Window.To
		if err := opt.Key.Keep(o.keepKey, ledger, time.Now()); err != nil {
			return "", err
		}
	default:
		return "", err
	}
	return fmt.Sprintf("the key of the pseudonyms is kept in %s: whoever reads it can turn every one of them back into an address. Guard it, never publish it. The first canopy export or canopy observe on this record after %s destroys it, but no copy of it.", o.keepKey, opt.Key.End.UTC().Format("2006-01-02 15:04 UTC")), nil
}

// keysEvery is how often an observer looks for keys whose epoch is over.
const keysEvery = time.Hour

// keys destroys the kept keys whose epoch is over, at once and from then on.
func (ob *observer) keys(ctx context.Context) error {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	for {
		if _, err := ob.destroyKeys(); err != nil {
			ob.logger.Warn("a kept key is not destroyed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
