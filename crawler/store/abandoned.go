package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"canopy/crawler/observation"
)

// Unfinished is a crawl that is marked running.
type Unfinished struct {
	Crawl   observation.Crawl `json:"crawl"`
	Host    string            `json:"host,omitempty"` // where its program runs or ran, empty if it never told
	PID     int               `json:"pid,omitempty"`  // of that program, 0 if it never told
	Silence time.Duration     `json:"silence_ns"`     // since its last sign of life
	Why     string            `json:"dead,omitempty"` // how it is known that no program is at work on it any more; empty: one is, or may be
}

// Dead says whether nothing will end the crawl any more.
func (u Unfinished) Dead() bool { return u.Why != "" }

// silentFor is how long nothing may be heard of a program whose process can't
// be looked at, on another machine or in another container, before its crawls
// count as dead; one that is seen to live may sleep for longer. A program that
// was cut off from the server for as long, and goes on, marks its crawl running
// again.
const silentFor = 24 * time.Hour

// LeftRunning begins the note of each crawl that [Store.CloseAbandoned] ended.
const LeftRunning = "The crawl was left running"

// The ways to know that a crawl is dead, as they go on after LeftRunning.
var (
	diedWithProcess = "when its program ended"
	diedInSilence   = fmt.Sprintf("and nothing was heard of its program for %.0f hours", silentFor.Hours())
)

// Unfinished lists the crawls that are marked running, in order of time, and
// says which of them are dead: the process is gone, or it has let go of the
// crawl, or of the folder of an embedded store, or of the vantage that this
// Store has claimed; or nothing was heard of it for a day.
func (s *Store) Unfinished(ctx context.Context) ([]Unfinished, error) {
	crawls, err := s.running(ctx)
	if err != nil {
		return nil, fmt.Errorf("find unfinished crawls: %w", err)
	}
	if len(crawls) == 0 {
		return nil, nil
	}
	beats, err := s.heartbeats(ctx, crawls)
	if err != nil {
		return nil, fmt.Errorf("find unfinished crawls: %w", err)
	}
	self, err := thisProcess()
	if err != nil {
		return nil, fmt.Errorf("find unfinished crawls: %w", err)
	}
	list := make([]Unfinished, len(crawls))
	for i, c := range crawls {
		u := &list[i]
		last, known := beats[c.ID]
		u.Crawl, u.Host, u.PID, u.Silence = c, last.host, last.pid, last.silence
		switch {
		case !known: // by an earlier Canopy
			if u.Silence, err = s.visitless(ctx, c); err != nil {
				return nil, fmt.Errorf("find unfinished crawls: %w", err)
			}
		case s.isGone(c, last, self):
			u.Why = diedWithProcess
		}
		if u.Why == "" && u.Silence > silentFor && !isUnderWay(c.ID) && !self.sees(last.osProcess) {
			u.Why = diedInSilence
		}
	}
	return list, nil
}

// isGone says whether the program of a crawl is known to have left it.
func (s *Store) isGone(c observation.Crawl, last heartbeat, self osProcess) bool {
	switch {
	case isUnderWay(c.ID):
		return false
	case last.embedded && s.engine != nil: // we have the folder now
		return true
	case self.place != "" && self == last.osProcess: // we have let go of it
		return true
	case last.observer != uuid.Nil && s.observer != uuid.Nil && last.observer != s.observer && c.Vantage == s.vantage:
		return true // its observer has lost the vantage to us
	}
	return self.outlives(last.osProcess)
}

// visitless is how long a crawl without heartbeats has stored no visit.
func (s *Store) visitless(ctx context.Context, c observation.Crawl) (time.Duration, error) {
	var last, now time.Time
	err := s.conn.QueryRow(ctx, "SELECT max(visited_at), now64(3, 'UTC') FROM visits WHERE network = ? AND crawl_id = ?", c.Network, c.ID.String()).Scan(&last, &now)
	if last.Before(c.StartedAt) {
		last = c.StartedAt
	}
	return now.Sub(last), err
}

// CloseAbandoned ends the crawls that are dead: see [Store.Unfinished]. They
// become cut short, with what the record holds of them, and are returned in
// order of time.
func (s *Store) CloseAbandoned(ctx context.Context) ([]observation.Crawl, error) {
	list, err := s.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	var closed []observation.Crawl
	for _, u := range list {
		if !u.Dead() {
			continue
		}
		// Its program may have ended it, and then itself, since the list was read.
		if running, err := s.isRunning(ctx, u.Crawl); err != nil {
			return closed, err
		} else if !running {
			continue
		}
		c, err := s.closeAbandoned(ctx, u)
		if err != nil {
			return closed, fmt.Errorf("close abandoned crawl %s: %w", u.Crawl.ID, err)
		}
		closed = append(closed, c)
	}
	return closed, nil
}

func (s *Store) closeAbandoned(ctx context.Context, u Unfinished) (observation.Crawl, error) {
	c := u.Crawl
	var last time.Time
	query := "SELECT count(), countIf(outcome = 'answered'), sum(queries), max(visited_at) FROM visits WHERE network = ? AND crawl_id = ?"
	if err := s.conn.QueryRow(ctx, query, c.Network, c.ID.String()).Scan(&c.Discovered, &c.Reachable, &c.Queries, &last); err != nil {
		return c, fmt.Errorf("count visits: %w", err)
	}
	c.State, c.EndedAt = observation.CutShort, c.StartedAt
	if last.After(c.StartedAt) {
		c.EndedAt = last
	}
	c.Notes = append(c.Notes, LeftRunning+" "+u.Why+"; what was stored by then is counted here.")
	return c, s.writeCrawl(ctx, c)
}

func (s *Store) running(ctx context.Context) ([]observation.Crawl, error) {
	rows, err := s.conn.Query(ctx, `SELECT network, crawl_id, vantage, scope, zone, started_at, software, settings, notes FROM crawls
		WHERE state = 'running' ORDER BY started_at, crawl_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var crawls []observation.Crawl
	for rows.Next() {
		var id uuid.UUID
		c := observation.Crawl{State: observation.Running}
		if err := rows.Scan(&c.Network, &id, &c.Vantage, &c.Scope, &c.Zone, &c.StartedAt, &c.Software, &c.Settings, &c.Notes); err != nil {
			return nil, err
		}
		c.ID = observation.CrawlID(id)
		crawls = append(crawls, c)
	}
	return crawls, rows.Err()
}
