//go:build linux

package mainline_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"canopy/crawler"
	"canopy/crawler/mainline"
	"canopy/crawler/observation"
	"canopy/crawler/testnet/foreign"
)

const foreignClients = "testdata/clients"

// agents is how we name a client, version aside.
var agents = map[string]string{
	"libtorrent":     "libtorrent 2.",
	"Transmission":   "Transmission ",
	"aria2":          "aria2 ",
	"rTorrent":       "rTorrent ",
	"bittorrent-dht": "",
}

// TestForeignClients crawls a swarm of other people's clients from one
// bootstrap: everyone is found, answers and has the right name.
func TestForeignClients(t *testing.T) {
	if !foreign.Inside() {
		if testing.Short() {
			t.Skip("a swarm takes a minute to settle")
		}
		t.Parallel() // most of it is waiting
		inNamespace(t, foreign.CheckMainline(t.Context(), foreignClients))
		return
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	cfg := foreign.DefaultMainline()
	cfg.Scripts, cfg.Work, cfg.Log = foreignClients, t.TempDir(), log
	swarm, err := foreign.StartMainline(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer swarm.Close()

	seen := crawlForeign(t, swarm.Bootstrap(), log)
	planned := map[netip.AddrPort]bool{}
	for _, n := range swarm.Nodes() {
		for _, at := range []netip.AddrPort{n.Address, n.Address6} {
			if at.IsValid() {
				planned[at] = true
				checkForeign(t, n, at, seen)
			}
		}
	}
	for at, v := range seen.answered {
		if !planned[at] {
			t.Errorf("%s answered and isn't planned: %+v", at, v)
		}
	}
	for _, v := range seen.failed {
		// Clients change their ID when they learn their address (BEP 42).
		if planned[v.Address] && v.Outcome != observation.WrongIdentity {
			t.Errorf("%s as %s: outcome %q (%s)", v.Address, v.PeerID, v.Outcome, v.Detail)
		}
	}
}

// checkForeign asserts that the crawl knows one endpoint of a node as it is.
func checkForeign(t *testing.T, n foreign.MainlineNode, at netip.AddrPort, seen *memory) {
	t.Helper()
	v, ok := seen.answered[at]
	if !ok {
		t.Errorf("%s at %s was not found", n.Client, at)
		return
	}
	if n.Version == "" && v.Agent != "" || n.Version != "" && !strings.HasPrefix(v.Agent, agents[n.Client]) {
		t.Errorf("%s at %s with version %q is called %q", n.Client, at, n.Version, v.Agent)
	}
	if v.RTT <= 0 {
		t.Errorf("%s at %s: round trip took %v", n.Client, at, v.RTT)
	}
	named := map[netip.AddrPort]bool{}
	for _, number := range seen.edges[v.Number] {
		named[seen.address[number]] = true
	}
	for _, other := range n.Names {
		if _, alive := seen.answered[other]; alive && other.Addr().Is4() == at.Addr().Is4() && other != at && !named[other] {
			t.Errorf("%s at %s names %s, which the crawl missed", n.Client, at, other)
		}
	}
}

// crawlForeign walks from one bootstrap, tables included.
func crawlForeign(t *testing.T, bootstrap netip.AddrPort, log *slog.Logger) *memory {
	t.Helper()
	walker, err := mainline.New(mainline.Config{
		Bootstrap:  []string{bootstrap.String()},
		ReadTables: true,
		Allow:      func(a netip.AddrPort) bool { return a.Addr().IsGlobalUnicast() },
		Pacer:      crawler.NewPacer(crawler.DefaultPace()),
		Logger:     log,
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := &memory{
		answered: map[netip.AddrPort]observation.Visit{},
		address:  map[uint32]netip.AddrPort{},
		edges:    map[uint32][]uint32{},
	}
	began := time.Now()
	record, err := crawler.Run(t.Context(), walker, seen, crawler.Options{Edges: true, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d peers answered %d queries in %v", record.Reachable, record.Discovered, record.Queries, time.Since(began))
	if record.State != observation.Complete {
		t.Errorf("crawl is %s: %q", record.State, record.Notes)
	}
	return seen
}

// memory keeps a crawl.
type memory struct {
	answered map[netip.AddrPort]observation.Visit
	failed   []observation.Visit
	address  map[uint32]netip.AddrPort // by a peer's number
	edges    map[uint32][]uint32
}

func (m *memory) BeginCrawl(context.Context, observation.Crawl) error { return nil }
func (m *memory) EndCrawl(context.Context, observation.Crawl) error   { return nil }

func (m *memory) Visits(_ context.Context, visits []observation.Visit) error {
	for _, v := range visits {
		m.address[v.Number] = v.Address
		if v.Outcome == observation.Answered {
			m.answered[v.Address] = v
		} else {
			m.failed = append(m.failed, v)
		}
	}
	return nil
}

func (m *memory) Edges(_ context.Context, edges []observation.Edge) error {
	for _, e := range edges {
		m.edges[e.Peer] = e.Neighbours
	}
	return nil
}

// inNamespace runs the calling test again in a network namespace, unless what
// it needs is missing.
func inNamespace(t *testing.T, missing error) {
	t.Helper()
	err := errors.Join(foreign.CheckNamespace(t.Context()), missing)
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
	cmd := foreign.Command(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}
