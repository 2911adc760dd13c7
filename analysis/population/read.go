package population

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"canopy/analysis"
)

// Crawl is one that walked a zone to its end.
type Crawl struct {
	ID        string    `json:"crawl_id"`
	Zone      string    `json:"zone"` // BITS/PREFIX, the prefix in hexadecimal
	StartedAt time.Time `json:"started_at"`
}

// Result is the size of a network as one zone shows it.
type Result struct {
	Size
	Crawl  Crawl  `json:"crawl"`            // the latest that walked the zone
	Before *Crawl `json:"before,omitempty"` // the one before it, for the floor
	Unseen int    `json:"unseen"`           // planted nodes that nobody named: they are no marks
}

// Read computes the size of a network from the record. crawls are in order of
// time; the latest of them counts, and the one before it that walked the same
// zone. It returns nil if there are none.
func Read(ctx context.Context, q analysis.Querier, network string, crawls []Crawl) (*Result, error) {
	if len(crawls) == 0 {
		return nil, nil
	}
	r := &Result{Crawl: crawls[len(crawls)-1]}
	for _, c := range crawls[:len(crawls)-1] {
		if c.Zone == r.Crawl.Zone {
			r.Before = &c
		}
	}
	z, err := parseZone(r.Crawl.Zone)
	if err != nil {
		return nil, fmt.Errorf("read size of network: %w", err)
	}
	in := reader{q: q, network: network, zone: z}
	e := Evidence{Bits: z.bits}
	for _, read := range []func() error{
		func() error { return in.nodes(ctx, r.Crawl.ID, &e) },
		func() error { return in.marks(ctx, r.Crawl.ID, &e, &r.Unseen) },
		func() error { return in.lookups(ctx, r.Crawl.ID, &e) },
		func() error { return in.pair(ctx, r.Before, r.Crawl.ID, &e) },
	} {
		if err := read(); err != nil {
			return nil, fmt.Errorf("read size of network: %w", err)
		}
	}
	r.Size = Compute(e)
	if r.Unseen > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d planted nodes are left out: nobody had named them when the walk began", r.Unseen))
	}
	return r, nil
}

// zone is a range of hexadecimal IDs by their first digits.
type zone struct {
	bits        int
	first, last string
}

func parseZone(s string) (zone, error) {
	number, prefix, _ := strings.Cut(s, "/")
	bits, err := strconv.Atoi(number)
	if err != nil || bits < 0 || bits > 40 || len(prefix) != (bits+3)/4 {
		return zone{}, fmt.Errorf("parse zone %q: want BITS/PREFIX in hexadecimal", s)
	}
	if bits == 0 {
		return zone{}, nil
	}
	first, err := strconv.ParseUint(prefix, 16, 64)
	if err != nil {
		return zone{}, fmt.Errorf("parse zone %q: %w", s, err)
	}
	free := 4*len(prefix) - bits
	return zone{bits, prefix, fmt.Sprintf("%0*x", len(prefix), first|(1<<free-1))}, nil
}

// reader reads what the record holds of one zone of a network.
type reader struct {
	q       analysis.Querier
	network string
	zone    zone
}

// fair are the nodes of a zone that answered in a crawl, each ID once, without
// planted ones. An ID at several endpoints of one address family, and IDs that
// share an endpoint, are no nodes: fair is 0.
const fair = `
    SELECT peer_id, max(ids) = 1 AND max(endpoints) = 1 AS fair
    FROM (
        SELECT peer_id, count() OVER (PARTITION BY address, port) AS ids,
               count() OVER (PARTITION BY peer_id, startsWith(toString(address), '::ffff:')) AS endpoints
        FROM (
            SELECT DISTINCT peer_id, address, port
            FROM visits
            WHERE network = @network AND crawl_id = toUUID(@crawl) AND outcome = 'answered'
              AND substring(peer_id, 1, length(@first)) BETWEEN @first AND @last
              AND peer_id NOT IN (SELECT peer_id FROM marks WHERE network = @network AND kind = 'planted')
        )
    )
    GROUP BY peer_id`

func (r reader) args(crawl string) []any {
	return []any{sql.Named("network", r.network), sql.Named("crawl", crawl), sql.Named("first", r.zone.first), sql.Named("last", r.zone.last)}
}

// finest is the number of parts that a zone is read in, as a power of two.
const finest = 10

// crowding is how many nodes a part of a zone should hold at least on average,
// so that chance is told from choice.
const crowding = 5

