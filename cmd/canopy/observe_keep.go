package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"canopy/crawler/schedule"
	"canopy/crawler/store"
)

// retention is a flag that says how long rows of tables are kept, as in
// visits=8760h. It is a list, so that a configuration may write it as one.
type retention struct{ tables store.Retention }

func (r *retention) Set(text string) error { return r.Replace(strings.Split(text, ",")) }

// Replace reads one "table=time" from each text.
func (r *retention) Replace(texts []string) error {
	r.tables = store.Retention{}
	for _, text := range texts {
		if text == "" {
			continue
		}
		if err := r.Append(text); err != nil {
			return err
		}
	}
	return nil
}

func (r *retention) Append(text string) error {
	table, length, _ := strings.Cut(text, "=")
	keep, err := time.ParseDuration(length)
	if err == nil && keep <= 0 {
		err = fmt.Errorf("%s is not above zero", length)
	}
	if err != nil {
		return fmt.Errorf("want %s: %w", r.Type(), err)
	}
	if r.tables == nil {
		r.tables = store.Retention{}
	}
	r.tables[table] = keep
	return nil
}

func (r *retention) GetSlice() []string {
	var texts []string
	for table, keep := range r.tables {
		texts = append(texts, table+"="+keep.String())
	}
	return texts
}

func (r *retention) String() string { return strings.Join(r.GetSlice(), ",") }

func (r *retention) Type() string { return "list such as visits=8760h,edges=720h" }

// pruneEvery is how often the record is looked through for what is too old.
// Whole months are removed, so once a day is often enough.
const pruneEvery = 24 * time.Hour

// checkRetention finds names of tables that there are none of.
func (ob *observer) checkRetention(ctx context.Context) error {
	if len(ob.options.keep.tables) == 0 {
		return nil
	}
	if _, err := ob.record.Prune(ctx, ob.options.keep.tables, time.Now(), true); err != nil {
		return usagef("observe: keep: %w", err)
	}
	return nil
}

// prunes removes what the steward does not want to keep.
func (ob *observer) prunes(ctx context.Context) error {
	table := &schedule.Timetable{Every: pruneEvery, Jitter: time.Hour}
	ob.repeat(ctx, "pruning the record", new(taskState), table, ob.options.retryAfter, func(ctx context.Context) error {
		_, err := ob.record.Prune(ctx, ob.options.keep.tables, time.Now(), false)
		return err
	})
	return nil
}
