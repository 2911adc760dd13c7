package shares

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"canopy/analysis"
)

// mostJudged is about how many visits [ByVerdict] reads of each kind of unit.
// Where there are more, units are drawn by their hash.
const mostJudged = 1_000_000

// seenSQL reads each visit once for every unit that it shows: the number of
// the kind of unit, the unit, the peer, and the crawl * 2 + 1 if it answered.
// Rows come in blocks that hold all of a unit. %s lists the kinds of units,
// each with its number, its key and whether it is known.
const seenSQL = `
SELECT one.1 AS kind, groupArray(one.2), groupArray(peer), groupArray(seen)
FROM (
    SELECT peer, seen, arrayJoin(arrayFilter(u -> u.3 AND u.2 %% @part = 0, [%s])) AS one
    FROM (
        SELECT *, sipHash64(peer_id) AS peer, toUInt32(indexOf(arrayMap(c -> toUUID(c), @crawls), crawl_id) * 2 + (outcome = 'answered')) AS seen
        FROM visits
        WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
    )
)
GROUP BY kind, intDiv(one.2, @part) %% 64`

// ByVerdict counts verdicts on the peers of one network in every cell of the
// matrix: class returns the place in classes of the verdict on a peer, which is
// named by sipHash64 of its ID, as operator.Members names it. A unit that shows
// peers of several classes counts as mixed. The crawls are in order of time,
// and visits is about how many visits there are.
func ByVerdict(ctx context.Context, q analysis.Querier, network string, crawls, classes []string, class func(peer uint64) int, visits int) ([]Cell, error) {
	if len(crawls) == 0 || len(classes) == 0 || len(classes) >= mixed {
		return nil, fmt.Errorf("count units by verdict: %d crawls and %d classes", len(crawls), len(classes))
	}
	part := max(1, visits/mostJudged)
	tallies, keys := make([]tally, len(units)), make([]string, len(units))
	for i, u := range units {
		tallies[i] = tally{unit: u.name, classes: classes, crawls: len(crawls), part: part, counts: map[mark]int{}}
		keys[i] = fmt.Sprintf("(toUInt8(%d), %s, toUInt8(%s))", i, u.key, u.known)
	}
	rows, err := q.QueryContext(ctx, fmt.Sprintf(seenSQL, strings.Join(keys, ", ")),
		sql.Named("part", part), sql.Named("crawls", crawls), sql.Named("network", network))
	if err != nil {
		return nil, fmt.Errorf("count units by verdict: %w", err)
	}
	defer func() { _ = rows.Close() }()
	nth := uint64(max(1, visits/part/len(crawls)/sampled))
	for rows.Next() {
		var kind uint8
		var unit, peer []uint64
		var seen []uint32
		if err := rows.Scan(&kind, &unit, &peer, &seen); err != nil {
			return nil, fmt.Errorf("count units by verdict: %w", err)
		}
		tallies[kind].takeSeen(unit, peer, seen, class, nth)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count units by verdict: %w", err)
	}
	var cells []Cell
	for _, t := range tallies {
		cells = append(cells, t.cells()...)
	}
	return cells, nil
}

// takeSeen adds units with all that is seen of them; every nth is kept whole.
func (t *tally) takeSeen(unit, peer []uint64, seen []uint32, class func(peer uint64) int, nth uint64) {
	type sight struct {
		unit uint64
		mark mark
	}
	sights := make([]sight, 0, 2*len(unit))
	for i := range unit {
		m := mark{crawl: int(seen[i] / 2), class: class(peer[i])}
		sights = append(sights, sight{unit[i], m})
		if m.reachable = seen[i]%2 == 1; m.reachable {
			sights = append(sights, sight{unit[i], m})
		}
	}
	slices.SortFunc(sights, func(a, b sight) int { return cmp.Compare(a.unit, b.unit) })
	for start, end := 0, 0; start < len(sights); start = end {
		whole := map[mark]int{} // class by moment
		for end = start; end < len(sights) && sights[end].unit == sights[start].unit; end++ {
			m := sights[end].mark
			for _, crawl := range []int{0, m.crawl} {
				at := mark{reachable: m.reachable, crawl: crawl}
				if have, ok := whole[at]; ok && have != m.class {
					whole[at] = mixed
				} else {
					whole[at] = m.class
				}
			}
		}
		t.takeUnit(whole, sights[start].unit/uint64(max(1, t.part))%nth == 0)
	}
}

// takeUnit adds a unit with its class at each moment.
func (t *tally) takeUnit(classes map[mark]int, keep bool) {
	var marks []mark
	for m, class := range classes {
		m.class = class
		t.counts[m]++
		if keep {
			marks = append(marks, m)
		}
	}
	if keep {
		t.sample = append(t.sample, marks)
	}
}
