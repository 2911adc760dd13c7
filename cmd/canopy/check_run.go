package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"canopy/analysis"
	"canopy/analysis/findability"
	"canopy/analysis/operator"
	"canopy/crawler/address"
	"canopy/crawler/observation"
	"canopy/crawler/store"
)

// checksAtOnce is how many lookups are under way at the same time.
const checksAtOnce = 4

// checkRun is the checks of one network.
type checkRun struct {
	checker
	list           findability.List
	starts         int
	vantage, scope string

	id         observation.CrawlID
	facts      *address.Table
	remembered []string // peers of an earlier crawl, as entry points
}

// makeChecks runs the checks of all networks and keeps each as soon as it is
// answered. What one network's can't measure is no reason to leave out another's.
func (a *app) makeChecks(ctx context.Context, runs []*checkRun, record *store.Store, facts *address.Table) (began time.Time, failed error) {
	began = time.Now()
	id := observation.NewCrawlID(began)
	for _, r := range runs {
		if ctx.Err() != nil {
			break
		}
		r.id, r.facts = id, facts
		var err error
		if r.remembered, err = rememberedEntries(ctx, record, r); err != nil && ctx.Err() == nil {
			return began, err
		}
		if err := r.run(ctx, func(c observation.Check) error { return a.keepCheck(ctx, record, c) }); err != nil {
			failed = errors.Join(failed, fmt.Errorf("check %s: %w", r.Network().Name, err))
		}
	}
	return began, failed
}

// checkAll runs the checks of all networks and prints what they say.
func (a *app) checkAll(ctx context.Context, runs []*checkRun, record *store.Store, facts *address.Table, rules *operator.Rules) error {
	began, failed := a.makeChecks(ctx, runs, record, facts)
	from := began.Truncate(time.Millisecond)
	// What is kept is shown also when the run was cut short.
	shown, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, r := range runs {
		result, err := findability.Read(shown, record.DB(), rules, r.Network().Name, r.scope, analysis.Window{From: from, To: from.Add(time.Millisecond)})
		if err != nil {
			return errors.Join(failed, err)
		}
		if !a.json && result != nil {
			if err := printChecks(a.stdout, r.Network().Title, result); err != nil {
				return errors.Join(failed, err)
			}
		}
	}
	switch {
	case ctx.Err() != nil:
		return degradedError{"checks cut short: those that were answered are kept"}
	case failed != nil:
		return failed
	}
	return nil
}

// keepCheck stores one check, and prints it as JSON.
func (a *app) keepCheck(ctx context.Context, record *store.Store, c observation.Check) error {
	if err := record.Checks(context.WithoutCancel(ctx), []observation.Check{c}); err != nil {
		return err
	}
	a.logger.Info("checked", "network", c.Network, "kind", c.Kind, "subject", c.Subject, "outcome", c.Outcome, "took", c.Took)
	if a.json {
		return a.printJSON(c)
	}
	return nil
}

// rememberedSQL finds peers that answered in the latest whole crawl of a network.
const rememberedSQL = `
SELECT peer_id, toString(address), port, addresses FROM visits
WHERE network = @network AND outcome = 'answered' AND crawl_id IN (
    SELECT crawl_id FROM crawls WHERE network = @network AND scope = @scope AND state = 'complete' AND zone = ''
    ORDER BY started_at DESC LIMIT 1)
ORDER BY rand() LIMIT 8`

