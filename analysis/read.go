package analysis

import (
	"context"
	"database/sql"
	"fmt"
)

// VisitKey is SQL of a number that only one visit of some crawls has; crawls is
// SQL of the array of their IDs.
func VisitKey(crawls string) string {
	return "(bitShiftLeft(toUInt64(indexOf(arrayMap(c -> toUUID(c), " + crawls + "), crawl_id)), 32) + number)"
}

// LastKey is SQL that aggregates visits to the key of the last of them, by SQL
// of their time in ms and of their key. An engine that kept what visits show
// while it looked for the last would need several times the memory.
func LastKey(ms, key string) string {
	return "toUInt64(bitAnd(max(bitShiftLeft(toUInt128(" + ms + "), 64) + " + key + "), toUInt128(18446744073709551615)))"
}

// EachRow reads each row of a query into the same places, and tells each time.
func EachRow(ctx context.Context, q Querier, each func(), query string, args []any, into ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		each()
	}
	return rows.Err()
}

// Alike is the reachable peers that show the same. The weight a of a peer is
// the sum, over the crawls in which it was reachable, of one over the number of
// reachable peers of that crawl.
type Alike struct {
	Name    string  // what they show
	Peers   int     // distinct
	Counts  []int   // reachable peers in each crawl
	Weight  float64 // sum of a
	Squares float64 // sum of a²
}

const alikeSQL = `
SELECT toString(%[1]s), toInt64(count()), groupArrayArray(up),
       sum(arraySum(arrayMap(t -> 1 / @totals[t], up)) AS a) AS weight, sum(a * a) AS squares
FROM (
    SELECT argMax(%[1]s, visited_at) AS %[1]s, groupUniqArray(toUInt16(indexOf(arrayMap(c -> toUUID(c), @crawls), crawl_id))) AS up
    FROM visits
    WHERE network = @network AND outcome = 'answered' AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
    GROUP BY sipHash64(peer_id)
)
GROUP BY %[1]s
ORDER BY weight DESC, %[1]s`

// ByColumn reads what the peers that answered in the given crawls of one
// network show in a column of text, the heaviest first. A peer counts with what
// it showed last. totals are the reachable peers of each crawl.
func ByColumn(ctx context.Context, q Querier, column, network string, crawls []string, totals []int) (list []Alike, err error) {
	var a Alike
	var peers int64
	var up []uint16
	keep := func() {
		a.Peers, a.Counts = int(peers), make([]int, len(crawls))
		for _, t := range up {
			a.Counts[t-1]++
		}
		list = append(list, a)
	}
	err = EachRow(ctx, q, keep, fmt.Sprintf(alikeSQL, column), []any{sql.Named("totals", totals), sql.Named("network", network), sql.Named("crawls", crawls)},
		&a.Name, &peers, &up, &a.Weight, &a.Squares)
	return list, err
}
