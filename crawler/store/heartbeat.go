package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"canopy/crawler/observation"
)

// beatEvery is how often a crawl under way shows a server that it is.
const beatEvery = 30 * time.Second

// underWay are the crawls that Stores of this process have begun and not ended,
// with the Store of each.
var underWay = struct {
	sync.Mutex
	crawls map[observation.CrawlID]*crawlUnderWay
}{crawls: map[observation.CrawlID]*crawlUnderWay{}}

type crawlUnderWay struct {
	by     *Store
	crawl  observation.Crawl // as it began
	ending bool              // its final row is written: nothing may follow it
}

// isUnderWay says whether this process is at work on a crawl.
func isUnderWay(id observation.CrawlID) bool {
	underWay.Lock()
	defer underWay.Unlock()
	return underWay.crawls[id] != nil
}

// enter notes that a crawl is under way, and shows it to others.
func (s *Store) enter(ctx context.Context, c observation.Crawl) {
	underWay.Lock()
	underWay.crawls[c.ID] = &crawlUnderWay{by: s, crawl: c}
	underWay.Unlock()
	if err := s.beat(ctx, c); err != nil { // a server that is away has it with a later beat
		s.opt.Logger.Debug("a crawl could not show that it is under way", "crawl", c.ID, "error", err)
	}
}

// endingCrawl notes that a crawl is not to be marked running again.
func endingCrawl(id observation.CrawlID) {
	underWay.Lock()
	defer underWay.Unlock()
	if c := underWay.crawls[id]; c != nil {
		c.ending = true
	}
}

// leaveCrawl notes that nothing more is written of a crawl.
func leaveCrawl(id observation.CrawlID) {
	underWay.Lock()
	defer underWay.Unlock()
	delete(underWay.crawls, id)
}

// leaveAll notes the same of all crawls of this Store, which is closed.
func (s *Store) leaveAll() {
	underWay.Lock()
	defer underWay.Unlock()
	for id, c := range underWay.crawls {
		if c.by == s {
			delete(underWay.crawls, id)
		}
	}
}

// begun are the crawls of this Store that are under way and not about to end.
func (s *Store) begun() []observation.Crawl {
	underWay.Lock()
	defer underWay.Unlock()
	var list []observation.Crawl
	for _, c := range underWay.crawls {
		if c.by == s && !c.ending {
			list = append(list, c.crawl)
		}
	}
	return list
}

// keepBeating shows until ctx ends that crawls are under way. In an embedded
// store the lock does.
func (s *Store) keepBeating(ctx context.Context) {
	if s.engine != nil {
		return
	}
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.beatAll(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) beatAll(ctx context.Context) {
	for _, c := range s.begun() {
		err := s.beat(ctx, c)
		if err == nil {
			err = s.contradict(ctx, c)
		}
		if err != nil && ctx.Err() == nil {
			s.opt.Logger.Debug("a crawl could not show that it is under way", "crawl", c.ID, "error", err)
		}
	}
}

// beat writes that a crawl is under way.
func (s *Store) beat(ctx context.Context, c observation.Crawl) error {
	self, err := thisProcess()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opt.InsertTimeout)
	defer cancel()
	return s.writeBeat(ctx, heartbeat{network: c.Network, crawl: c.ID, observer: s.observer, osProcess: self, embedded: s.engine != nil})
}

func (s *Store) writeBeat(ctx context.Context, h heartbeat) error {
	err := s.conn.Exec(ctx, `INSERT INTO heartbeats_log (network, crawl_id, observer, host, pid, place, begun, embedded, beat_at)
		SELECT ?, toUUID(?), toUUID(?), ?, ?, ?, ?, ?, now64(3, 'UTC') - INTERVAL ? MILLISECOND`,
		h.network, h.crawl.String(), h.observer.String(), h.host, h.pid, h.place, h.begun, flag(h.embedded), h.silence.Milliseconds())
	if err != nil {
		return fmt.Errorf("write heartbeat: %w", err)
	}
	return nil
}

// contradict marks a crawl running again that another program has taken for
// dead, as it may after a day without a sign of life.
func (s *Store) contradict(ctx context.Context, c observation.Crawl) error {
	running, err := s.isRunning(ctx, c)
	if err != nil || running {
		return err
	}
	return s.exclusively(ctx, func() error {
		underWay.Lock()
		at := underWay.crawls[c.ID]
		goesOn := at != nil && !at.ending
		underWay.Unlock()
		if !goesOn { // it has ended by itself
			return nil
		}
		s.opt.Logger.Warn("a crawl that goes on was marked as ended, and is marked as running again", "crawl", c.ID)
		return insert(ctx, s, "crawls_log", crawlColumns, [][]observation.Crawl{{c}}, 1)
	})
}

// isRunning says whether the record has no end of a crawl.
func (s *Store) isRunning(ctx context.Context, c observation.Crawl) (bool, error) {
	var ended uint64
	err := s.conn.QueryRow(ctx, "SELECT count() FROM crawls WHERE network = ? AND crawl_id = ? AND state != 'running'", c.Network, c.ID.String()).Scan(&ended)
	if err != nil {
		return false, fmt.Errorf("read state of crawl %s: %w", c.ID, err)
	}
	return ended == 0, nil
}

// heartbeat is the last sign of life of a crawl.
type heartbeat struct {
	network string
	crawl   observation.CrawlID
	osProcess
	observer uuid.UUID     // zeros: of no observer
	embedded bool          // it had the store's folder open
	silence  time.Duration // since then
}

// heartbeats reads those of the crawls given.
func (s *Store) heartbeats(ctx context.Context, crawls []observation.Crawl) (map[observation.CrawlID]heartbeat, error) {
	ids := make([]string, len(crawls))
	for i, c := range crawls {
		ids[i] = c.ID.String()
	}
	rows, err := s.conn.Query(ctx, `SELECT network, crawl_id, observer, host, pid, place, begun, embedded,
		toUnixTimestamp64Milli(now64(3, 'UTC')) - toUnixTimestamp64Milli(beat_at) FROM heartbeats WHERE toString(crawl_id) IN (?)`, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	last := map[observation.CrawlID]heartbeat{}
	for rows.Next() {
		var h heartbeat
		var id uuid.UUID
		var pid uint32
		var embedded uint8
		var silence int64
		if err := rows.Scan(&h.network, &id, &h.observer, &h.host, &pid, &h.place, &h.begun, &embedded, &silence); err != nil {
			return nil, err
		}
		h.crawl, h.pid, h.embedded = observation.CrawlID(id), int(pid), embedded == 1
		h.silence = time.Duration(silence) * time.Millisecond
		last[h.crawl] = h
	}
	return last, rows.Err()
}
