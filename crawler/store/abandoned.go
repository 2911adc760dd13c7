package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"canopy/crawler/observation"
)

// CloseAbandoned ends the crawls of a vantage that are still marked running:
// their program ended before they did. They become cut short, with what the
// record holds of them, and are returned in order of time. The caller makes
// sure that no other program is crawling from this vantage.
func (s *Store) CloseAbandoned(ctx context.Context, vantage string) ([]observation.Crawl, error) {
	crawls, err := s.running(ctx, vantage)
	if err != nil {
		return nil, fmt.Errorf("find abandoned crawls: %w", err)
	}
	for i := range crawls {
		c := &crawls[i]
		var last time.Time
		query := "SELECT count(), countIf(outcome = 'answered'), sum(queries), max(visited_at) FROM visits WHERE network = ? AND crawl_id = ?"
		if err := s.conn.QueryRow(ctx, query, c.Network, c.ID.String()).Scan(&c.Discovered, &c.Reachable, &c.Queries, &last); err != nil {
			return nil, fmt.Errorf("count visits of crawl %s: %w", c.ID, err)
		}
		c.State, c.EndedAt = observation.CutShort, c.StartedAt
		if last.After(c.StartedAt) {
			c.EndedAt = last
		}
		c.Notes = append(c.Notes, "The program ended before the crawl did; what it had stored by then is counted here.")
		if err := s.writeCrawl(ctx, *c); err != nil {
			return nil, fmt.Errorf("close abandoned crawl %s: %w", c.ID, err)
		}
	}
	return crawls, nil
}

func (s *Store) running(ctx context.Context, vantage string) ([]observation.Crawl, error) {
	rows, err := s.conn.Query(ctx, `SELECT network, crawl_id, scope, started_at, software, settings, notes FROM crawls
		WHERE state = 'running' AND vantage = ? ORDER BY started_at`, vantage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var crawls []observation.Crawl
	for rows.Next() {
		var id uuid.UUID
		c := observation.Crawl{Vantage: vantage}
		if err := rows.Scan(&c.Network, &id, &c.Scope, &c.StartedAt, &c.Software, &c.Settings, &c.Notes); err != nil {
			return nil, err
		}
		c.ID = observation.CrawlID(id)
		crawls = append(crawls, c)
	}
	return crawls, rows.Err()
}
