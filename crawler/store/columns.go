package store

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"canopy/crawler/observation"
)

var crawlColumns = []column[observation.Crawl]{
	symbol("network", func(c *observation.Crawl) string { return c.Network }),
	field("crawl_id", func(c *observation.Crawl) uuid.UUID { return uuid.UUID(c.ID) }),
	symbol("vantage", func(c *observation.Crawl) string { return c.Vantage }),
	symbol("scope", func(c *observation.Crawl) string { return c.Scope }),
	field("zone", func(c *observation.Crawl) string { return c.Zone }),
	field("started_at", func(c *observation.Crawl) time.Time { return instant(c.StartedAt) }),
	field("ended_at", func(c *observation.Crawl) *time.Time { return endOf(c) }),
	symbol("state", func(c *observation.Crawl) string { return string(c.State) }),
	field("discovered", func(c *observation.Crawl) uint64 { return c.Discovered }),
	field("reachable", func(c *observation.Crawl) uint64 { return c.Reachable }),
	field("queries", func(c *observation.Crawl) uint64 { return c.Queries }),
	symbol("software", func(c *observation.Crawl) string { return c.Software }),
	field("settings", func(c *observation.Crawl) string { return c.Settings }),
	field("notes", func(c *observation.Crawl) []string { return c.Notes }),
}

var visitColumns = []column[observation.Visit]{
	symbol("network", func(v *observation.Visit) string { return v.Network }),
	field("crawl_id", func(v *observation.Visit) uuid.UUID { return uuid.UUID(v.CrawlID) }),
	field("number", func(v *observation.Visit) uint32 { return v.Number }),
	field("visited_at", func(v *observation.Visit) time.Time { return visitTime(v) }),
	field("peer_id", longID),
	field("id", shortID),
	field("address", func(v *observation.Visit) netip.Addr { return wholeAddress(v) }),
	field("host", func(v *observation.Visit) uint16 { return hostOf(v) }),
	field("port", func(v *observation.Visit) uint16 { return v.Address.Port() }),
	symbol("transport", func(v *observation.Visit) string { return v.Transport }),
	field("addresses", func(v *observation.Visit) []string { return v.Addresses }),
	field("relays", func(v *observation.Visit) []string { return v.Relays }),
	symbol("outcome", func(v *observation.Visit) string { return string(v.Outcome) }),
	field("detail", func(v *observation.Visit) string { return v.Detail }),
	symbol("agent", func(v *observation.Visit) string { return v.Agent }),
	field("protocols", func(v *observation.Visit) []string { return v.Protocols }),
	field("rtt", func(v *observation.Visit) uint16 { return shortTime(v.RTT) }),
	field("handshake_ms", func(v *observation.Visit) *float32 { return milliseconds(v.Handshake) }),
	field("neighbours", func(v *observation.Visit) uint32 { return v.Neighbours }),
	field("partial", func(v *observation.Visit) uint8 { return flag(v.Partial) }),
	field("queries", func(v *observation.Visit) uint32 { return v.Queries }),
	factsColumn,
}

var edgeColumns = []column[observation.Edge]{
	symbol("network", func(e *observation.Edge) string { return e.Network }),
	field("crawl_id", func(e *observation.Edge) uuid.UUID { return uuid.UUID(e.CrawlID) }),
	field("started_at", func(e *observation.Edge) time.Time { return startOf(e.CrawlID) }),
	field("peer", func(e *observation.Edge) uint32 { return e.Peer }),
	field("neighbours", func(e *observation.Edge) []uint32 { return e.Neighbours }),
	field("partial", func(e *observation.Edge) uint8 { return flag(e.Partial) }),
}

var probeColumns = []column[observation.Probe]{
	symbol("network", func(p *observation.Probe) string { return p.Network }),
	symbol("vantage", func(p *observation.Probe) string { return p.Vantage }),
	field("peer_id", func(p *observation.Probe) string { return p.PeerID }),
	field("address", func(p *observation.Probe) netip.Addr { return address(p.Address) }),
	field("port", func(p *observation.Probe) uint16 { return p.Address.Port() }),
	field("probed_at", func(p *observation.Probe) time.Time { return instant(p.ProbedAt) }),
	symbol("outcome", func(p *observation.Probe) string { return string(p.Outcome) }),
	field("rtt_ms", func(p *observation.Probe) *float32 { return milliseconds(p.RTT) }),
	field("control_ok", func(p *observation.Probe) uint8 { return flag(p.ControlOK) }),
}

// instant keeps t within what the columns can hold: the zero time becomes
// 1970-01-01.
func instant(t time.Time) time.Time {
	if t.Year() < 1970 || t.Year() > 2105 { // Date ends in 2149, DateTime in 2106
		return time.Unix(0, 0).UTC()
	}
	return t.UTC()
}

func endOf(c *observation.Crawl) *time.Time {
	if c.EndedAt.IsZero() {
		return nil
	}
	t := instant(c.EndedAt)
	return &t
}

// startOf reads the time in a UUID version 7, and gives 1970-01-01 for others.
func startOf(id observation.CrawlID) time.Time {
	if id[6]>>4 != 7 {
		return time.Unix(0, 0).UTC()
	}
	ms := uint64(binary.BigEndian.Uint16(id[0:]))<<32 | uint64(binary.BigEndian.Uint32(id[2:]))
	return instant(time.UnixMilli(int64(ms)))
}

// address drops the zone, which means nothing elsewhere.
func address(a netip.AddrPort) netip.Addr { return a.Addr().WithZone("") }

func milliseconds(d time.Duration) *float32 {
	if d <= 0 {
		return nil
	}
	// Twelve bits of mantissa, a hundredth of a percent, are more than a path's
	// time means; what follows them would cost a byte a visit.
	ms := math.Float32frombits((math.Float32bits(float32(float64(d)/float64(time.Millisecond))) + 1<<10) &^ (1<<11 - 1))
	return &ms
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func prefix(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func hosting(h observation.Hosting) string {
	if h == "" {
		h = observation.HostingUnknown
	}
	return string(h)
}
