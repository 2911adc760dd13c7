//go:build linux

package ipfs_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
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
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"

	"canopy/crawler"
	"canopy/crawler/ipfs"
	"canopy/crawler/observation"
	"canopy/crawler/testnet/foreign"
)

const clients = "testdata/clients"

// crawls is how often the swarm is crawled: each time must find all of it.
const crawls = 10

// TestForeignNodes crawls a swarm of js-libp2p nodes of two generations, of
// Kubo where it is built, and of go-libp2p hosts, among them one that left and
// one that came back as a mere client, while tables still name both.
func TestForeignNodes(t *testing.T) {
	if !foreign.Inside() {
		inNamespace(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 7*time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	cfg := foreign.DefaultIPFS()
	cfg.Scripts, cfg.Work, cfg.Log = clients, t.TempDir(), log
	cfg.Settle = 5 * time.Minute
	cfg.Kubo = os.Getenv("CANOPY_IPFS_BIN") // built by make kubo
	swarm, err := foreign.StartIPFS(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer swarm.Close()

	var hosts []goNode
	for i := range 26 { // tables that hold more than one reply names
		h := startGo(t, 101+i, newKey(t), dht.ModeServer)
		h.join(t, ctx, swarm.Bootstrap(), hosts)
		hosts = append(hosts, h)
	}
	gone, former, stay := hosts[0], hosts[1], hosts[2:]
	awaitTables(t, ctx, stay, gone, former)
	err = swarm.Await(ctx, func([]foreign.IPFSNode) bool { return len(reach(swarm, stay)) == servers(swarm)+len(hosts) })
	if err != nil {
		t.Fatal(err)
	}
	gone.close()
	former.close()
	client := startGo(t, 102, former.key, dht.ModeClient)

	whole := 0
	for n := range crawls {
		before := tables(swarm, stay)
		seen := crawlForeign(t, ctx, swarm.Bootstrap(), log)
		if seen.degraded { // it said so: this machine is too busy to tell who is there
			continue
		}
		whole++
		seen.checkTables(t, before, tables(swarm, stay))
		seen.checkNodes(t, swarm, stay)
		if _, named := seen.visits[gone.ID().String()]; n == 0 || named {
			seen.want(t, "host that left", gone.ID(), observation.Refused)
		}
		if _, named := seen.visits[client.ID().String()]; n == 0 || named {
			seen.want(t, "host that is a client now", client.ID(), observation.WrongProtocol)
		}
		if exist := len(swarm.Nodes()) + len(hosts); len(seen.visits) > exist {
			t.Errorf("%d peers visited, only %d exist", len(seen.visits), exist)
		}
	}
	if whole == 0 {
		t.Skipf("not one of %d crawls could keep up: this machine is too busy", crawls)
	}
}

// checkNodes asserts that all servers were found, and no client taken for one.
func (r *record) checkNodes(t *testing.T, swarm *foreign.IPFS, hosts []goNode) {
	t.Helper()
	for _, n := range swarm.Nodes() {
		if v := r.visits[n.ID]; !n.Server && v.Outcome == observation.Answered {
			t.Errorf("%s answered, but is a client", n.ID)
		} else if n.Server {
			checkForeign(t, v, n)
		}
	}
	for _, h := range hosts {
		checkForeign(t, r.visits[h.ID().String()], foreign.IPFSNode{ID: h.ID().String(), Agent: goAgent})
	}
}

func (r *record) want(t *testing.T, what string, id peer.ID, want observation.Outcome) {
	t.Helper()
	if v := r.visits[id.String()]; v.Outcome != want {
		t.Errorf("%s: outcome %q (%s), want %q", what, v.Outcome, v.Detail, want)
	}
}

// checkForeign asserts that a server was found, answered, and is known as it is.
func checkForeign(t *testing.T, v observation.Visit, n foreign.IPFSNode) {
	t.Helper()
	if v.Outcome != observation.Answered || v.Partial {
		t.Errorf("%s (%s): outcome %q (%s), partial %t", n.ID, n.Agent, v.Outcome, v.Detail, v.Partial)
		return
	}
	if v.Agent != n.Agent {
		t.Errorf("%s: agent %q, want %q", n.ID, v.Agent, n.Agent)
	}
	if !slices.Contains(v.Protocols, ipfs.DefaultProtocol) {
		t.Errorf("%s (%s): protocols %q lack the DHT", n.ID, n.Agent, v.Protocols)
	}
	for _, a := range n.Addresses {
		bare, _, _ := strings.Cut(a, "/p2p/")
		if !slices.ContainsFunc(v.Addresses, func(got string) bool { return strings.HasPrefix(got, bare) }) {
			t.Errorf("%s (%s): addresses %q lack %s", n.ID, n.Agent, v.Addresses, bare)
		}
	}
}

// tables is who has whom in its routing table, by the nodes' own account. An
// entry whose addresses were forgotten is left out, for it is told to nobody.
func tables(swarm *foreign.IPFS, hosts []goNode) map[string][]string {
	all := map[string][]string{}
	for _, n := range swarm.Nodes() {
		if n.Server {
			all[n.ID] = n.Table
		}
	}
	for _, h := range hosts {
		for _, p := range h.dht.RoutingTable().ListPeers() {
			if len(h.Peerstore().Addrs(p)) > 0 {
				all[h.ID().String()] = append(all[h.ID().String()], p.String())
			}
		}
	}
	return all
}

func servers(swarm *foreign.IPFS) int {
	return len(slices.DeleteFunc(swarm.Nodes(), func(n foreign.IPFSNode) bool { return !n.Server }))
}

// reach is every peer that can be found from the bootstrap over tables.
func reach(swarm *foreign.IPFS, hosts []goNode) map[string]bool {
	all := tables(swarm, hosts)
	_, first, _ := strings.Cut(swarm.Bootstrap(), "/p2p/")
	reached := map[string]bool{first: true}
	for next := []string{first}; len(next) > 0; next = next[1:] {
		for _, p := range all[next[0]] {
			if !reached[p] {
				reached[p] = true
				next = append(next, p)
			}
		}
	}
	return reached
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

// startGo runs a host at 45.number.0.1 that never looks after its table, which
// therefore keeps those who leave.
func startGo(t *testing.T, number int, key crypto.PrivKey, mode dht.ModeOpt) goNode {
	t.Helper()
	address := netip.AddrFrom4([4]byte{45, byte(number), 0, 1}) // tables admit few nodes per /16
	// Whoever dials from a common address is soon turned away.
	own := func(ma.Multiaddr) (tcp.ContextDialer, error) {
		return &net.Dialer{LocalAddr: &net.TCPAddr{IP: address.AsSlice()}}, nil
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.UserAgent(goAgent),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/4001", address)),
		libp2p.Transport(tcp.NewTCPTransport, tcp.WithDialerForAddr(own)))
	if err != nil {
		t.Fatal(err)
	}
	kad, err := dht.New(h, dht.Mode(mode), dht.DisableAutoRefresh())
	if err != nil {
		t.Fatal(err)
	}
	n := goNode{h, kad, key}
	t.Cleanup(n.close)
	return n
}

// join connects to the bootstrap and to other hosts, who enter each other in
// their tables when identify is done.
func (n goNode) join(t *testing.T, ctx context.Context, bootstrap string, others []goNode) {
	t.Helper()
	entry, err := peer.AddrInfoFromString(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	all := []peer.AddrInfo{*entry}
	for _, o := range others {
		all = append(all, *host.InfoFromHost(o))
	}
	for _, other := range all {
		if err := n.Connect(ctx, other); err != nil {
			t.Fatal(err)
		}
	}
}

func (n goNode) close() {
	_ = n.dht.Close()
	_ = n.Close()
}

// awaitTables returns when several hosts have each of certain peers in their
// tables. All of them is too much to ask: a bucket may be full.
func awaitTables(t *testing.T, ctx context.Context, hosts []goNode, certain ...goNode) {
	t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for _, c := range certain {
		forgets := func(h goNode) bool { return h.dht.RoutingTable().Find(c.ID()) == "" }
		for len(slices.DeleteFunc(slices.Clone(hosts), forgets)) < len(hosts)/2 {
			select {
			case <-poll.C:
			case <-ctx.Done():
				t.Fatalf("%s is in few tables: %v", c.ID(), context.Cause(ctx))
			}
		}
	}
}

// crawlForeign walks from one bootstrap.
func crawlForeign(t *testing.T, ctx context.Context, bootstrap string, log *slog.Logger) *record {
	t.Helper()
	walker, err := ipfs.New(ipfs.Config{Bootstrap: []string{bootstrap}, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	seen := &record{visits: map[string]observation.Visit{}, peers: map[uint32]string{}, edges: map[uint32][]uint32{}}
	began := time.Now()
	crawl, err := crawler.Run(ctx, walker, seen, crawler.Options{Edges: true, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d peers answered %d queries in %v", crawl.Reachable, crawl.Discovered, crawl.Queries, time.Since(began))
	if seen.degraded = crawl.State == observation.Degraded; seen.degraded {
		t.Logf("crawl is degraded: %q", crawl.Notes)
	} else if crawl.State != observation.Complete {
		t.Errorf("crawl is %s: %q", crawl.State, crawl.Notes)
	}
	return seen
}

// record keeps a crawl.
type record struct {
	visits map[string]observation.Visit // by peer ID
	peers  map[uint32]string            // peer ID by number
	edges  map[uint32][]uint32

	degraded bool
}

func (r *record) BeginCrawl(context.Context, observation.Crawl) error { return nil }
func (r *record) EndCrawl(context.Context, observation.Crawl) error   { return nil }

func (r *record) Visits(_ context.Context, visits []observation.Visit) error {
	for _, v := range visits {
		r.visits[v.PeerID], r.peers[v.Number] = v, v.PeerID
	}
	return nil
}

func (r *record) Edges(_ context.Context, edges []observation.Edge) error {
	for _, e := range edges {
		r.edges[e.Peer] = e.Neighbours
	}
	return nil
}

// checkTables asserts that the crawl has every entry of every table that was
// there before and after it.
func (r *record) checkTables(t *testing.T, before, after map[string][]string) {
	t.Helper()
	entries := 0
	for id, table := range before {
		named := map[string]bool{}
		for _, number := range r.edges[r.visits[id].Number] {
			named[r.peers[number]] = true
		}
		for _, other := range table {
			if !slices.Contains(after[id], other) {
				continue
			}
			entries++
			if !named[other] {
				t.Errorf("%s (%s) has %s (%s) in its table, which the crawl missed", id, r.visits[id].Agent, other, r.visits[other].Agent)
			}
		}
	}
	t.Logf("%d table entries of %d servers compared", entries, len(before))
}

// inNamespace runs the calling test again in a network namespace.
func inNamespace(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a swarm takes a minute to settle")
	}
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
