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

// units are what can be counted, and how the record tells them apart. Where
// one is not known its expression is empty or ::, and it does not count.
var units = []struct{ name, key, known string }{
	{"peer", "peer", "1"},
	{"IP address", "sipHash64(address)", "address != toIPv6('::')"},
	{"/24 or /56", "sipHash64(IPv6CIDRToRange(address, if(address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), 120, 56)).1)", "address != toIPv6('::')"},
	{"AS organisation", "sipHash64(organisation)", "organisation != ''"},
}

// Question says what to count.
type Question struct {
	Network string
	Crawls  []string              // in order of time
	Visits  int                   // about how many there are of them
	Land    []string              // hosting classes; the last takes what is in none of them
	Kinds   []string              // of operators; the last takes peers without a verdict
	Verdict func(peer uint64) int // place in Kinds, of a peer named by sipHash64 of its ID, as operator.Members names it; nil: visits carry a column operator
}

// mostVisits is about how many visits are read of each kind of unit. Where
// there are more, units are drawn by their hash, with all that the window
// shows of each.
const mostVisits = 1_000_000

// sampled is about how many units are kept one by one, for their variance.
const sampled = 20_000

// seenSQL reads each visit once for every unit that it shows: the number of
// the kind of unit, the unit, the peer, and what was seen (see sight). Rows come
// in blocks that hold all of a unit. The first %s lists the kinds of units, each
// with its number, its key and whether it is known, the second is the place of
// the verdict.
const seenSQL = `
SELECT one.1 AS kind, groupArray(one.2), groupArray(peer), groupArray(seen)
FROM (
    SELECT peer, seen, arrayJoin(arrayFilter(u -> u.3 AND u.2 %% @part = 0, [%[1]s])) AS one
    FROM (
        SELECT address, organisation, sipHash64(peer_id) AS peer,
               toUInt32(bitShiftLeft(indexOf(arrayMap(c -> toUUID(c), @crawls), crawl_id), 16)
                   + bitShiftLeft(if(indexOf(@land, hosting) = 0, length(@land), indexOf(@land, hosting)) - 1, 8) + bitShiftLeft(%[2]s, 1) + (outcome = 'answered')) AS seen
        FROM visits
        WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
    )
)
GROUP BY kind, intDiv(one.2, @part) %% 64`

// Matrix counts land and verdicts in every cell. A unit is on the land of the
// address that answered or was last tried; the record holds the facts of one
// address per visit. A verdict is on a peer and holds in all crawls.
func Matrix(ctx context.Context, q analysis.Querier, in Question) (land, verdicts []Cell, err error) {
	const most = 1 << 7
	if len(in.Crawls) == 0 || len(in.Crawls) >= 1<<16 || len(in.Land) == 0 || len(in.Kinds) == 0 || len(in.Land) >= most || len(in.Kinds) >= most {
		return nil, nil, fmt.Errorf("count units: %d crawls, %d classes of land, %d kinds of operators", len(in.Crawls), len(in.Land), len(in.Kinds))
	}
	part := max(1, in.Visits/mostVisits)
	keys := make([]string, len(units))
	of := make([][2]tally, len(units))
	for i, u := range units {
		keys[i] = fmt.Sprintf("(toUInt8(%d), %s, toUInt8(%s))", i, u.key, u.known)
		for axis, classes := range [][]string{in.Land, in.Kinds} {
			of[i][axis] = tally{unit: u.name, classes: classes, crawls: len(in.Crawls), part: part, counts: map[mark]int{}}
		}
	}
	kind := "0"
	if in.Verdict == nil {
		kind = "if(indexOf(@kinds, operator) = 0, length(@kinds), indexOf(@kinds, operator)) - 1"
	}
	rows, err := q.QueryContext(ctx, fmt.Sprintf(seenSQL, strings.Join(keys, ", "), kind),
		sql.Named("part", part), sql.Named("crawls", in.Crawls), sql.Named("land", in.Land), sql.Named("kinds", in.Kinds), sql.Named("network", in.Network))
	if err != nil {
		return nil, nil, fmt.Errorf("count units: %w", err)
	}
	defer func() { _ = rows.Close() }()
	nth := uint64(max(1, in.Visits/part/len(in.Crawls)/sampled))
	for rows.Next() {
		var unit uint8
		var block block
		if err := rows.Scan(&unit, &block.units, &block.peers, &block.seen); err != nil {
			return nil, nil, fmt.Errorf("count units: %w", err)
		}
		sights := block.sights(in.Verdict)
		of[unit][0].take(sights, func(s sight) uint8 { return s.land }, nth)
		of[unit][1].take(sights, func(s sight) uint8 { return s.kind }, nth)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("count units: %w", err)
	}
	for _, t := range of {
		land, verdicts = append(land, t[0].cells()...), append(verdicts, t[1].cells()...)
	}
	return land, verdicts, nil
}

// sight is a visit as one unit shows it.
type sight struct {
	unit       uint64
	crawl      uint16 // from 1
	land, kind uint8
	reachable  bool
}

// block is what a row of seenSQL holds.
type block struct {
	units, peers []uint64
	seen         []uint32
}

// sights unpacks a block, unit by unit.
func (b block) sights(verdict func(uint64) int) []sight {
	list := make([]sight, len(b.units))
	for i, unit := range b.units {
		seen := b.seen[i]
		list[i] = sight{unit: unit, crawl: uint16(seen >> 16), land: uint8(seen >> 8), kind: uint8(seen) >> 1, reachable: seen&1 == 1}
		if verdict != nil {
			list[i].kind = uint8(verdict(b.peers[i]))
		}
	}
	slices.SortFunc(list, func(a, b sight) int { return cmp.Compare(a.unit, b.unit) })
	return list
}

// take adds units with all that is seen of them; every nth is kept whole.
func (t *tally) take(sights []sight, class func(sight) uint8, nth uint64) {
	var marks []mark // of one unit: few
	add := func(m mark) {
		for i, have := range marks {
			if have.reachable == m.reachable && have.crawl == m.crawl {
				if have.class != m.class {
					marks[i].class = mixed
				}
				return
			}
		}
		marks = append(marks, m)
	}
	for start, end := 0, 0; start < len(sights); start = end {
		marks = marks[:0]
		for end = start; end < len(sights) && sights[end].unit == sights[start].unit; end++ {
			s := sights[end]
			for _, crawl := range []int{0, int(s.crawl)} {
				add(mark{crawl: crawl, class: int(class(s))})
				if s.reachable {
					add(mark{reachable: true, crawl: crawl, class: int(class(s))})
				}
			}
		}
		for _, m := range marks {
			t.counts[m]++
		}
		if sights[start].unit/uint64(t.part)%nth == 0 {
			t.sample = append(t.sample, slices.Clone(marks))
		}
	}
}
