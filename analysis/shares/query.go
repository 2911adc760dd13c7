package shares

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// units are what can be counted, and how the record tells them apart. Where
// one is not known its expression is empty or ::, and it does not count.
var units = []struct{ name, key, known string }{
	{"peer", "sipHash64(peer_id)", "1"},
	{"IP address", "sipHash64(address)", "address != toIPv6('::')"},
	{"/24 or /56", "sipHash64(IPv6CIDRToRange(address, if(startsWith(IPv6NumToString(address), '::ffff:'), 120, 56)).1)", "address != toIPv6('::')"},
	{"AS organisation", "sipHash64(organisation)", "organisation != ''"},
}

// tallySQL counts the marks of units. Marks are numbers: class, crawl << 8,
// reachable << 24. Of each unit it takes its pairs of crawl and class in order;
// pairs that share a crawl become one that says mixed (255). Units whose hash
// is a multiple of @part are counted; every @nth of these comes back with all
// its marks.
const tallySQL = `
WITH
    pairs -> arrayDistinct(arrayMap((x, before, after) -> if(intDiv(before, 256) = intDiv(x, 256) OR intDiv(after, 256) = intDiv(x, 256), toUInt32(bitOr(x, 255)), toUInt32(x)),
        pairs, arrayPushFront(arrayPopBack(pairs), toUInt32(4294967295)), arrayPushBack(arrayPopFront(pairs), toUInt32(4294967295)))) AS once,
    classes -> if(length(classes) = 1, toUInt32(classes[1]), toUInt32(255)) AS whole
SELECT (sumMap(marks, arrayMap(m -> toUInt64(1), marks)) AS counts).1, counts.2, groupArrayIf(marks, intDiv(unit, @part) %% @nth = 0)
FROM (
    SELECT unit,
           arraySort(groupUniqArray(pair)) AS named, arraySort(groupUniqArrayIf(pair, answered)) AS up,
           arrayDistinct(arrayMap(x -> x %% 256, named)) AS named_classes, arrayDistinct(arrayMap(x -> x %% 256, up)) AS up_classes,
           arrayConcat(once(named), [whole(named_classes)],
               arrayMap(m -> toUInt32(m + 16777216), if(empty(up), [], arrayPushBack(once(up), whole(up_classes))))) AS marks
    FROM (
        SELECT %[1]s AS unit, outcome = 'answered' AS answered,
               toUInt32(indexOf(arrayMap(c -> toUUID(c), @crawls), crawl_id) * 256 + if(indexOf(@classes, %[2]s) = 0, @unknown, indexOf(@classes, %[2]s) - 1)) AS pair
        FROM visits
        WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls))) AND %[3]s AND unit %% @part = 0
    )
    GROUP BY unit
)`

// sampled is about how many units are read one by one, for their variance.
const sampled = 20_000

// mostVisits is about how many visits are counted of each kind of unit. Where
// there are more, units are drawn by their hash, with all that the window
// shows of each.
const mostVisits = 2_000_000

// ByHosting counts the hosting classes of one network in every cell of the
// matrix: the crawls are in order of time, classes are the names to tell apart,
// of which the last takes what is in none of them, and visits is about how many
// visits there are. A unit is in the class of the address that answered or was
// last tried; the record holds the facts of one address per visit.
func ByHosting(ctx context.Context, q analysis.Querier, network string, crawls, classes []string, visits int) ([]Cell, error) {
	return byColumn(ctx, q, "hosting", network, crawls, classes, visits)
}

// ByPublished counts the verdicts of a published dataset as [ByHosting] counts
// land: there the visits carry the verdict on their peer, in a column operator.
func ByPublished(ctx context.Context, q analysis.Querier, network string, crawls, classes []string, visits int) ([]Cell, error) {
	return byColumn(ctx, q, "operator", network, crawls, classes, visits)
}

// byColumn counts the classes that a column names.
func byColumn(ctx context.Context, q analysis.Querier, column, network string, crawls, classes []string, visits int) ([]Cell, error) {
	if len(crawls) == 0 || len(classes) == 0 || len(classes) >= mixed {
		return nil, fmt.Errorf("count units by %s: %d crawls and %d classes", column, len(crawls), len(classes))
	}
	var cells []Cell
	for _, u := range units {
		part := max(1, visits/mostVisits)
		nth := max(1, visits/part/len(crawls)/sampled)
		if u.name == "AS organisation" { // there are few of them
			part, nth = 1, 1
		}
		t, err := readTally(ctx, q, fmt.Sprintf(tallySQL, u.key, column, u.known),
			sql.Named("nth", nth), sql.Named("part", part), sql.Named("crawls", crawls), sql.Named("classes", classes), sql.Named("unknown", len(classes)-1), sql.Named("network", network))
		if err != nil {
			return nil, fmt.Errorf("count %s by %s: %w", u.name, column, err)
		}
		t.unit, t.classes, t.crawls, t.part = u.name, classes, len(crawls), part
		cells = append(cells, t.cells()...)
	}
	return cells, nil
}

func readTally(ctx context.Context, q analysis.Querier, query string, args ...any) (tally, error) {
	t := tally{counts: map[mark]int{}}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return t, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var keys []uint32
		var counts []uint64
		var sample [][]uint32
		if err := rows.Scan(&keys, &counts, &sample); err != nil {
			return t, err
		}
		for i, key := range keys {
			t.counts[unpack(key)] = int(counts[i])
		}
		for _, packed := range sample {
			marks := make([]mark, len(packed))
			for i, key := range packed {
				marks[i] = unpack(key)
			}
			t.sample = append(t.sample, marks)
		}
	}
	return t, rows.Err()
}
