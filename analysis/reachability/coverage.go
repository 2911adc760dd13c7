package reachability

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"canopy/analysis"
)

// Tables says how many routing tables a crawl read.
type Tables struct {
	Crawl  string `json:"crawl_id"`
	Read   int    `json:"read"`   // whole
	Partly int    `json:"partly"` // the peer answered, but some of its table could not be read
}

// TablesRead counts the routing tables that the given crawls of one network
// read, in their order.
func TablesRead(ctx context.Context, q analysis.Querier, network string, crawls []string) ([]Tables, error) {
	rows, err := q.QueryContext(ctx, `
SELECT indexOf(@crawls, toString(crawl_id)) AS crawl, countIf(partial = 0), countIf(partial != 0)
FROM visits
WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
GROUP BY crawl_id
ORDER BY crawl`, sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return nil, fmt.Errorf("count tables read: %w", err)
	}
	defer func() { _ = rows.Close() }()
	tables := make([]Tables, len(crawls))
	for i, id := range crawls {
		tables[i].Crawl = id
	}
	for rows.Next() {
		var crawl, whole, partly uint64
		if err := rows.Scan(&crawl, &whole, &partly); err != nil {
			return nil, fmt.Errorf("count tables read: %w", err)
		}
		tables[crawl-1].Read, tables[crawl-1].Partly = int(whole), int(partly)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count tables read: %w", err)
	}
	return tables, nil
}

// Source is a data set that facts of addresses came from.
type Source struct {
	Name   string    `json:"name"` // empty where no data set knew the address
	Date   time.Time `json:"date,omitzero"`
	Visits int       `json:"visits"` // to peers that answered
}

// FactSources counts where the facts of the peers came from that answered in
// the given crawls of one network, the most frequent first.
func FactSources(ctx context.Context, q analysis.Querier, network string, crawls []string) ([]Source, error) {
	rows, err := q.QueryContext(ctx, `
SELECT toString(facts_source) AS source, toUnixTimestamp(toDateTime(facts_date, 'UTC')) AS date, count() AS visits
FROM visits
WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
GROUP BY facts_source, facts_date
ORDER BY visits DESC, source, date`, sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return nil, fmt.Errorf("count sources of facts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var sources []Source
	for rows.Next() {
		var s Source
		var date uint32
		var visits uint64
		if err := rows.Scan(&s.Name, &date, &visits); err != nil {
			return nil, fmt.Errorf("count sources of facts: %w", err)
		}
		if s.Visits = int(visits); date > 0 {
			s.Date = time.Unix(int64(date), 0).UTC()
		}
		sources = append(sources, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count sources of facts: %w", err)
	}
	return sources, nil
}
