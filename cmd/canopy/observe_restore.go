package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/netip"
	"time"

	"canopy/crawler/monitor"
	"canopy/crawler/observation"
)

// restore takes the watched peers up where the record left them: starting
// again is no reason to close a session or to begin one.
func (n *observedNetwork) restore(ctx context.Context) error {
	since := time.Now().Add(-n.ob.options.watch.forget)
	addresses, err := n.knownAddresses(ctx, since)
	if err != nil {
		return fmt.Errorf("read addresses of watched %s peers: %w", n.name, err)
	}
	known, err := n.latestSessions(ctx, since)
	if err != nil {
		return fmt.Errorf("read sessions of %s: %w", n.name, err)
	}
	for i := range known {
		known[i].Addresses = addresses[known[i].PeerID]
	}
	n.monitor.Restore(known)
	n.ob.logger.Info("watched peers restored", "network", n.name, "peers", len(known))
	return nil
}

// latestSessions reads the sessions that were open lately, the latest of each
// peer first. How long before that they began makes no difference to how often
// a peer is asked, so that only a day or two crawls before are read.
func (n *observedNetwork) latestSessions(ctx context.Context, since time.Time) ([]monitor.Known, error) {
	rows, err := n.query(ctx, since, `
SELECT peer_id, IPv6NumToString(address), port, first_up, last_up, reason IN ('departed', 'changed_identity') AS gone, asked
FROM sessions_between(from = @early, to = '2106-01-01 00:00:00')
LEFT JOIN (
    SELECT peer_id, max(probed_at) AS asked FROM probes
    WHERE network = @network AND vantage = @vantage AND probed_at > @since AND control_ok GROUP BY peer_id
) AS a USING peer_id
WHERE network = @network AND vantage = @vantage AND last_up > @since
ORDER BY last_up DESC`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it all
	var known []monitor.Known
	for rows.Next() {
		var k monitor.Known
		var address string
		var port uint16
		var gone uint8
		if err := rows.Scan(&k.PeerID, &address, &port, &k.UpSince, &k.LastUp, &gone, &k.AskedAt); err != nil {
			return nil, err
		}
		addr, err := netip.ParseAddr(address)
		if err != nil {
			return nil, err
		}
		k.Address, k.Gone = netip.AddrPortFrom(addr.Unmap(), port), gone == 1
		known = append(known, k)
	}
	return known, rows.Err()
}

// knownAddresses reads what crawls know of where watched peers are.
func (n *observedNetwork) knownAddresses(ctx context.Context, since time.Time) (map[string][]string, error) {
	rows, err := n.query(ctx, since, `
SELECT peer_id, argMax(addresses, visited_at)
FROM visits
WHERE network = @network AND outcome = 'answered' AND visited_at > @early
    AND peer_id IN (SELECT peer_id FROM probes WHERE network = @network AND vantage = @vantage AND probed_at > @since)
GROUP BY peer_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it all
	known := map[string][]string{}
	for rows.Next() {
		var peer string
		var addresses []string
		if err := rows.Scan(&peer, &addresses); err != nil {
			return nil, err
		}
		known[peer] = addresses
	}
	return known, rows.Err()
}

func (n *observedNetwork) query(ctx context.Context, since time.Time, text string) (*sql.Rows, error) {
	return n.ob.record.DB().QueryContext(ctx, text, sql.Named("network", n.name), sql.Named("vantage", n.ob.options.vantage),
		sql.Named("since", since.UTC()), sql.Named("early", since.Add(-max(24*time.Hour, 2*n.every)).UTC().Format(time.DateTime)))
}

// lastCrawl reads the last crawl of the network that ended, nil if none did.
func (n *observedNetwork) lastCrawl(ctx context.Context) (*observation.Crawl, error) {
	rows, err := n.ob.record.DB().QueryContext(ctx, `
SELECT toString(crawl_id), scope, started_at, ended_at, state, discovered, reachable, queries, notes
FROM crawls WHERE network = @network AND vantage = @vantage AND state != 'running' ORDER BY started_at DESC LIMIT 1`,
		sql.Named("network", n.name), sql.Named("vantage", n.ob.options.vantage))
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it all
	if rows.Next() {
		c := observation.Crawl{Network: n.name, Vantage: n.ob.options.vantage}
		var id, state string
		if err := rows.Scan(&id, &c.Scope, &c.StartedAt, &c.EndedAt, &state, &c.Discovered, &c.Reachable, &c.Queries, &c.Notes); err != nil {
			return nil, err
		}
		c.State = observation.State(state)
		if c.ID, err = observation.ParseCrawlID(id); err != nil {
			return nil, err
		}
		return &c, nil
	}
	return nil, rows.Err()
}

// isLoopback says whether nobody but this machine can reach a listener.
func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