// rememberedEntries are peers that answered in the latest whole crawl of the
// network, in the form of entry points: a start at them is one of somebody who
// was there before.
func rememberedEntries(ctx context.Context, record *store.Store, r *checkRun) (entries []string, err error) {
	rows, err := record.DB().QueryContext(ctx, rememberedSQL, sql.Named("network", r.Network().Name), sql.Named("scope", r.scope))
	if err != nil {
		return nil, fmt.Errorf("find peers of an earlier crawl: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it all
	for rows.Next() {
		var id, host string
		var port uint16
		var addresses []string
		if err := rows.Scan(&id, &host, &port, &addresses); err != nil {
			return nil, fmt.Errorf("find peers of an earlier crawl: %w", err)
		}
		entries = append(entries, entryForms(r.ParseEntry, id, strings.TrimPrefix(host, "::ffff:"), strconv.Itoa(int(port)), addresses)...)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find peers of an earlier crawl: %w", err)
	}
	return entries, nil
}

// entryForms are the forms in which a peer can be an entry point: by the address
// that answered, or by all that it has where none of these tells that.
func entryForms(parse func(string) (string, error), id, host, port string, addresses []string) (forms []string) {
	if form, err := parse(net.JoinHostPort(host, port)); err == nil {
		forms = append(forms, form)
	}
	for _, a := range addresses {
		if form, err := parse(strings.TrimSuffix(a, "/p2p/"+id) + "/p2p/" + id); err == nil {
			forms = append(forms, form)
		}
	}
	for _, form := range forms {
		if form == net.JoinHostPort(host, port) || strings.Contains(form, "/"+host+"/") && strings.Contains(form, "/"+port+"/") {
			return []string{form}
		}
	}
	return forms
}

// job is one check that is still to be made.
type job func(ctx context.Context) (observation.Check, error)

// run makes every check, a few at once, and gives each to keep as soon as it is
// answered. A check that ctx cut short is none. It ends early when ctx does, or
// when something can't be measured or kept.
func (r *checkRun) run(ctx context.Context, keep func(observation.Check) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	jobs := make(chan job)
	var wait sync.WaitGroup
	var kept sync.Mutex
	for range checksAtOnce {
		wait.Go(func() {
			for make := range jobs {
				c, err := make(ctx)
				if ctx.Err() != nil {
					continue
				}
				kept.Lock()
				if err == nil {
					err = keep(c)
				}
				kept.Unlock()
				if err != nil {
					stop(brokenCheck{err})
				}
			}
		})
	}
	for _, j := range r.jobs() {
		select {
		case jobs <- j:
		case <-ctx.Done():
		}
	}
	close(jobs)
	wait.Wait()
	var broken brokenCheck
	if errors.As(context.Cause(ctx), &broken) {
		return broken.error
	}
	return nil
}

// brokenCheck ends a run that can't measure any more.
type brokenCheck struct{ error }

// jobs lists every check: entry points first, while they have not been asked
// for anything else.
func (r *checkRun) jobs() []job {
	var all []job
	var entries []string
	for _, e := range r.list.EntryPoints {
		entries = append(entries, e.Address)
		all = append(all, func(ctx context.Context) (observation.Check, error) { return r.knock(ctx, e) })
	}
	for number := range r.starts {
		start := func(label string, from []string) {
			if len(from) > 0 {
				all = append(all, func(ctx context.Context) (observation.Check, error) { return r.start(ctx, label, from, number) })
			}
		}
		start(findability.StartAll, entries)
		start(findability.StartRemembered, r.remembered)
		for i, e := range entries {
			start(findability.StartOnly+e, []string{e})
			start(findability.StartWithout+e, slices.Delete(slices.Clone(entries), i, i+1))
		}
	}
	for _, p := range r.list.Content {
		all = append(all, func(ctx context.Context) (observation.Check, error) { return r.find(ctx, p, entries) })
	}
	return all
}

// check is what all checks of a run share.
func (r *checkRun) check(kind observation.CheckKind, subject string) observation.Check {
	return observation.Check{
		Network: r.Network().Name, RunID: r.id, Kind: kind, Subject: observation.Text(subject), Vantage: r.vantage, Scope: r.scope,
		Software: software(), CheckedAt: time.Now(),
	}
}

func (r *checkRun) knock(ctx context.Context, e findability.EntryPoint) (observation.Check, error) {
	k, holders, err := r.Knock(ctx, e.Address)
	c := r.check(observation.CheckEntry, e.Address)
	k.Network, k.RunID, k.Kind, k.Subject, k.Vantage, k.Scope, k.Software = c.Network, c.RunID, c.Kind, c.Subject, c.Vantage, c.Scope, c.Software
	k.Name, k.Source, k.Clients = observation.Text(e.Address), observation.Text(e.Source), texts(e.Clients)
	k.Holders = r.land(holders)
	for i := range k.Holders {
		k.Holders[i].Agent = k.Agent
	}
	return k, err
}

func (r *checkRun) start(ctx context.Context, label string, from []string, number int) (c observation.Check, err error) {
	c = r.check(observation.CheckStart, label)
	c.Number, c.Entries, c.Outcome = uint32(number), texts(from), observation.ShutOut
	c.Search, err = r.Start(ctx, from)
	if k := r.Network().K; int(c.Closest) >= k && 2*int(c.Answered) >= k {
		c.Outcome = observation.Entered
	}
	return c, err
}

func (r *checkRun) find(ctx context.Context, p findability.Content, entries []string) (c observation.Check, err error) {
	c = r.check(observation.CheckContent, p.ID)
	c.Name, c.Source, c.Entries = observation.Text(p.Name), observation.Text(p.Source), texts(entries)
	var holders []observation.Holder
	c.Search, holders, err = r.Find(ctx, entries, p.ID)
	c.Holders = r.land(holders)
	switch {
	case c.Found > 0:
		c.Outcome = observation.Found
	case c.Closest > 0:
		c.Outcome = observation.NotFound
	default:
		c.Outcome = observation.ShutOut
	}
	return c, err
}

func texts(list []string) []string {
	safe := make([]string, len(list))
	for i, s := range list {
		safe[i] = observation.Text(s)
	}
	return safe
}

// land puts those who have something together by the facts of their addresses.
// Who has no name of its own is not told apart from others on the same land.
func (r *checkRun) land(holders []observation.Holder) []observation.Holders {
	type ground struct {
		peer  string
		facts observation.Facts
	}
	count := map[ground]uint32{}
	var order []ground
	for _, h := range holders {
		g := ground{peer: h.PeerID}
		if h.Address.IsValid() {
			g.facts = r.facts.Lookup(h.Address)
			g.facts.Prefix = netip.Prefix{}
		}
		if count[g] == 0 {
			order = append(order, g)
		}
		count[g]++
	}
	groups := make([]observation.Holders, len(order))
	for i, g := range order {
		groups[i] = observation.Holders{PeerID: g.peer, Facts: g.facts, Count: count[g]}
	}
	return groups
}
