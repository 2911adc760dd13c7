package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"canopy/crawler/address"
	"canopy/crawler/store"
)

// app holds what every command shares: the settings of all commands, and the
// parts that they open.
type app struct {
	stdout, stderr io.Writer

	config   string
	settings []byte // of the configuration file, nil until it was read
	storeURL string
	spool    string
	dataDir  string
	json     bool
	logLevel string

	logger   *slog.Logger
	progress *progressPrinter
	record   *store.Store // the record that is written to, once it is open
}

// validate checks the settings that all commands share.
func (a *app) validate() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return usagef("--log %s: want debug, info, warn or error", a.logLevel)
	}
	a.logger = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	a.progress = newProgress(a.stderr, a.json)
	return nil
}

// openData opens the address data sets. None at all is no error: the table
// then warns that nothing is known.
func (a *app) openData() (*address.Table, error) {
	return a.openDataOf(time.Time{})
}

// openDataOf opens them as of a day, zero for the newest.
func (a *app) openDataOf(day time.Time) (*address.Table, error) {
	dir, err := a.dataFound()
	if err != nil {
		return nil, err
	}
	table, err := address.Open(dir, address.Options{AsOf: day})
	if err != nil {
		return nil, fmt.Errorf("open address data: %w", err)
	}
	return table, nil
}

// dataFound is the folder of address data sets: --data, else what is installed,
// else "".
func (a *app) dataFound() (string, error) {
	if a.dataDir != "" {
		return a.dataDir, nil
	}
	dir, err := address.Find()
	if err != nil {
		return "", fmt.Errorf("open address data: %w, or name a folder with --data", err)
	}
	return dir, nil
}

// openStore opens the record as it is.
func (a *app) openStore(ctx context.Context, o store.Options) (*store.Store, error) {
	o.Logger, o.Spool = a.logger, a.spool
	s, err := store.Open(ctx, a.storeURL, o)
	if errors.Is(err, store.ErrURL) {
		return nil, usagef("--store: %w", err)
	}
	if errors.Is(err, store.ErrNoStore) {
		return nil, usageError{err}
	}
	return s, err
}

// readRecord opens a record that is there, to be read only, and tells of crawls
// that will not be part of what is read.
func (a *app) readRecord(ctx context.Context) (*store.Store, error) {
	s, err := a.openStore(ctx, store.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	err = s.Ready(ctx)
	var left []store.Unfinished
	if err == nil {
		left, err = s.Unfinished(ctx)
	}
	if err != nil {
		a.close("store", s.Close)
		return nil, fmt.Errorf("read record: %w", err)
	}
	for _, u := range left {
		if u.Dead() {
			a.logger.Warn("a crawl was left running: `canopy store migrate`, or the next crawl, closes it as cut short",
				"network", u.Crawl.Network, "crawl", u.Crawl.ID, "why", u.Why)
		}
	}
	return s, nil
}

// openRecord opens the record for writing, brings its schema up to date and
// closes crawls that were left running.
func (a *app) openRecord(ctx context.Context) (*store.Store, error) {
	s, err := a.openStore(ctx, store.Options{})
	if err != nil {
		return nil, err
	}
	if err := a.bringUpToDate(ctx, s); err != nil {
		a.close("store", s.Close)
		return nil, err
	}
	a.record = s
	return s, nil
}

// bringUpToDate prepares a store for being written to.
func (a *app) bringUpToDate(ctx context.Context, s *store.Store) error {
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	return a.mend(ctx, s)
}

// mend closes the crawls of programs that were killed.
func (a *app) mend(ctx context.Context, s *store.Store) error {
	closed, err := s.CloseAbandoned(ctx)
	for _, c := range closed {
		a.logger.Warn("a crawl was left running and is now closed as cut short",
			"network", c.Network, "crawl", c.ID, "vantage", c.Vantage, "started", c.StartedAt)
	}
	return err
}

// recentPeers are addresses of peers that answered in the latest whole crawl of
// a network, for the next crawl to begin at. A record that can't say is no
// reason not to crawl.
func (a *app) recentPeers(ctx context.Context, network string) []string {
	if a.record == nil {
		return nil
	}
	rows, err := a.record.DB().QueryContext(ctx, `
SELECT peer_id, addresses FROM visits
WHERE network = @network AND outcome = 'answered' AND crawl_id IN (
    SELECT crawl_id FROM crawls WHERE network = @network AND scope = 'global' AND state = 'complete' AND zone = ''
    ORDER BY started_at DESC LIMIT 1)
ORDER BY sipHash64(peer_id) LIMIT 64`, sql.Named("network", network))
	if err != nil {
		a.logger.Warn("find peers that answered not long ago", "error", err)
		return nil
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it all
	var found []string
	for rows.Next() {
		var id string
		var addresses []string
		if err := rows.Scan(&id, &addresses); err != nil {
			break
		}
		for _, address := range addresses {
			found = append(found, strings.TrimSuffix(address, "/p2p/"+id)+"/p2p/"+id)
		}
	}
	if err := rows.Err(); err != nil {
		a.logger.Warn("find peers that answered not long ago", "error", err)
	}
	return found
}

// close reports what can't be returned any more.
func (a *app) close(what string, closer func() error) {
	if err := closer(); err != nil {
		a.logger.Error("close "+what, "error", err)
	}
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
