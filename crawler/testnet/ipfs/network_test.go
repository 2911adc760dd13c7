//go:build linux

package ipfs_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio/pbio"
	ma "github.com/multiformats/go-multiaddr"

	"canopy/crawler/testnet"
	"canopy/crawler/testnet/ipfs"
)

// patience is longer than any delay of a busy machine, silence is how long a
// node that should be silent is listened to.
const (
	patience = 30 * time.Second
	silence  = 200 * time.Millisecond
)

func start(t *testing.T, size testnet.Size) *ipfs.Network {
	t.Helper()
	if size.Horizon == 0 {
		size.Horizon = 24 * time.Hour
	}
	plan, err := testnet.New(ipfs.Population(), size, 5)
	if err != nil {
		t.Fatal(err)
	}
	n, err := ipfs.Start(t.Context(), plan, ipfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func client(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// server is a client that serves the DHT too, so that others would like to have
// it in their tables.
func server(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	d, err := dht.New(h, dht.Mode(dht.ModeServer), dht.DisableAutoRefresh())
	if err != nil {
		t.Fatal(errors.Join(err, h.Close()))
	}
	t.Cleanup(func() { _ = errors.Join(d.Close(), h.Close()) })
	return h
}

// connect dials one transport of a node and waits until identify is done.
func connect(ctx context.Context, h host.Host, n testnet.Node, transport string) error {
	raw := "/ip4/" + n.Address.Addr().String() + "/tcp/" + port(n)
	if transport == "quic" {
		raw = "/ip4/" + n.Address.Addr().String() + "/udp/" + port(n) + "/quic-v1"
	}
	addr, err := ma.NewMultiaddr(raw)
	if err != nil {
		return err
	}
	id, err := peer.Decode(n.ID)
	if err != nil {
		return err
	}
	return h.Connect(ctx, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{addr}})
}

func port(n testnet.Node) string {
	_, p, _ := net.SplitHostPort(n.Address.String())
	return p
}

// findNode asks for the peers closest to key over a stream of its own.
func findNode(ctx context.Context, h host.Host, to peer.ID, key []byte) ([]string, error) {
	s, err := h.NewStream(ctx, to, dht.ProtocolDHT)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	_ = s.SetDeadline(time.Now().Add(patience))
	if err := pbio.NewDelimitedWriter(s).WriteMsg(pb.NewMessage(pb.Message_FIND_NODE, key, 0)); err != nil {
		return nil, err
	}
	var reply pb.Message
	if err := pbio.NewDelimitedReader(s, network.MessageSizeMax).ReadMsg(&reply); err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range reply.GetCloserPeers() {
		if len(p.Addrs) != 2 {
			return nil, errors.New("a peer is named without its two addresses")
		}
		ids = append(ids, peer.ID(p.Id).String())
	}
	return ids, nil
}

func TestHostsLiveAsPlanned(t *testing.T) {
	n := start(t, testnet.Size{Nodes: 24, Dead: 0.2})
	for _, at := range []time.Duration{0, 6 * time.Hour, 15 * time.Hour} {
		if err := n.Advance(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		// A host of its own for each transport: one that was just connected to a
		// peer forgets that peer's addresses when it comes to it, new ones too.
		for _, transport := range []string{"tcp", "quic"} {
			h := client(t)
			for _, node := range n.Plan().Nodes {
				if node.UpAt(at) {
					checkUp(t, h, node, transport)
				} else if transport == "tcp" {
					checkDown(t, h, node)
				}
			}
		}
	}
}

func checkUp(t *testing.T, h host.Host, node testnet.Node, transport string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := connect(ctx, h, node, transport); err != nil {
		t.Fatalf("node %d is not reached by %s: %v", node.Number, transport, err)
	}
	id, _ := peer.Decode(node.ID)
	if agent, _ := h.Peerstore().Get(id, "AgentVersion"); agent != node.Agent.Read {
		t.Errorf("node %d is called %q, want %q", node.Number, agent, node.Agent.Read)
	}
	if err := h.Network().ClosePeer(id); err != nil {
		t.Fatal(err)
	}
	h.Peerstore().ClearAddrs(id)
}

func checkDown(t *testing.T, h host.Host, node testnet.Node) {
	t.Helper()
	conn, err := net.DialTimeout("tcp4", node.Address.String(), silence)
	if err == nil {
		conn.Close()
		t.Fatalf("node %d of life %d listens", node.Number, node.Life)
	}
	var timeout net.Error
	refused, silent := errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &timeout) && timeout.Timeout()
	if node.Life == testnet.Silent && !silent || node.Life != testnet.Silent && !refused {
		t.Errorf("node %d of life %d: %v", node.Number, node.Life, err)
	}
}

func TestAdvanceGoesOnAfterAnInterruption(t *testing.T) {
	n := start(t, testnet.Size{Nodes: 24})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	const at = 9 * time.Hour
	if err := n.Advance(ctx, at); !errors.Is(err, context.Canceled) {
		t.Fatalf("advance with an ended context: %v", err)
	}
	if err := n.Advance(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	h := client(t)
	for _, node := range n.Plan().AliveAt(at) {
		checkUp(t, h, node, "tcp")
	}
}

func TestTablesArePlannedOnes(t *testing.T) {
	n := start(t, testnet.Size{Nodes: 60, Dead: 0.25})
	for _, at := range []time.Duration{0, 12 * time.Hour} {
		if err := n.Advance(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		view := n.Plan().At(at)
		// Who asks must not find its way into a table. It is never named to
		// itself, so another one looks again.
		for _, h := range []host.Host{server(t), client(t)} {
			for _, number := range view.Alive() {
				checkTable(t, h, n.Plan(), view, int(number))
			}
		}
	}
}

// checkTable asks for each entry of the planned table and compares all that is
// named: no entry may be missing, no other may be there.
func checkTable(t *testing.T, h host.Host, plan *testnet.Plan, view *testnet.View, number int) {
	t.Helper()
	node := plan.Nodes[number]
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := connect(ctx, h, node, "tcp"); err != nil {
		t.Fatal(err)
	}
	id, _ := peer.Decode(node.ID)
	named := map[string]bool{}
	var want []string
	for _, entry := range view.Table(number) {
		want = append(want, plan.Nodes[entry].ID)
		target, _ := peer.Decode(plan.Nodes[entry].ID)
		ids, err := findNode(ctx, h, id, []byte(target))
		if err != nil {
			t.Fatalf("ask node %d: %v", number, err)
		}
		if len(ids) == 0 || ids[0] != target.String() {
			t.Fatalf("node %d does not name %s first", number, target)
		}
		for _, other := range ids {
			named[other] = true
		}
	}
	slices.Sort(want)
	if got := sortedKeys(named); !slices.Equal(got, want) {
		t.Fatalf("node %d names %d peers, planned are %d", number, len(got), len(want))
	}
}

func sortedKeys(set map[string]bool) []string {
	var keys []string
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestPlanUsesTheKeysOfKadDHT(t *testing.T) {
	plan, err := testnet.New(ipfs.Population(), testnet.Size{Nodes: 40, Horizon: time.Hour}, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range plan.Nodes {
		id, err := peer.Decode(n.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(n.Key[:], kbucket.ConvertPeerID(id)) {
			t.Fatalf("key of %s", n.ID)
		}
	}
}

func TestBootstrapAddressesAnswer(t *testing.T) {
	n := start(t, testnet.Size{Nodes: 20})
	for _, b := range n.Bootstrap() {
		info, err := peer.AddrInfoFromString(b)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := client(t).Connect(ctx, *info); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		cancel()
	}
}

func TestTwoNetworksRunAtOnce(t *testing.T) {
	a, b := start(t, testnet.Size{Nodes: 5}), start(t, testnet.Size{Nodes: 5})
	if a.Plan().Size.Port == b.Plan().Size.Port {
		t.Error("both run at the same port")
	}
	if _, err := ipfs.Start(t.Context(), a.Plan(), ipfs.Options{Port: a.Plan().Size.Port}); err == nil || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("start at a port that is taken: %v", err)
	}
}

// quietPort is where no other test would take a port that has become free.
const quietPort = 28000

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	n := start(t, testnet.Size{Nodes: 10, Dead: 0.2, Port: quietPort})
	for range 2 {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Advance(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "it is closed") {
		t.Errorf("a closed network advances: %v", err)
	}
	_, claim, err := n.Plan().ClaimPorts(t.Context(), n.Plan().Size.Port, "tcp4", "udp4")
	if err != nil {
		t.Fatalf("ports are still taken: %v", err)
	}
	if err := claim.Close(); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestStartStopsWithItsContext(t *testing.T) {
	plan, err := testnet.New(ipfs.Population(), testnet.Size{Nodes: 20, Horizon: time.Hour}, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ipfs.Start(ctx, plan, ipfs.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("start with an ended context: %v", err)
	}
}
