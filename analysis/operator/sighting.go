package operator

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"time"

	"canopy/analysis"
	"canopy/crawler/identifier"
)

// Sighting is one peer as a network's record last saw it.
type Sighting struct {
	Network     string    `json:"network"`
	Traits      Traits    `json:"traits"`
	Endpoint    string    `json:"endpoint"` // where it answered, else was last tried
	Visits      int       `json:"visits"`
	Answered    int       `json:"answered"` // of these; without any its traits are those of its address alone
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"` // last answer, else last visit
	FactsSource string    `json:"facts_source,omitempty"`
	FactsDate   time.Time `json:"facts_date,omitzero"`
}

// crowdDays is how far back the crowd around a peer is counted, in days.
const crowdDays = 31

// lastSQL finds a peer as it was when it answered last.
const lastSQL = `
SELECT network, peer_id, toString((argMax((address, port, agent, protocols, asn, organisation, country, hosting, prefix, facts_source, toDateTime(facts_date, 'UTC'), visited_at),
       (outcome = 'answered', visited_at)) AS last).1), last.2, last.3, last.4, last.5, last.6, last.7, last.8, last.9, last.10, last.11, last.12,
       count(), countIf(outcome = 'answered'), min(visited_at)
FROM visits WHERE peer_id IN (SELECT arrayJoin(@peers)) GROUP BY network, peer_id ORDER BY network, peer_id`

// crowdSQL counts who stood beside a peer, at once, as [Record] does: of its
// agent in its /24 or /56, all there, of its agent in its AS, and anywhere.
const crowdSQL = `
SELECT max(a), max(b), max(c), max(d) FROM (
    SELECT uniqExactIf(peer_id, agent = @agent AND net = block) AS a, uniqExactIf(peer_id, net = block) AS b,
           uniqExactIf(peer_id, agent = @agent AND asn = @asn) AS c, uniqExactIf(peer_id, agent = @agent) AS d
    FROM (SELECT crawl_id, peer_id, agent, asn, IPv6CIDRToRange(address, @bits).1 AS net, IPv6CIDRToRange(toIPv6(@address), @bits).1 AS block
          FROM visits WHERE network = @network AND outcome = 'answered' AND visited_at >= toDateTime64(@since, 3, 'UTC'))
    GROUP BY crawl_id)`

// togetherSQL counts the siblings of a peer that answered in exactly the crawls
// in which it did, as [Record] does.
const togetherSQL = `
SELECT if(crawls >= 3 AND length(mine) < crawls, arrayCount(p -> p.2 = mine, peers), 0)
FROM (
    SELECT groupArray((peer_id, up)) AS peers, arrayFirst(p -> p.1 = @peer, peers).2 AS mine,
           (SELECT uniqExact(crawl_id) FROM visits WHERE network = @network AND outcome = 'answered' AND visited_at >= toDateTime64(@since, 3, 'UTC')) AS crawls
    FROM (
        SELECT peer_id, arraySort(groupUniqArray(crawl_id)) AS up
        FROM visits
        WHERE network = @network AND outcome = 'answered' AND visited_at >= toDateTime64(@since, 3, 'UTC')
          AND agent = @agent AND IPv6CIDRToRange(address, @bits).1 = IPv6CIDRToRange(toIPv6(@address), @bits).1
        GROUP BY peer_id))`

// portsSQL lists the unusual ports of a peer's siblings.
const portsSQL = `
WITH (` + usualPortsSQL + `) AS usual
SELECT groupArrayIf(256)(last, NOT has(usual, last))
FROM (
    SELECT argMax(port, visited_at) AS last
    FROM visits
    WHERE network = @network AND outcome = 'answered' AND visited_at >= toDateTime64(@since, 3, 'UTC')
      AND agent = @agent AND IPv6CIDRToRange(address, @bits).1 = IPv6CIDRToRange(toIPv6(@address), @bits).1
    GROUP BY peer_id)`

// Sightings reads a peer from the record, once for each network that knows its
// ID and each way in which that is written there; none is no error. The crowd
// around it is counted over 31 days up to its last answer.
func Sightings(ctx context.Context, q analysis.Querier, peer string) ([]Sighting, error) {
	rows, err := q.QueryContext(ctx, lastSQL, sql.Named("peers", identifier.Spellings(peer)))
	if err != nil {
		return nil, fmt.Errorf("look for peer: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Sighting
	for rows.Next() {
		s, err := scanSighting(rows)
		if err != nil {
			return nil, fmt.Errorf("look for peer: %w", err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for peer: %w", err)
	}
	for i := range out {
		if err := out[i].countCrowd(ctx, q); err != nil {
			return nil, fmt.Errorf("count peers beside %s: %w", peer, err)
		}
	}
	return out, nil
}

func scanSighting(rows *sql.Rows) (s Sighting, err error) {
	t := &s.Traits
	var host, prefix string
	var port uint16
	var visits, answered uint64
	err = rows.Scan(&s.Network, &t.PeerID, &host, &port, &t.Agent, &t.Protocols, &t.ASN, &t.Organisation, &t.Country, &t.Hosting, &prefix,
		&s.FactsSource, &s.FactsDate, &s.Last, &visits, &answered, &s.First)
	if err != nil {
		return s, err
	}
	if t.Address, err = netip.ParseAddr(host); err != nil {
		return s, err
	}
	t.Address = t.Address.Unmap()
	if prefix != "" {
		if t.Prefix, err = netip.ParsePrefix(prefix); err != nil {
			return s, err
		}
	}
	s.Endpoint = netip.AddrPortFrom(t.Address, port).String()
	s.Visits, s.Answered = int(visits), int(answered)
	if s.FactsSource == "" {
		s.FactsDate = time.Time{}
	}
	return s, nil
}

// countCrowd fills in who stands beside a peer that answered.
func (s *Sighting) countCrowd(ctx context.Context, q analysis.Querier) error {
	if s.Answered == 0 {
		return nil
	}
	t, bits := &s.Traits, 56
	if t.Address.Is4() {
		bits = 120 // the record keeps IPv4 as IPv4-mapped: a /24
	}
	since := s.Last.AddDate(0, 0, -crowdDays).UTC().Format("2006-01-02 15:04:05")
	args := []any{
		sql.Named("peer", t.PeerID), sql.Named("agent", t.Agent), sql.Named("asn", t.ASN), sql.Named("bits", bits),
		sql.Named("address", mapped(t.Address)), sql.Named("network", s.Network), sql.Named("since", since),
	}
	if err := readCounts(ctx, q, crowdSQL, args, &t.Siblings, &t.Neighbourhood, &t.AgentHere, &t.AgentAnywhere); err != nil {
		return err
	}
	if err := readCounts(ctx, q, togetherSQL, args, &t.Together); err != nil {
		return err
	}
	var ports []uint16
	return analysis.EachRow(ctx, q, func() { t.Ports = pattern(ports) }, fmt.Sprintf(portsSQL, "visited_at >= toDateTime64(@since, 3, 'UTC')"), args, &ports)
}

// readCounts reads the only row of a query that counts.
func readCounts(ctx context.Context, q analysis.Querier, query string, args []any, into ...*int) error {
	counts, dest := make([]uint64, len(into)), make([]any, len(into))
	for i := range counts {
		dest[i] = &counts[i]
	}
	take := func() {
		for i, n := range counts {
			*into[i] = int(n)
		}
	}
	return analysis.EachRow(ctx, q, take, query, args, dest...)
}
