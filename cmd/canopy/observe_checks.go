package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"canopy/crawler"
	"canopy/crawler/schedule"
)

// checkOptions are those of canopy check that follow from an observer's.
func (o observeOptions) checkOptions() checkOptions {
	pace := paceOptions{pace: crawler.DefaultPace(), rate: 200}
	c := checkOptions{crawlOptions: crawlOptions{paceOptions: pace}, list: o.checkList, starts: 3, paces: map[string]paceOptions{}}
	c.vantage, c.contact, c.optOut = o.vantage, o.contact, o.optOut
	for _, s := range o.sections {
		c.networks = append(c.networks, s.name)
		c.local = c.local || s.crawl.local
		c.bind = append(c.bind, s.crawl.bind...) // of the one network that has it
		c.protocol += s.crawl.protocol
		own := s.crawl.paceOptions
		own.rate = pace.rate
		c.paces[s.name] = own
	}
	return c
}

// tryChecks reads what scheduled checks need, and leaves nothing open: what is
// wrong with it is said before anything runs.
func (a *app) tryChecks(o observeOptions) error {
	if o.checkEvery == 0 {
		return nil
	}
	runs, _, err := a.readChecks(o.checkOptions())
	a.closeChecks(runs)
	return err
}

// findings looks on schedule whether the commons is found and newcomers can
// enter, once a crawl has ended: a start at remembered peers needs some.
func (ob *observer) findings(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-ob.crawled:
	}
	last, err := ob.lastCheck(ctx)
	if err != nil {
		return err
	}
	every := ob.options.checkEvery
	table := &schedule.Timetable{Every: every, Jitter: every / 20}
	if !last.IsZero() {
		table.Started(last, rand.Float64())
		ob.mu.Lock()
		ob.checks.Last = &last
		ob.mu.Unlock()
	}
	ob.repeat(ctx, "check of the commons", &ob.checks, table, ob.options.retryAfter, ob.checkOnce)
	return nil
}

// lastCheck is when this vantage last made checks of the networks that are
// observed, zero for never.
func (ob *observer) lastCheck(ctx context.Context) (last time.Time, err error) {
	err = ob.record.DB().QueryRowContext(ctx, "SELECT max(checked_at) FROM checks WHERE vantage = @vantage AND network IN (@networks)",
		sql.Named("vantage", ob.options.vantage), sql.Named("networks", slices.Clone(ob.options.networks))).Scan(&last)
	if err != nil && ctx.Err() == nil {
		return last, fmt.Errorf("find the last check: %w", err)
	}
	if last.Unix() <= 0 {
		last = time.Time{}
	}
	return last, nil
}

// checkOnce makes every check once. The list and who opted out are read again.
func (ob *observer) checkOnce(ctx context.Context) error {
	runs, policy, err := ob.readChecks(ob.options.checkOptions())
	if err != nil {
		return err
	}
	defer ob.closeChecks(runs)
	facts, err := ob.openData()
	if err != nil {
		return err
	}
	if err := inform(policy, facts, "check"); err != nil {
		return err
	}
	_, err = ob.makeChecks(ctx, runs, ob.record, facts)
	return err
}