// nodes counts those found.
func (r reader) nodes(ctx context.Context, crawl string, e *Evidence) error {
	rows, err := r.q.QueryContext(ctx, `
SELECT toUInt32(bitAnd(bitShiftRight(reinterpretAsUInt64(reverse(unhex(substring(peer_id, 1, 16)))), @shift), @mask)) AS cell, fair, count()
FROM (`+fair+`) GROUP BY cell, fair`,
		append(r.args(crawl), sql.Named("shift", 64-r.zone.bits-finest), sql.Named("mask", 1<<finest-1))...)
	if err != nil {
		return fmt.Errorf("count nodes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	cells := make([]int, 1<<finest)
	for rows.Next() {
		var cell uint32
		var fair uint8
		var n uint64
		if err := rows.Scan(&cell, &fair, &n); err != nil {
			return fmt.Errorf("count nodes: %w", err)
		}
		if fair == 0 {
			e.SetAside += int(n)
			continue
		}
		e.Found += int(n)
		cells[cell] += int(n)
	}
	for len(cells) > 1 && e.Found < crowding*len(cells) {
		cells = halved(cells)
	}
	e.Cells = cells
	return rows.Err()
}

// halved joins neighbouring cells.
func halved(cells []int) []int {
	half := make([]int, len(cells)/2)
	for i, n := range cells {
		half[i/2] += n
	}
	return half
}

// marks counts the nodes known to be alive, and those found.
func (r reader) marks(ctx context.Context, crawl string, e *Evidence, unseen *int) error {
	rows, err := r.q.QueryContext(ctx, `
SELECT toString(kind) AS kind, countIf(named = 1), countIf(named = 1 AND found), countIf(named = 0), countIf(looked_up = 1), countIf(lookup = 1)
FROM (
    SELECT kind, named, looked_up, lookup, peer_id IN (SELECT peer_id FROM visits
        WHERE network = @network AND crawl_id = toUUID(@crawl) AND outcome = 'answered') AS found
    FROM marks
    WHERE network = @network AND crawl_id = toUUID(@crawl) AND peer_id NOT IN (SELECT peer_id FROM (`+fair+`) WHERE fair = 0)
)
GROUP BY kind`, r.args(crawl)...)
	if err != nil {
		return fmt.Errorf("count marked nodes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	e.Distances = &Distances{}
	for rows.Next() {
		var kind string
		var named, found, unnamed, aimed, hit uint64
		if err := rows.Scan(&kind, &named, &found, &unnamed, &aimed, &hit); err != nil {
			return fmt.Errorf("count marked nodes: %w", err)
		}
		m, l := &e.Marks, &e.Distances.Marks
		if kind == "planted" {
			m.Planted, m.PlantedFound, l.Planted, l.PlantedFound = int(named), int(found), int(aimed), int(hit)
		} else {
			m.Confirmed, m.ConfirmedFound, l.Confirmed, l.ConfirmedFound = int(named), int(found), int(aimed), int(hit)
		}
		*unseen += int(unnamed)
	}
	return rows.Err()
}

// lookups sums up those of random targets.
func (r reader) lookups(ctx context.Context, crawl string, e *Evidence) error {
	rows, err := r.q.QueryContext(ctx, `
SELECT k, countIf(found >= k), countIf(found < k), sumIf(distance, found >= k)
FROM lookups
WHERE network = @network AND crawl_id = toUUID(@crawl)
GROUP BY k
ORDER BY count() DESC
LIMIT 1`, r.args(crawl)...)
	if err != nil {
		return fmt.Errorf("sum up lookups: %w", err)
	}
	defer func() { _ = rows.Close() }()
	any := false
	for rows.Next() {
		var k uint8
		var whole, short uint64
		if err := rows.Scan(&k, &whole, &short, &e.Distances.Sum); err != nil {
			return fmt.Errorf("sum up lookups: %w", err)
		}
		e.Distances.K, e.Distances.Lookups, e.Distances.Short, any = int(k), int(whole), int(short), true
	}
	if !any {
		e.Distances = nil
	}
	return rows.Err()
}

// pair counts the nodes that two crawls of the zone have in common.
func (r reader) pair(ctx context.Context, before *Crawl, crawl string, e *Evidence) error {
	if before == nil {
		return nil
	}
	earlier := strings.ReplaceAll(fair, "@crawl", "@before")
	rows, err := r.q.QueryContext(ctx, `
SELECT count(), countIf(peer_id IN (SELECT peer_id FROM (`+fair+`) WHERE fair = 1))
FROM (`+earlier+`)
WHERE fair = 1`, append(r.args(crawl), sql.Named("before", before.ID))...)
	if err != nil {
		return fmt.Errorf("count nodes of two crawls: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var first, both uint64
		if err := rows.Scan(&first, &both); err != nil {
			return fmt.Errorf("count nodes of two crawls: %w", err)
		}
		e.Pair = &Pair{First: int(first), Second: e.Found, Both: int(both)}
	}
	return rows.Err()
}
