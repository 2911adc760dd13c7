package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Retention says how long rows of each table are kept, by the table's name.
// Tables that it does not name keep everything.
type Retention map[string]time.Duration

// Pruned is one month of one table that retention removes. The months of a
// table are the units of removal: one goes when all of it is old enough.
type Pruned struct {
	Table string `json:"table"`
	Month string `json:"month"` // as in 202603
	Rows  uint64 `json:"rows"`  // replays included
	Bytes uint64 `json:"bytes"` // on disk
}

// Prune removes the months that are wholly older than r allows, and returns
// them, oldest first. With dry set it only says what it would remove. What
// belongs together goes together only if r says so: visits without their
// crawl are the steward's choice.
func (s *Store) Prune(ctx context.Context, r Retention, now time.Time, dry bool) ([]Pruned, error) {
	for name, keep := range r {
		if keep <= 0 {
			return nil, fmt.Errorf("prune store: keep %s for %s: want more than nothing", name, keep)
		}
		if !slices.Contains(recordNames(), name) {
			return nil, fmt.Errorf("prune store: there is no table %q, only %s", name, strings.Join(recordNames(), ", "))
		}
	}
	if err := s.Ready(ctx); err != nil {
		return nil, err
	}
	months, err := s.months(ctx)
	if err != nil {
		return nil, fmt.Errorf("prune store: %w", err)
	}
	var pruned []Pruned
	for _, m := range months {
		keep, ok := r[m.Table]
		if !ok || monthEnd(m.Month).After(now.Add(-keep)) {
			continue
		}
		if !dry {
			_, local := s.target.partsOf()
			drop := fmt.Sprintf("ALTER TABLE %s_log%s%s DROP PARTITION '%s'", m.Table, local, s.target.onEveryServer(), m.Month)
			if err := s.conn.Exec(ctx, drop); err != nil {
				return pruned, fmt.Errorf("prune %s of %s: %w", m.Table, m.Month, err)
			}
			s.opt.Logger.Info("pruned", "table", m.Table, "month", m.Month, "rows", m.Rows)
		}
		pruned = append(pruned, Pruned(m))
	}
	return pruned, nil
}

// monthEnd is the first moment after a month such as "202603". What is no
// month never ends.
func monthEnd(month string) time.Time {
	start, err := time.Parse("200601", month)
	if err != nil {
		return time.Unix(1<<40, 0)
	}
	return start.AddDate(0, 1, 0)
}

// MonthStatus is what one month of one table takes.
type MonthStatus Pruned

// months lists every month of every table, oldest first.
func (s *Store) months(ctx context.Context) ([]MonthStatus, error) {
	parts, local := s.target.partsOf()
	rows, err := s.conn.Query(ctx, `SELECT replaceRegexpOne(table, '_log(_local)?$', ''), partition, sum(rows), sum(bytes_on_disk) FROM `+parts+`
		WHERE active AND database = ? AND table IN (?) GROUP BY table, partition ORDER BY table, partition`, s.target.database, logTables(local))
	if err != nil {
		return nil, fmt.Errorf("list months: %w", err)
	}
	defer rows.Close()
	var list []MonthStatus
	for rows.Next() {
		var m MonthStatus
		if err := rows.Scan(&m.Table, &m.Month, &m.Rows, &m.Bytes); err != nil {
			return nil, fmt.Errorf("list months: %w", err)
		}
		list = append(list, m)
	}
	return list, rows.Err()
}

func recordNames() []string {
	var names []string
	for _, t := range recordTables {
		names = append(names, t.name)
	}
	return names
}

func logTables(local string) []string {
	names := recordNames()
	for i := range names {
		names[i] += "_log" + local
	}
	return names
}
