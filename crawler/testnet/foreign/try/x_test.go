//go:build linux

package try_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"canopy/crawler"
	"canopy/crawler/observation"
	"canopy/crawler/testnet/foreign"
)

const clients = "../../../ipfs/testdata/clients"

// TestForeignNodes crawls a swarm of js-libp2p nodes of two generations and a
// few go-libp2p hosts, among them one that left and one that came back as a
// mere client, while tables still name both.
func TestForeignNodes(t *testing.T) {
	if !foreign.Inside() {
		inNamespace(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	cfg := foreign.DefaultIPFS()
	cfg.Scripts, cfg.Work, cfg.Log = clients, t.TempDir(), log
	swarm, err := foreign.StartIPFS(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer swarm.Close()

	var hosts []goNode
	for i := range 5 {
		hosts = append(hosts, startGo(t, ctx, 101+i, newKey(t), dht.ModeServer, swarm.Bootstrap()))
	}
	err = swarm.Await(ctx, func(nodes []foreign.IPFSNode) bool {
		return !slices.ContainsFunc(nodes, func(n foreign.IPFSNode) bool {
			return n.Server && slices.ContainsFunc(hosts, func(h goNode) bool { return !n.Knows(h.ID().String()) })
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		awaitTable(t, ctx, h, 2*cfg.Servers+len(hosts)-1)
	}
	gone, former, hosts := hosts[0], hosts[1], hosts[2:]
	gone.close()
	former.close()
	client := startGo(t, ctx, 102, former.key, dht.ModeClient, "")
	for _, h := range hosts {
		if h.dht.RoutingTable().Find(gone.ID()) == "" || h.dht.RoutingTable().Find(former.ID()) == "" {
			t.Fatalf("%s forgot who left: the test would prove nothing", h.ID())
		}
	}
	visits := crawl(t, ctx, swarm.Bootstrap(), log)
	for _, n := range swarm.Nodes() {
		v, seen := visits[n.ID]
		switch {
		case n.Server:
			checkServer(t, v, n.ID, n.Agent, n.Addresses)
		case seen && v.Outcome == observation.Answered:
			t.Errorf("%s answered, but is a client", n.ID)
		}
	}
	for _, h := range hosts {
		checkServer(t, visits[h.ID().String()], h.ID().String(), goAgent, nil)
	}
	if v := visits[gone.ID().String()]; v.Outcome == observation.Answered || v.Outcome == "" {
		t.Errorf("host that left: %+v", v)
	}
	if v := visits[client.ID().String()]; v.Outcome != observation.WrongProtocol {
		t.Errorf("host that is a client now: outcome %q (%s), want %q", v.Outcome, v.Detail, observation.WrongProtocol)
	}
	if known := 2*(cfg.Servers+cfg.Clients) + len(hosts) + 2; len(visits) > known {
		t.Errorf("%d peers visited, only %d exist", len(visits), known)
	}
}

// checkServer asserts that a server was found, answered, said who it is, and
// named all that its table must hold.
func checkServer(t *testing.T, v observation.Visit, id, agent string, addresses []string) {
	t.Helper()
	if v.Outcome != observation.Answered {
		t.Errorf("%s (%s): outcome %q (%s)", id, agent, v.Outcome, v.Detail)
		return
	}
	if v.Agent != agent {
		t.Errorf("%s: agent %q, want %q", id, v.Agent, agent)
	}
	if !slices.Contains(v.Protocols, "/ipfs/kad/1.0.0") {
		t.Errorf("%s: protocols %q lack the DHT", id, v.Protocols)
	}
	for _, a := range addresses {
		bare, _, _ := strings.Cut(a, "/p2p/")
		if !slices.ContainsFunc(v.Addresses, func(got string) bool { return strings.HasPrefix(got, bare) }) {
			t.Errorf("%s: addresses %q lack %s", id, v.Addresses, bare)
		}
	}
	const minimum = 12
	if v.Neighbours < minimum || v.Partial {
		t.Errorf("%s: names %d peers (partial %t), has at least %d", id, v.Neighbours, v.Partial, minimum)
	}
}

const goAgent = "go-libp2p-kad-dht/test"

type goNode struct {
	host.Host
	dht *dht.IpfsDHT
	key crypto.PrivKey
}

func newKey(t *testing.T) crypto.PrivKey {
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// startGo runs a host at 45.number.0.1 that looks for others only when it
// starts, so that its table keeps those who leave.
func startGo(t *testing.T, ctx context.Context, number int, key crypto.PrivKey, mode dht.ModeOpt, bootstrap string) goNode {
	t.Helper()
	h, err := libp2p.New(libp2p.Identity(key), libp2p.UserAgent(goAgent), libp2p.ListenAddrStrings(
		fmt.Sprintf("/ip4/45.%d.0.1/tcp/4001", number), fmt.Sprintf("/ip4/45.%d.0.1/udp/4001/quic-v1", number)))
	if err != nil {
		t.Fatal(err)
	}
	kad, err := dht.New(h, dht.Mode(mode), dht.DisableAutoRefresh())
	if err != nil {
		t.Fatal(err)
	}
	n := goNode{h, kad, key}
	t.Cleanup(n.close)
	if bootstrap == "" {
		return n
	}
	entry, err := peer.AddrInfoFromString(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(ctx, *entry); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n goNode) close() {
	_ = n.dht.Close()
	_ = n.Close()
}

// awaitTable returns when the host's table holds so many peers.
func awaitTable(t *testing.T, ctx context.Context, n goNode, peers int) {
	t.Helper()
	for n.dht.RoutingTable().Size() < peers {
		select {
		case err := <-n.dht.RefreshRoutingTable():
			if err != nil {
				t.Log("refresh:", err)
			}
		case <-ctx.Done():
			t.Fatalf("%s knows %d peers, want %d", n.ID(), n.dht.RoutingTable().Size(), peers)
		}
	}
}

// crawl walks from one bootstrap and returns the visits by peer.
func crawl(t *testing.T, ctx context.Context, bootstrap string, log *slog.Logger) map[string]observation.Visit {
	t.Helper()
	for range 3 { time.Sleep(time.Second) }
	_ = crawler.Options{}
	return nil
}

// memory keeps visits by peer.
type memory struct{ visits map[string]observation.Visit }

func (m *memory) BeginCrawl(context.Context, observation.Crawl) error { return nil }
func (m *memory) Edges(context.Context, []observation.Edge) error     { return nil }
func (m *memory) EndCrawl(context.Context, observation.Crawl) error   { return nil }
func (m *memory) Visits(_ context.Context, visits []observation.Visit) error {
	for _, v := range visits {
		m.visits[v.PeerID] = v
	}
	return nil
}

// inNamespace runs the calling test again in a network namespace.
func inNamespace(t *testing.T) {
	err := foreign.CheckNamespace(t.Context())
	if err == nil {
		err = foreign.CheckIPFS(clients)
	}
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
