package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"canopy/crawler/schedule"
)

// lookAgain is how often a wait is checked against the clock, which may be set
// while we wait.
const lookAgain = time.Minute

// waitFor waits for the next start and tells it to next. It returns false when
// ctx ends first.
func (ob *observer) waitFor(ctx context.Context, table *schedule.Timetable, next func(time.Time)) bool {
	for {
		now := time.Now().Round(0) // by the wall clock
		at := table.Next(now)
		next(at)
		wait := at.Sub(now)
		if wait <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(wait, lookAgain))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// taskState is how a task that is done on schedule stands.
type taskState struct {
	Last    *time.Time `json:"last,omitempty"` // that ended well
	Next    *time.Time `json:"next,omitempty"`
	Trouble string     `json:"trouble,omitempty"` // of the latest
}

// repeat does a task on schedule until ctx ends. One that fails is told in the
// log and in its state, and is tried again after retry.
func (ob *observer) repeat(ctx context.Context, name string, state *taskState, table *schedule.Timetable, retry time.Duration, once func(context.Context) error) {
	set := func(change func()) {
		ob.mu.Lock()
		defer ob.mu.Unlock()
		change()
	}
	for ob.waitFor(ctx, table, func(t time.Time) { set(func() { state.Next = &t }) }) {
		table.Started(time.Now(), rand.Float64())
		err := once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			set(func() { state.Trouble = err.Error() })
			ob.logger.Error(name+" failed", "error", err)
			table.Retry(retry)
			continue
		}
		now := time.Now().UTC()
		set(func() { state.Last, state.Trouble = &now, "" })
	}
}

const latestReport = "latest"

// reportState is how the report schedule stands.
type reportState struct {
	taskState
	Folder string `json:"folder,omitempty"` // of the last
}

// reports writes reports on schedule, once a crawl has ended.
func (ob *observer) reports(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-ob.crawled:
	}
	table := &schedule.Timetable{Every: ob.options.reportEvery}
	table.Started(ob.lastReport(), 0)
	ob.repeat(ctx, "report", &ob.report.taskState, table, ob.options.retryAfter, func(ctx context.Context) error {
		folder, err := ob.reportOnce(ctx)
		if err != nil {
			return err
		}
		ob.mu.Lock()
		ob.report.Folder = folder
		ob.mu.Unlock()
		ob.logger.Info("report written", "folder", folder)
		return nil
	})
	return nil
}

// lastReport is when the newest report was written. Where there is none, the
// wait begins now.
func (ob *observer) lastReport() time.Time {
	info, err := os.Stat(filepath.Join(ob.options.reportOut, latestReport))
	if err != nil {
		return time.Now()
	}
	return info.ModTime()
}

// reportOnce writes one report into a folder of its own and points latest at
// it.
func (ob *observer) reportOnce(ctx context.Context) (folder string, err error) {
	facts, err := ob.openData()
	if err != nil {
		return "", err
	}
	now := time.Now().UTC()
	name := now.Format("2006-01-02T15-04-05Z")
	folder = filepath.Join(ob.options.reportOut, name)
	_, err = ob.writeReport(ctx, ob.record, facts, reportOptions{
		from: now.Add(-ob.options.reportWindow).Format(time.RFC3339), to: now.Format(time.RFC3339), out: folder,
	})
	if err != nil {
		return "", fmt.Errorf("write report: %w", err)
	}
	link := filepath.Join(ob.options.reportOut, latestReport)
	fresh := link + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("point to the latest report: %w", err)
	}
	if err := errors.Join(os.Symlink(name, fresh), os.Rename(fresh, link)); err != nil {
		return "", fmt.Errorf("point to the latest report: %w", err)
	}
	return folder, nil
}
