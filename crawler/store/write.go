package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"canopy/crawler/observation"
)

// BeginCrawl writes the crawl's row, with state running.
func (s *Store) BeginCrawl(ctx context.Context, c observation.Crawl) error {
	if !s.ready.Load() { // once it was, an outage is the spool's affair
		if err := s.Ready(ctx); err != nil {
			return err
		}
	}
	c.State, c.EndedAt = observation.Running, time.Time{}
	s.enter(ctx, c) // first, so that no crawl is in the record of which nothing is known
	if err := s.writeCrawl(ctx, c); err != nil {
		leaveCrawl(c.ID)
		return err
	}
	s.start.Do(s.startWriter)
	return nil
}

// Visits takes over v, to be written with others: see [Store.Flush]. It blocks
// while too much waits, so that a crawl pauses, and fails when for
// Options.StallLimit neither the store nor the spool took anything; the same
// rows may then be given again.
func (s *Store) Visits(ctx context.Context, v []observation.Visit) error {
	if err := put(ctx, s, s.visits, v); err != nil {
		return fmt.Errorf("store visits: %w", err)
	}
	s.tallies.visits(v)
	return nil
}

// Edges takes over e, as [Store.Visits] does.
func (s *Store) Edges(ctx context.Context, e []observation.Edge) error {
	if err := put(ctx, s, s.edges, e); err != nil {
		return fmt.Errorf("store edges: %w", err)
	}
	s.tallies.edges(e)
	return nil
}

// Probes takes over p, as [Store.Visits] does.
func (s *Store) Probes(ctx context.Context, p []observation.Probe) error {
	if err := put(ctx, s, s.probes, p); err != nil {
		return fmt.Errorf("store probes: %w", err)
	}
	return nil
}

// EndCrawl writes what waits, counts the crawl's rows in the store against
// those that were sent, and then writes the crawl's final row. A difference is
// an error that names both numbers, and leaves the crawl running. When the
// store does not take what is in the spool in time, the crawl is marked
// degraded, its final row joins the others, and the error is [ErrSpooled].
func (s *Store) EndCrawl(ctx context.Context, c observation.Crawl) error {
	endingCrawl(c.ID)
	defer leaveCrawl(c.ID)
	if err := s.flushPatiently(ctx); err != nil {
		return err
	}
	unsettled := s.settle(ctx)
	if stalled := time.Duration(s.stalled.Swap(0)); stalled > 0 {
		c.State, c.Notes = observation.Degraded, append(slices.Clone(c.Notes), fmt.Sprintf("The crawl stood still for %s: neither ClickHouse nor the spool took rows.", stalled.Round(time.Millisecond)))
	}
	switch {
	case errors.Is(unsettled, ErrSpooled):
		c.State, c.Notes = observation.Degraded, append(slices.Clone(c.Notes), "ClickHouse was away when the crawl ended: its rows came later and were not counted.")
	case unsettled != nil:
		return unsettled
	default:
		if err := s.reconcile(ctx, c); err != nil {
			return err
		}
	}
	if err := s.writeCrawl(ctx, c); err != nil {
		return err
	}
	s.tallies.forget(c.ID)
	if unsettled != nil {
		return fmt.Errorf("end crawl %s: %w", c.ID, unsettled)
	}
	return nil
}

// reconcile counts the crawl's rows. Their numbers are their identity, so that
// a bitmap counts each once, in little memory, where the views would have to
// sort.
func (s *Store) reconcile(ctx context.Context, c observation.Crawl) error {
	sent := s.tallies.of(c.ID)
	for _, t := range []struct {
		view, number string
		sent         uint64
	}{{"visits", "number", sent.visits.count}, {"edges", "peer", sent.edges.count}} {
		var stored uint64
		query := "SELECT toUInt64(groupBitmap(" + t.number + ")) FROM " + t.view + "_log WHERE network = ? AND crawl_id = ?"
		if err := s.conn.QueryRow(ctx, query, c.Network, c.ID.String()).Scan(&stored); err != nil {
			return fmt.Errorf("count %s of crawl %s: %w", t.view, c.ID, err)
		}
		if stored != t.sent {
			return fmt.Errorf("reconcile crawl %s: %d %s sent, %d stored", c.ID, t.sent, t.view, stored)
		}
	}
	return nil
}

// Flush writes every row that was taken over before it was called, to the
// store or to the spool. Once it returns nil they are safe.
func (s *Store) Flush(ctx context.Context) error {
	return s.exclusively(ctx, func() error {
		return errors.Join(s.visits.flush(ctx, s), s.edges.flush(ctx, s), s.probes.flush(ctx, s))
	})
}

func (s *Store) writeCrawl(ctx context.Context, c observation.Crawl) error {
	return s.exclusively(ctx, func() error {
		return insert(ctx, s, "crawls_log", crawlColumns, [][]observation.Crawl{{c}}, 1)
	})
}

// exclusively runs f while nobody else writes.
func (s *Store) exclusively(ctx context.Context, f func() error) error {
	select {
	case <-s.writing:
		defer func() { s.writing <- struct{}{} }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func put[T any](ctx context.Context, s *Store, q *queue[T], rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	s.start.Do(s.startWriter)
	waiting, stalled, err := q.put(ctx, rows, s.opt.StallLimit)
	s.stalled.Add(int64(stalled))
	if err == nil && waiting >= s.opt.BatchRows {
		select {
		case s.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return err
}

// startWriter starts the goroutine that flushes when a batch is full or has
// waited long enough.
func (s *Store) startWriter() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan struct{})
	var writers sync.WaitGroup
	defer func() {
		go func() {
			writers.Wait()
			close(s.done)
		}()
	}()
	if s.spool != nil {
		writers.Go(func() { s.startReplay(ctx) })
	}
	writers.Go(func() { s.keepBeating(ctx) })
	writers.Go(func() {
		tick := time.NewTicker(s.opt.FlushEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.wake:
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := s.Flush(ctx); err != nil && ctx.Err() == nil {
				s.opt.Logger.Warn("rows wait in memory: neither the store nor the spool takes them", "error", err)
			}
		}
	})
}

// tallies counts the distinct rows taken over for each crawl under way.
type tallies struct {
	mu     sync.Mutex
	crawls map[observation.CrawlID]*tally
}

type tally struct{ visits, edges numberSet }

func (t *tallies) visits(rows []observation.Visit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range rows {
		t.get(rows[i].CrawlID).visits.add(rows[i].Number)
	}
}

func (t *tallies) edges(rows []observation.Edge) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range rows {
		t.get(rows[i].CrawlID).edges.add(rows[i].Peer)
	}
}

func (t *tallies) of(id observation.CrawlID) tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *t.get(id)
}

func (t *tallies) forget(id observation.CrawlID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.crawls, id)
}

func (t *tallies) get(id observation.CrawlID) *tally {
	if t.crawls == nil {
		t.crawls = map[observation.CrawlID]*tally{}
	}
	if t.crawls[id] == nil {
		t.crawls[id] = &tally{}
	}
	return t.crawls[id]
}

// numberSet is a set of crawl-local numbers, which begin near 0 and have few
// gaps.
type numberSet struct {
	words []uint64
	count uint64
}

func (n *numberSet) add(number uint32) {
	word, bit := int(number/64), uint64(1)<<(number%64)
	for len(n.words) <= word {
		n.words = append(n.words, 0)
	}
	if n.words[word]&bit == 0 {
		n.words[word] |= bit
		n.count++
	}
}
