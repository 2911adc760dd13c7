package main

import (
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

// Peers of the latest whole crawl of the public network are remembered, and
// nobody of a local one, with all of their addresses: which of them may be
// contacted, the walk decides.
func TestRecentPeers(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	a := &app{stdout: io.Discard, stderr: io.Discard, storeURL: "chdb:" + t.TempDir(), logger: slog.New(slog.DiscardHandler)}
	if got := a.recentPeers(t.Context(), "ipfs"); got != nil {
		t.Errorf("without a record: %v", got)
	}
	record, err := a.openRecord(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	start := time.Now().Add(-time.Hour)
	for i, crawl := range []struct {
		scope, id string
		state     observation.State
	}{{observation.ScopeGlobal, "old", observation.Complete}, {observation.ScopeGlobal, "new", observation.Complete},
		{observation.ScopeLocal, "ours", observation.Complete}, {observation.ScopeGlobal, "cut", observation.CutShort}} {
		at := start.Add(time.Duration(i) * time.Minute)
		c := observation.Crawl{ID: observation.NewCrawlID(at), Network: "ipfs", Scope: crawl.scope, StartedAt: at, State: observation.Running, Settings: "{}"}
		visit := observation.Visit{
			Network: "ipfs", CrawlID: c.ID, VisitedAt: at, PeerID: crawl.id, Address: netip.MustParseAddrPort("1.2.3.4:4001"),
			Addresses: []string{"/ip4/10.0.0.1/tcp/4001", "/ip4/10.0.0.2/tcp/4001", "/ip4/10.0.0.3/tcp/4001", "/ip4/10.0.0.4/tcp/4001", "/ip4/1.2.3.4/tcp/4001", "/ip4/1.2.3.4/udp/4001/quic-v1/p2p/" + crawl.id}, Outcome: observation.Answered,
		}
		silent := visit
		silent.Number, silent.PeerID, silent.Outcome = 1, "silent", observation.Timeout
		if err := record.BeginCrawl(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := record.Visits(t.Context(), []observation.Visit{visit, silent}); err != nil {
			t.Fatal(err)
		}
		c.State, c.EndedAt = crawl.state, at.Add(time.Second)
		if err := record.EndCrawl(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"/ip4/10.0.0.1/tcp/4001/p2p/new", "/ip4/10.0.0.2/tcp/4001/p2p/new", "/ip4/10.0.0.3/tcp/4001/p2p/new", "/ip4/10.0.0.4/tcp/4001/p2p/new", "/ip4/1.2.3.4/tcp/4001/p2p/new", "/ip4/1.2.3.4/udp/4001/quic-v1/p2p/new"}
	if got := a.recentPeers(t.Context(), "ipfs"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
