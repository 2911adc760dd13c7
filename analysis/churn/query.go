package churn

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"canopy/analysis"
)

// word is how many crawls one number of a bit set holds.
const word = 64

// presenceSQL makes the visits of each peer into two bit sets over the crawls,
// in which it was up and in which it was heard of, and counts peers alike. The
// first two %s are the words of these sets, the third their numbers.
const presenceSQL = `
SELECT [%[1]s] AS up, [%[2]s] AS heard, toString(hosting), count() AS peers
FROM (
    SELECT %[3]s, argMaxIf(hosting, visited_at, answered) AS hosting
    FROM (
        SELECT peer_id, hosting, visited_at, outcome = 'answered' AS answered,
               toUInt32(indexOf(arrayMap(c -> toUUID(c), @crawls), crawl_id) - 1) AS crawl, bitShiftLeft(toUInt64(1), toUInt8(crawl %% 64)) AS bit
        FROM visits
        WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
    )
    GROUP BY sipHash64(peer_id)
    HAVING max(answered)
)
GROUP BY up, heard, hosting
ORDER BY up, heard, hosting`

// presenceQuery fills presenceSQL for a number of crawls.
func presenceQuery(crawls int) string {
	var up, heard, sets []string
	for w := range (crawls + word - 1) / word {
		up, heard = append(up, fmt.Sprintf("up%d", w)), append(heard, fmt.Sprintf("heard%d", w))
		sets = append(sets, fmt.Sprintf("groupBitOrIf(bit, answered AND intDiv(crawl, %[1]d) = %[2]d) AS up%[2]d, groupBitOrIf(bit, intDiv(crawl, %[1]d) = %[2]d) AS heard%[2]d", word, w))
	}
	return fmt.Sprintf(presenceSQL, strings.Join(up, ", "), strings.Join(heard, ", "), strings.Join(sets, ", "))
}

// Presences reads how the peers of one network showed in the given crawls,
// which are in order of time. A peer is one identity; it stands on the land
// where it last answered.
func Presences(ctx context.Context, q analysis.Querier, network string, crawls []string) ([]Presence, error) {
	rows, err := q.QueryContext(ctx, presenceQuery(len(crawls)), sql.Named("network", network), sql.Named("crawls", crawls))
	if err != nil {
		return nil, fmt.Errorf("read presence of peers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var presences []Presence
	for rows.Next() {
		var p Presence
		var up, heard []uint64
		var peers uint64
		if err := rows.Scan(&up, &heard, &p.Hosting, &peers); err != nil {
			return nil, fmt.Errorf("read presence of peers: %w", err)
		}
		if p.Hosting == "" {
			p.Hosting = "unknown"
		}
		p.Pattern, p.Peers = pattern(up, heard, len(crawls)), int(peers)
		presences = append(presences, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read presence of peers: %w", err)
	}
	return presences, nil
}

// pattern writes two bit sets over crawls as letters.
func pattern(up, heard []uint64, crawls int) string {
	letters := make([]byte, crawls)
	for t := range letters {
		bit := uint64(1) << (t % word)
		switch {
		case up[t/word]&bit != 0:
			letters[t] = Answered
		case heard[t/word]&bit != 0:
			letters[t] = Silent
		default:
			letters[t] = NotHeard
		}
	}
	return string(letters)
}
