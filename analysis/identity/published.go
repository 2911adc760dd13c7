package identity

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"canopy/analysis"
)

// Members tells why each peer that is set aside is: by sipHash64 of its ID.
func (r *Result) Members(ctx context.Context, q analysis.Querier) (map[uint64]Reason, error) {
	members := map[uint64]Reason{}
	if r.Peers == 0 {
		return members, nil
	}
	rows, err := q.QueryContext(ctx, `SELECT sipHash64(peer_id), reason FROM (`+r.query+`)`, r.args...)
	if err != nil {
		return nil, fmt.Errorf("name peers that are set aside: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var peer uint64
		var reason uint8
		if err := rows.Scan(&peer, &reason); err != nil {
			return nil, fmt.Errorf("name peers that are set aside: %w", err)
		}
		members[peer] = Reasons()[reason-1]
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("name peers that are set aside: %w", err)
	}
	return members, nil
}

// Published reads who is set aside from a published dataset: a record whose
// visits name the reason in a column set_aside. Pseudonyms have no place in the
// key space, so nothing is found out anew.
func (l Limits) Published(ctx context.Context, q analysis.Querier, network string, crawls []string) (*Result, error) {
	none := func() []int { return make([]int, len(crawls)) }
	r := &Result{Limits: l, Answered: none(), Strangers: none(), SetAside: none()}
	var reasons []string
	for _, reason := range Reasons() {
		r.Findings = append(r.Findings, Finding{Reason: reason, Counts: none()})
		reasons = append(reasons, string(reason))
	}
	if len(crawls) == 0 {
		return r, nil
	}
	r.query = `
SELECT peer_id, toUInt8(min(indexOf(@aside_reasons, toString(set_aside)))) AS reason FROM visits
WHERE network = @aside_network AND crawl_id IN (SELECT toUUID(arrayJoin(@aside_crawls))) AND has(@aside_reasons, toString(set_aside)) GROUP BY peer_id`
	r.args = []any{sql.Named("aside_network", network), sql.Named("aside_crawls", slices.Clone(crawls)), sql.Named("aside_reasons", reasons)}
	if err := r.totals(ctx, q, network, crawls); err != nil {
		return nil, fmt.Errorf("count peers: %w", err)
	}
	if err := r.count(ctx, q, network, crawls); err != nil {
		return nil, fmt.Errorf("count peers that are set aside: %w", err)
	}
	return r, nil
}
