package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"canopy/crawler/observation"
)

// Checks writes what was learnt of entry points and of content. The checks are
// safe once it returns nil; the same may be given again.
func (s *Store) Checks(ctx context.Context, checks []observation.Check) error {
	return writeAll(ctx, s, "checks_log", checkColumns, checks)
}

var checkColumns = []column[observation.Check]{
	symbol("network", func(c *observation.Check) string { return c.Network }),
	field("run_id", func(c *observation.Check) uuid.UUID { return uuid.UUID(c.RunID) }),
	field("started_at", func(c *observation.Check) time.Time { return startOf(c.RunID) }),
	symbol("kind", func(c *observation.Check) string { return string(c.Kind) }),
	field("subject", func(c *observation.Check) string { return c.Subject }),
	field("number", func(c *observation.Check) uint32 { return c.Number }),
	field("name", func(c *observation.Check) string { return c.Name }),
	field("source", func(c *observation.Check) string { return c.Source }),
	field("clients", func(c *observation.Check) []string { return c.Clients }),
	symbol("vantage", func(c *observation.Check) string { return c.Vantage }),
	symbol("scope", func(c *observation.Check) string { return c.Scope }),
	symbol("software", func(c *observation.Check) string { return c.Software }),
	field("checked_at", func(c *observation.Check) time.Time { return instant(c.CheckedAt) }),
	symbol("outcome", func(c *observation.Check) string { return string(c.Outcome) }),
	field("detail", func(c *observation.Check) string { return c.Detail }),
	field("entries", func(c *observation.Check) []string { return c.Entries }),
	field("address", func(c *observation.Check) netip.Addr { return address(c.Address) }),
	field("port", func(c *observation.Check) uint16 { return c.Address.Port() }),
	symbol("agent", func(c *observation.Check) string { return c.Agent }),
	field("rtt_ms", func(c *observation.Check) *float32 { return milliseconds(c.RTT) }),
	field("named", func(c *observation.Check) uint32 { return c.Named }),
	field("took_ms", func(c *observation.Check) *float32 { return milliseconds(c.Took) }),
	field("first_ms", func(c *observation.Check) *float32 { return milliseconds(c.First) }),
	field("queries", func(c *observation.Check) uint32 { return c.Queries }),
	field("hops", func(c *observation.Check) uint32 { return c.Hops }),
	field("answered", func(c *observation.Check) uint32 { return c.Answered }),
	field("closest", func(c *observation.Check) uint32 { return c.Closest }),
	field("k", func(c *observation.Check) uint32 { return c.K }),
	field("namers", func(c *observation.Check) uint32 { return c.Namers }),
	field("found", func(c *observation.Check) uint32 { return c.Found }),
	field("cut", func(c *observation.Check) uint8 { return flag(c.Cut) }),
	field("seeds", func(c *observation.Check) float64 { return c.Seeds }),
	field("leechers", func(c *observation.Check) float64 { return c.Leechers }),
	field("filters", func(c *observation.Check) uint32 { return c.Filters }),
	field("full_filters", func(c *observation.Check) uint32 { return c.Full }),
	holders("holder_peer_ids", func(h *observation.Holders) string { return h.PeerID }),
	holders("holder_agents", func(h *observation.Holders) string { return h.Agent }),
	holders("holder_asns", func(h *observation.Holders) uint32 { return h.Facts.ASN }),
	holders("holder_organisations", func(h *observation.Holders) string { return h.Facts.Organisation }),
	holders("holder_countries", func(h *observation.Holders) string { return h.Facts.Country }),
	holders("holder_hostings", func(h *observation.Holders) string { return hosting(h.Facts.Hosting) }),
	holders("holder_counts", func(h *observation.Holders) uint32 { return h.Count }),
	symbol("facts_source", func(c *observation.Check) string { return factsOf(c).Source }),
	field("facts_date", func(c *observation.Check) string { return instant(factsOf(c).Date).Format(time.DateOnly) }),
}

// holders makes a column that lists one value of each group of holders.
func holders[V any](name string, get func(*observation.Holders) V) column[observation.Check] {
	return field(name, func(c *observation.Check) []V {
		values := make([]V, len(c.Holders))
		for i := range c.Holders {
			values[i] = get(&c.Holders[i])
		}
		return values
	})
}

// factsOf are the first facts that come from somewhere.
func factsOf(c *observation.Check) observation.Facts {
	for _, h := range c.Holders {
		if h.Facts.Source != "" {
			return h.Facts
		}
	}
	return observation.Facts{}
}
