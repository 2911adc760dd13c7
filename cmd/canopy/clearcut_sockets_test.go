//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	p2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-msgio"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"canopy/analysis/clearcut"
	"canopy/analysis/operator"
	"canopy/crawler/address"
	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
	testipfs "canopy/crawler/testnet/ipfs"
)

// What is simulated on a recorded graph happens on the network: the same
// lookups, by another implementation of them and over real sockets, while the
// nodes that leave are really stopped.
func TestClearcutAgreesWithRealLookups(t *testing.T) {
	storetest.NeedEngine(t)
	const lookups = 300
	size := testnet.Size{Nodes: 150, Dead: 0.15, Horizon: time.Hour}
	plan, err := testnet.New(testipfs.Population(), size, 5)
	if err != nil {
		t.Fatal(err)
	}
	running, err := testipfs.Start(t.Context(), plan, testipfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Close() })
	graph, crawl := recordedGraph(t, ipfsNetwork, running)
	checkGraph(t, graph, crawl, running)

	// The largest organisations leave until a tenth is left, where lookups fail.
	removed := make([]bool, len(graph.Peers()))
	for step, target := range []float64{0.5, 0.15, 0.07} {
		stopped := removeLargest(graph, removed, target)
		if err := running.Stop(t.Context(), numbersOf(running.Plan(), stopped)...); err != nil {
			t.Fatal(err)
		}
		compareLookups(t, graph, removed, running, lookups, uint64(step))
	}
}

// removeLargest removes the largest organisations until a share of the peers is
// left, and returns the IDs of all that are removed.
func removeLargest(graph *clearcut.Graph, removed []bool, target float64) map[string]bool {
	gone := map[string]bool{}
	for i, p := range graph.Peers() {
		if removed[i] {
			gone[p.ID] = true
		}
	}
	for _, h := range graph.Holders(clearcut.ByOrganisation) {
		for i, p := range graph.Peers() {
			if p.Up && p.Organisation == h.Name && !removed[i] && float64(graph.Living()-len(gone)) > target*float64(graph.Living()) {
				removed[i], gone[p.ID] = true, true
			}
		}
	}
	return gone
}

// compareLookups runs the same lookups on the graph and on the network.
func compareLookups(t *testing.T, graph *clearcut.Graph, removed []bool, running *testipfs.Network, lookups int, seed uint64) {
	t.Helper()
	remains := graph.Without(removed)
	client := newLookupClient(t, running)
	rng := rand.New(rand.NewPCG(seed, 1))
	var agree agreement
	for range lookups {
		target := append([]byte{0x12, 0x20}, make([]byte, 32)...) // a peer ID: FIND_NODE asks for those
		for i := range target[2:] {
			target[2+i] = byte(rng.Uint32())
		}
		origin := remains.Survivors()[rng.IntN(len(remains.Survivors()))]
		trace := remains.Lookup(origin, sha256.Sum256(target))
		found := client.lookup(graph.Peers()[origin].ID, target)
		truth := closestLiving(graph, remains.Survivors(), origin, sha256.Sum256(target))
		agree.add(trace.Found, len(found) > 0 && found[0] == truth)
	}
	agree.check(t, graph, len(remains.Survivors()))
}

// plannedNetwork is a local network that can be walked.
type plannedNetwork interface {
	Bootstrap() []string
	Plan() *testnet.Plan
}

