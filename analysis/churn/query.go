package churn

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// word is how many crawls one number of a bit set holds.
const word = 64

// presenceSQL makes the visits of each peer into two bit sets over the crawls,
// in which it was up and in which it was heard of, and counts peers alike.
const presenceSQL = `
SELECT up, heard, hosting, count() AS peers
FROM (
    SELECT groupBitOrForEach(bits) AS heard, groupBitOrForEach(arrayMap(b -> if(answered, b, 0), bits)) AS up,
           argMaxIf(toString(hosting), visited_at, answered) AS hosting, max(answered) AS ever
    FROM (
        SELECT peer_id, hosting, visited_at, outcome = 'answered' AS answered, toUInt32(indexOf(@crawls, toString(crawl_id)) - 1) AS crawl,
               arrayMap(w -> if(intDiv(crawl, 64) = w, bitShiftLeft(toUInt64(1), toUInt8(crawl % 64)), 0), range(toUInt64(@words))) AS bits
        FROM visits
        WHERE network = @network AND crawl_id IN (SELECT toUUID(arrayJoin(@crawls)))
    )
    GROUP BY peer_id
    HAVING ever
)
GROUP BY up, heard, hosting
ORDER BY up, heard, hosting`

// Presences reads how the peers of one network showed in the given crawls,
// which are in order of time. A peer is one identity; it stands on the land
// where it last answered.
func Presences(ctx context.Context, q analysis.Querier, network string, crawls []string) ([]Presence, error) {
	rows, err := q.QueryContext(ctx, presenceSQL,
		sql.Named("words", (len(crawls)+word-1)/word), sql.Named("network", network), sql.Named("crawls", crawls))
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
