package store

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"canopy/crawler/observation"
)

// Marks writes the nodes that were known to be alive in a crawl's zone. They
// are safe once it returns nil; the same rows may be given again, also with
// more known of them.
func (s *Store) Marks(ctx context.Context, marks []observation.Mark) error {
	return writeAll(ctx, s, "marks_log", markColumns, marks)
}

// Lookups writes the lookups that belong to a crawl, as [Store.Marks] does.
func (s *Store) Lookups(ctx context.Context, lookups []observation.Lookup) error {
	return writeAll(ctx, s, "lookups_log", lookupColumns, lookups)
}

// writeAll inserts rows that are few at once.
func writeAll[T any](ctx context.Context, s *Store, table string, columns []column[T], rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	err := s.exclusively(ctx, func() error { return insert(ctx, s, table, columns, [][]T{rows}, len(rows)) })
	if err != nil {
		return fmt.Errorf("store %s: %w", table, err)
	}
	return nil
}

var markColumns = []column[observation.Mark]{
	field("network", func(m *observation.Mark) string { return m.Network }),
	field("crawl_id", func(m *observation.Mark) uuid.UUID { return uuid.UUID(m.CrawlID) }),
	field("started_at", func(m *observation.Mark) time.Time { return startOf(m.CrawlID) }),
	field("peer_id", func(m *observation.Mark) string { return m.PeerID }),
	field("address", func(m *observation.Mark) netip.Addr { return address(m.Address) }),
	field("port", func(m *observation.Mark) uint16 { return m.Address.Port() }),
	field("kind", func(m *observation.Mark) string { return string(m.Kind) }),
	field("named", func(m *observation.Mark) uint8 { return flag(m.Named) }),
	field("looked_up", func(m *observation.Mark) uint8 { return flag(m.LookedUp) }),
	field("lookup", func(m *observation.Mark) uint8 { return flag(m.Lookup) }),
}

var lookupColumns = []column[observation.Lookup]{
	field("network", func(l *observation.Lookup) string { return l.Network }),
	field("crawl_id", func(l *observation.Lookup) uuid.UUID { return uuid.UUID(l.CrawlID) }),
	field("started_at", func(l *observation.Lookup) time.Time { return startOf(l.CrawlID) }),
	field("number", func(l *observation.Lookup) uint32 { return l.Number }),
	field("target", func(l *observation.Lookup) string { return l.Target }),
	field("k", func(l *observation.Lookup) uint8 { return l.K }),
	field("found", func(l *observation.Lookup) uint8 { return l.Found }),
	field("distance", func(l *observation.Lookup) float64 { return l.Distance }),
	field("queries", func(l *observation.Lookup) uint32 { return l.Queries }),
}
