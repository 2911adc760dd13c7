package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"canopy/crawler/address"
	"canopy/crawler/address/refresh"
	"canopy/crawler/schedule"
)

// dataRetry is when a refresh that failed is tried again: publishers are asked
// no more than once a day.
const dataRetry = 24 * time.Hour

// refreshes fetches newer address data on schedule. What fails leaves the data
// at hand as they are. Crawls read the data sets anew, so that the next one
// knows what a refresh has brought.
func (ob *observer) refreshes(ctx context.Context) error {
	dir, err := ob.dataFolder()
	if err != nil {
		return err
	}
	table := &schedule.Timetable{Every: ob.options.dataRefresh, Jitter: ob.options.dataRefresh / 50}
	if last := lastChecked(dir); !last.IsZero() {
		table.Started(last, rand.Float64())
		ob.mu.Lock()
		ob.data.Last = &last
		ob.mu.Unlock()
	}
	ob.repeat(ctx, "refresh of address data", &ob.data, table, dataRetry, func(ctx context.Context) error {
		if err := ob.refreshOnce(ctx, dir); err != nil {
			return fmt.Errorf("not refreshed whole, crawls go on with what is at hand in %s: %w", dir, err)
		}
		ob.logger.Info("address data refreshed", "folder", dir)
		return nil
	})
	return nil
}

// refreshOnce asks every publisher; its error names the sets that stay as they
// were.
func (ob *observer) refreshOnce(ctx context.Context, dir string) error {
	sources, _ := refresh.Named()
	results, err := refresh.Update(ctx, dir, sources, ob.refreshOptions(ob.options.dataFrom))
	if err != nil {
		return err
	}
	var failed []string
	for _, r := range results {
		if r.State == refresh.Failed {
			failed = append(failed, r.Source+" ("+r.Reason+")")
		}
	}
	if len(failed) > 0 {
		return errors.New(strings.Join(failed, "; "))
	}
	return nil
}

// lastChecked is when a folder's data sets were last compared with what their
// publishers have, zero for never.
func lastChecked(dir string) (last time.Time) {
	index, err := address.ReadIndex(dir)
	if err != nil {
		return last // the refresh will say so
	}
	for _, s := range index.Sets {
		if s.Checked.After(last) {
			last = s.Checked
		}
	}
	return last
}

// dataTrouble is set when address data have not been refreshed for two
// intervals: a publisher that is away for a day is no trouble.
func (ob *observer) dataTrouble(d taskState, now time.Time) string {
	since := ob.started
	if d.Last != nil {
		since = *d.Last
	}
	if d.Trouble == "" || now.Sub(since) < 2*ob.options.dataRefresh {
		return ""
	}
	return fmt.Sprintf("Address data have not been refreshed since %s: %s", since.UTC().Format(time.DateOnly), d.Trouble)
}
