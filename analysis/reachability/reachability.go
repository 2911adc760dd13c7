// Package reachability reads which crawls the record holds of a network, how
// far each came, and how visits ended. It counts; shares of the counts are
// made elsewhere.
package reachability

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"canopy/analysis"
)

// Answered is the outcome of a visit to a reachable peer.
const Answered = "answered"

// Crawl is one crawl of the record, whatever its state.
type Crawl struct {
	ID         string        `json:"crawl_id"`
	Network    string        `json:"network"`
	Vantage    string        `json:"vantage"`
	Scope      string        `json:"scope"`
	Zone       string        `json:"zone,omitempty"` // BITS/PREFIX of the key space that was walked, empty: all of it
	StartedAt  time.Time     `json:"started_at"`
	Duration   time.Duration `json:"duration_ns"` // zero while running
	State      string        `json:"state"`
	Discovered int           `json:"discovered"` // peers named by somebody
	Reachable  int           `json:"reachable"`  // peers that answered as themselves
	Queries    uint64        `json:"queries"`
	Software   string        `json:"software"`
	Settings   string        `json:"settings"` // JSON
	Notes      []string      `json:"notes"`
}

// Public is the crawl without what tells who the observer is: of its settings
// the description of the network, numbers and switches stay, and of its notes
// what [analysis.Public] leaves.
func (c Crawl) Public() Crawl {
	c.Settings = analysis.PublicSettings(c.Settings)
	notes := make([]string, len(c.Notes))
	for i, note := range c.Notes {
		notes[i] = analysis.Public(note)
	}
	c.Notes = notes
	return c
}

// Finished says whether the crawl has ended, in whatever state.
func (c Crawl) Finished() bool { return c.State != "running" }

// Exhausted says whether the crawl visited all that it heard of.
func (c Crawl) Exhausted() bool { return c.State == "complete" || c.State == "degraded" }

// Snapshot says whether the crawl is one of the whole network. One that was cut
// short holds whoever was met first, and one of a zone only its nodes.
func (c Crawl) Snapshot() bool { return c.Exhausted() && c.Zone == "" }

// Degraded says whether trouble of our own may have hidden living peers.
func (c Crawl) Degraded() bool { return c.State == "degraded" }

// Crawls returns all crawls that started within the window, by network and
// time.
func Crawls(ctx context.Context, q analysis.Querier, w analysis.Window) ([]Crawl, error) {
	from, to := int64(0), int64(math.MaxInt64)
	if !w.From.IsZero() {
		from = w.From.UnixMilli()
	}
	if !w.To.IsZero() {
		to = w.To.UnixMilli()
	}
	rows, err := q.QueryContext(ctx, `
SELECT network, toString(crawl_id), vantage, scope, zone, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(ifNull(ended_at, started_at)),
       state, discovered, reachable, queries, software, settings, notes
FROM crawls
WHERE toUnixTimestamp64Milli(started_at) >= @from AND toUnixTimestamp64Milli(started_at) < @to
ORDER BY network, started_at, crawl_id`, sql.Named("from", from), sql.Named("to", to))
	if err != nil {
		return nil, fmt.Errorf("read crawls: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var crawls []Crawl
	for rows.Next() {
		var c Crawl
		var started, ended int64
		var discovered, reachable uint64
		err := rows.Scan(&c.Network, &c.ID, &c.Vantage, &c.Scope, &c.Zone, &started, &ended,
			&c.State, &discovered, &reachable, &c.Queries, &c.Software, &c.Settings, &c.Notes)
		if err != nil {
			return nil, fmt.Errorf("read crawls: %w", err)
		}
		c.StartedAt = time.UnixMilli(started).UTC()
		c.Duration = max(0, time.Duration(ended-started)*time.Millisecond)
		c.Discovered, c.Reachable = int(discovered), int(reachable)
		crawls = append(crawls, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read crawls: %w", err)
	}
	return crawls, nil
}

// Outcome is how many visits of each crawl ended in one way.
type Outcome struct {
	Outcome string `json:"outcome"`
	Counts  []int  `json:"counts"` // in the order of the crawls asked for
}

// Total is the number of visits over all crawls.
func (o Outcome) Total() (sum int) {
	for _, n := range o.Counts {
		sum += n
	}
	return sum
}

// Outcomes counts how the visits of the given crawls of one network ended, the
// most frequent first.
func Outcomes(ctx context.Context, q analysis.Querier, network string, crawls []string) ([]Outcome, error) {
	rows, err := q.QueryContext(ctx, `
SELECT outcome, indexOf(@crawls, toString(crawl_id)) AS crawl, count() AS visits, sum(visits) OVER (PARTITION BY outcome) AS total
FROM visits
WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
GROUP BY outcome, crawl_id
ORDER BY total DESC, outcome, crawl`, sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return nil, fmt.Errorf("count outcomes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var outcomes []Outcome
	for rows.Next() {
		var name string
		var crawl, visits, total uint64
		if err := rows.Scan(&name, &crawl, &visits, &total); err != nil {
			return nil, fmt.Errorf("count outcomes: %w", err)
		}
		if n := len(outcomes); n == 0 || outcomes[n-1].Outcome != name {
			outcomes = append(outcomes, Outcome{name, make([]int, len(crawls))})
		}
		outcomes[len(outcomes)-1].Counts[crawl-1] = int(visits)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count outcomes: %w", err)
	}
	return outcomes, nil
}