// recordedGraph walks a network as canopy crawl does, and reads the graph back
// from the record.
func recordedGraph(t *testing.T, of network, running plannedNetwork) (*clearcut.Graph, clearcut.Crawl) {
	t.Helper()
	var out bytes.Buffer
	a := &app{stdout: io.Discard, stderr: &out, storeURL: "chdb:" + t.TempDir(), logger: slog.New(slog.DiscardHandler)}
	a.progress = newProgress(io.Discard, true)
	record, err := a.openRecord(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Close() })
	data := t.TempDir()
	facts, err := address.Open(data, address.Options{})
	if err == nil {
		err = writeTable(data+"/synthetic.csv", running.Plan())
	}
	if err == nil {
		facts, err = address.Open(data, address.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	run, err := a.prepareCrawl(of, crawlOptions{bootstrap: running.Bootstrap(), local: true, edges: true, paceOptions: paceOptions{rate: 50_000}})
	if err != nil {
		t.Fatal(err)
	}
	crawl, err := run(t.Context(), record, facts)
	if err != nil {
		t.Fatal(err)
	}
	found, err := clearcut.Find(t.Context(), record.DB(), of.name, crawl.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	graph, err := clearcut.Load(t.Context(), record.DB(), operator.Default(), &found)
	if err != nil {
		t.Fatal(err)
	}
	return graph, found
}

// checkGraph holds what was read back against the plan: who is up, keys, land
// and tables.
func checkGraph(t *testing.T, graph *clearcut.Graph, crawl clearcut.Crawl, running plannedNetwork) {
	t.Helper()
	plan := running.Plan()
	view := plan.At(0)
	peers := map[string]clearcut.Peer{}
	for _, p := range graph.Peers() {
		peers[p.ID] = p
	}
	edges := 0
	for _, n := range plan.AliveAt(0) {
		p := peers[n.ID]
		if !p.Up || p.Key != clearcut.Key(n.Key) || p.Organisation != n.Persona.Land.Organisation || p.Hosting != string(n.Persona.Land.Hosting) {
			t.Errorf("node %d was read back as %+v, planned key %x, %+v", n.Number, p, n.Key, n.Persona.Land)
		}
		edges += len(view.Table(n.Number))
	}
	if graph.Living() != len(view.Alive()) || graph.Edges() != edges || crawl.Tables != len(view.Alive()) || crawl.Partial+crawl.Skipped > 0 {
		t.Errorf("graph of %d living peers and %d edges, planned %d and %d; %+v", graph.Living(), graph.Edges(), len(view.Alive()), edges, crawl)
	}
	cut, err := graph.Cut(t.Context(), make([]bool, len(graph.Peers())), clearcut.Options{Lookups: 10})
	if err != nil || cut.EntryPoints == nil || cut.EntryPoints.Known != len(plan.Bootstraps) || cut.EntryPoints.Left != len(plan.Bootstraps) {
		t.Errorf("entry points %+v, planned %d; %v", cut.EntryPoints, len(plan.Bootstraps), err)
	}
}

func numbersOf(plan *testnet.Plan, ids map[string]bool) (numbers []int) {
	for _, n := range plan.Nodes {
		if ids[n.ID] {
			numbers = append(numbers, n.Number)
		}
	}
	return numbers
}

// nearer compares two keys by their distance to a third.
func nearer(key [32]byte) func(a, b [32]byte) int {
	return func(a, b [32]byte) int {
		for i := range key {
			a[i], b[i] = a[i]^key[i], b[i]^key[i]
		}
		return bytes.Compare(a[:], b[:])
	}
}

func closestLiving(graph *clearcut.Graph, survivors []uint32, origin uint32, key [32]byte) peer.ID {
	best := ""
	for _, s := range survivors {
		if s != origin && (best == "" || nearer(key)(graph.Peers()[s].Key, sha256.Sum256([]byte(mustDecode(best)))) < 0) {
			best = graph.Peers()[s].ID
		}
	}
	return mustDecode(best)
}

func mustDecode(id string) peer.ID {
	p, err := peer.Decode(id)
	if err != nil {
		panic(err)
	}
	return p
}

// lookupClient asks nodes of the DHT over TCP with kad-dht's own messages.
type lookupClient struct {
	t       *testing.T
	host    host.Host
	streams map[peer.ID]p2pnetwork.Stream
}

const kadProtocol = "/ipfs/kad/1.0.0"

// newLookupClient opens a stream to every node that answers.
func newLookupClient(t *testing.T, running *testipfs.Network) *lookupClient {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport), libp2p.ResourceManager(&p2pnetwork.NullResourceManager{}), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	c := &lookupClient{t: t, host: h, streams: map[peer.ID]p2pnetwork.Stream{}}
	var mu sync.Mutex
	var wait sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, n := range running.Plan().Nodes {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			id := mustDecode(n.ID)
			h.Peerstore().AddAddr(id, ma.StringCast(fmt.Sprintf("/ip4/%s/tcp/%d", n.Address.Addr(), n.Address.Port())), peerstore.PermanentAddrTTL)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if n.Life == testnet.Silent { // it will never answer: no need to be patient
				ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
			}
			defer cancel()
			if s, err := h.NewStream(ctx, id, kadProtocol); err == nil {
				mu.Lock()
				defer mu.Unlock()
				c.streams[id] = s
			}
		})
	}
	wait.Wait()
	return c
}

// ask asks a node for who is closest to a target. It returns false if the node
// does not answer.
func (c *lookupClient) ask(id peer.ID, target []byte) ([]peer.ID, bool) {
	s, ok := c.streams[id]
	if !ok {
		return nil, false
	}
	_ = s.SetDeadline(time.Now().Add(10 * time.Second))
	raw, err := proto.Marshal(pb.NewMessage(pb.Message_FIND_NODE, target, 0))
	if err == nil {
		err = msgio.NewVarintWriter(s).WriteMsg(raw)
	}
	if err != nil {
		return nil, false
	}
	raw, err = msgio.NewVarintReaderSize(s, p2pnetwork.MessageSizeMax).ReadMsg()
	if err != nil {
		return nil, false
	}
	var reply pb.Message
	if err := proto.Unmarshal(raw, &reply); err != nil {
		c.t.Fatalf("reply of %s: %v", id, err)
	}
	var ids []peer.ID
	for _, p := range pb.PBPeersToPeerInfos(reply.GetCloserPeers()) {
		ids = append(ids, p.ID)
	}
	return ids, true
}

// lookup returns the closest that a lookup finds, the closest first.
func (c *lookupClient) lookup(origin string, target []byte) []peer.ID {
	const k, alpha = 20, 10
	nearest := nearer(sha256.Sum256(target))
	closer := func(a, b peer.ID) int { return nearest(sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))) }
	return lookUp(c.t, mustDecode(origin), k, alpha, closer, func(id peer.ID) ([]peer.ID, bool) { return c.ask(id, target) })
}
