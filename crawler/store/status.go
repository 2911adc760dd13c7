package store

import (
	"context"
	"fmt"
	"time"
)

// Status is what `canopy store status` shows.
type Status struct {
	Store    string        `json:"store"`    // where it is, without credentials
	Database string        `json:"database"` //
	Version  string        `json:"version"`  // of ClickHouse
	Schema   uint32        `json:"schema"`   // version of the store's schema, 0 when it has no tables
	Latest   uint32        `json:"latest"`   // version that this program makes
	Tables   []TableStatus `json:"tables"`   // empty without a schema
	Crawls   []CrawlCount  `json:"crawls"`   // by network and state
	Spool    *SpoolStatus  `json:"spool"`    // nil without one

	Unfinished []Unfinished `json:"unfinished"` // crawls that are marked running, dead ones too; none of a schema older than this program's
}

// TableStatus describes one of the views that readers use.
type TableStatus struct {
	Name   string     `json:"name"`
	Rows   uint64     `json:"rows"`             // as readers see them: replays count once
	Bytes  uint64     `json:"bytes"`            // on disk, compressed, replays included
	Oldest *time.Time `json:"oldest,omitempty"` // nil when there are no rows
	Newest *time.Time `json:"newest,omitempty"`

	Months []MonthStatus `json:"months"` // oldest first
}

// CrawlCount counts the crawls of one network that are in one state.
type CrawlCount struct {
	Network string    `json:"network"`
	State   string    `json:"state"`
	Crawls  uint64    `json:"crawls"`
	Latest  time.Time `json:"latest"` // start of the latest
}

// recordTables names each view with the column that dates its rows.
var recordTables = []struct{ name, time string }{
	{"crawls", "started_at"}, {"visits", "visited_at"}, {"edges", "started_at"}, {"probes", "probed_at"}, {"marks", "started_at"}, {"lookups", "started_at"},
	{"checks", "started_at"},
}

// Status describes the store. It works on a store without tables too.
func (s *Store) Status(ctx context.Context) (Status, error) {
	st := Status{Store: s.target.name, Database: s.target.database, Version: s.version, Latest: latestVersion(migrationFiles)}
	var err error
	if dir := s.spoolDir(); dir != "" {
		spool, err := spoolStatus(dir)
		if err != nil {
			return st, err
		}
		st.Spool = &spool
	}
	if st.Schema, err = s.schemaVersion(ctx); err != nil || st.Schema == 0 {
		return st, err
	}
	months, err := s.months(ctx)
	if err != nil {
		return st, err
	}
	for _, t := range recordTables {
		ts, err := s.tableStatus(ctx, t.name, t.time)
		if err != nil {
			return st, fmt.Errorf("describe %s: %w", t.name, err)
		}
		for _, m := range months {
			if m.Table == t.name {
				ts.Months = append(ts.Months, m)
			}
		}
		st.Tables = append(st.Tables, ts)
	}
	st.Crawls, err = s.crawlCounts(ctx)
	if err != nil {
		return st, fmt.Errorf("count crawls: %w", err)
	}
	if st.Schema == st.Latest {
		st.Unfinished, err = s.Unfinished(ctx)
	}
	return st, err
}

func (s *Store) tableStatus(ctx context.Context, view, column string) (TableStatus, error) {
	t := TableStatus{Name: view}
	var oldest, newest time.Time
	query := fmt.Sprintf("SELECT count(), min(%s), max(%s) FROM %s", column, column, view)
	if err := s.conn.QueryRow(ctx, query).Scan(&t.Rows, &oldest, &newest); err != nil {
		return t, err
	}
	if t.Rows > 0 {
		t.Oldest, t.Newest = &oldest, &newest
	}
	parts, local := s.target.partsOf()
	query = "SELECT sum(bytes_on_disk) FROM " + parts + " WHERE active AND database = ? AND table = ?"
	return t, s.conn.QueryRow(ctx, query, s.target.database, view+"_log"+local).Scan(&t.Bytes)
}

func (s *Store) crawlCounts(ctx context.Context) ([]CrawlCount, error) {
	rows, err := s.conn.Query(ctx, "SELECT network, state, count(), max(started_at) FROM crawls GROUP BY network, state ORDER BY network, state")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var counts []CrawlCount
	for rows.Next() {
		var c CrawlCount
		if err := rows.Scan(&c.Network, &c.State, &c.Crawls, &c.Latest); err != nil {
			return nil, err
		}
		counts = append(counts, c)
	}
	return counts, rows.Err()
}
