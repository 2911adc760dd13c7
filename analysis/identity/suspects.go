package identity

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/analysis"
)

// suspectsSQL lists, for each of three reasons, the hashes of the IDs, endpoints
// and blocks of some crawls that more visits share than is ordinary: in sorted
// hashes as many stand in a row.
const suspectsSQL = `
WITH (hashes, most) -> arrayDistinct(arrayFilter((h, later) -> h = later AND later != 0, hashes, arrayResize(arraySlice(hashes, most + 1), length(hashes), toUInt64(0)))) AS crowded
SELECT crowded(ids, @aside_endpoints), crowded(endpoints, @aside_ids), crowded(blocks, @aside_block)
FROM (
    SELECT arraySort(groupArray(` + idSQL + `)) AS ids, arraySort(groupArray(` + endpointSQL + `)) AS endpoints, arraySort(groupArray(` + hashedBlockSQL + `)) AS blocks
    FROM visits
    WHERE network = @aside_network AND outcome = 'answered' AND ` + addressedSQL + ` AND crawl_id IN (SELECT toUUID(arrayJoin(@aside_crawls)))
)`

// addressedSQL leaves out peers of which no address is known, as other crawlers'
// data may have them: that is no endpoint which they share.
const addressedSQL = `address != toIPv6('::')`

// What suspectsSQL and asideSQL hash.
const (
	idSQL          = `sipHash64(crawl_id, peer_id)`
	endpointSQL    = `sipHash64(crawl_id, address, port)`
	hashedBlockSQL = `sipHash64(crawl_id, ` + blockSQL + `)`
)

// suspects are who may have to be set aside for another reason than a crowd.
// Ordinary networks have few.
type suspects struct {
	crawls []string // that may have some
	hashes [3][]uint64
	many   bool // more than can be named one by one, so that hashes is short of some
}

func (l Limits) suspects(ctx context.Context, q analysis.Querier, network string, batches [][]string) (s suspects, err error) {
	for _, batch := range batches {
		var found [3][]uint64
		take := func() {
			some := false
			for i, list := range found {
				some = some || len(list) > 0
				if len(s.hashes[i])+len(list) > mostKnown {
					s.many = true
					continue
				}
				s.hashes[i] = append(s.hashes[i], list...)
			}
			if some {
				s.crawls = append(s.crawls, batch...)
			}
		}
		err := analysis.EachRow(ctx, q, take, suspectsSQL, []any{sql.Named("aside_network", network), sql.Named("aside_crawls", batch),
			sql.Named("aside_endpoints", l.Endpoints), sql.Named("aside_ids", l.IDs), sql.Named("aside_block", l.BlockIDs)}, &found[0], &found[1], &found[2])
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// among are the conditions that a visit is of a suspect, one for each reason.
func (s suspects) among() (conditions [3]any, args []any) {
	hashes := [3]string{idSQL, endpointSQL, hashedBlockSQL}
	for i, most := range []string{"@aside_endpoints", "@aside_ids", "@aside_block"} {
		if s.many {
			conditions[i] = hashes[i] + " IN (SELECT " + hashes[i] + " AS h FROM seen GROUP BY h HAVING count() > " + most + ")"
			continue
		}
		name := fmt.Sprintf("aside_suspects_%d_", i)
		conditions[i] = hashes[i] + " IN (SELECT arrayJoin(@" + name + "))"
		args = append(args, sql.Named(name, append([]uint64{0}, s.hashes[i]...))) // an empty list has no type
	}
	return conditions, args
}
