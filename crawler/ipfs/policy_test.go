package ipfs

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"canopy/crawler"
	"canopy/crawler/observation"
)

// TestDeadEntriesAndFormerServers crawls tables of which a third is dead, again
// and again: the living are all found, and every outcome stays the same.
func TestDeadEntriesAndFormerServers(t *testing.T) {
	nodes := newNodes(t, 24)
	var dead []peer.AddrInfo
	want := make(map[Peer]observation.Outcome)
	for i := range 4 {
		gone := at(t, stranger(t), refusing(100+i), refusingQUIC(100+i))
		silent := at(t, stranger(t), silentTCP(t, 110+i), silentUDP(t, 110+i))
		former := newNode(t, 120+i, dht.Mode(dht.ModeClient)).info
		dead = append(dead, gone, silent, former)
		want[gone.ID], want[silent.ID], want[former.ID] = observation.Refused, observation.Timeout, observation.WrongProtocol
	}
	for _, n := range nodes {
		n.knows(t, dead...)
		n.knows(t, infos(nodes)...)
		want[n.info.ID] = observation.Answered
	}
	for range 2 {
		w := newWalker(t, Config{Bootstrap: []string{nodes[0].seed()}, RequestTimeout: 6 * time.Second})
		k := new(kept)
		if _, err := crawler.Run(t.Context(), w, k, crawler.Options{Edges: true}); err != nil {
			t.Fatal(err)
		}
		if k.crawl.State != observation.Complete {
			t.Logf("%s: %q", k.crawl.State, k.crawl.Notes)
			continue
		}
		found := k.results(t)
		got := make(map[Peer]observation.Outcome)
		for p, r := range found {
			got[p] = r.Visit.Outcome
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		for _, n := range nodes {
			if diff := cmp.Diff(n.table(), sorted(found[n.info.ID].Neighbours)); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		}
	}
}

// TestAddressesLearntLate visits a peer of which a dead address was known, then
// learns where it lives.
func TestAddressesLearntLate(t *testing.T) {
	n := newNode(t, 0)
	w := newWalker(t, Config{Bootstrap: []string{refusing(1) + "/p2p/" + n.info.ID.String()}})
	id := n.info.ID
	w.mention(at(t, id, refusing(1)))
	if got := crawl(t, w, id)[id].Visit; got.Outcome != observation.Refused || w.Learnt(id) {
		t.Fatalf("got %s, learnt %v", got.Outcome, w.Learnt(id))
	}
	w.mention(n.info)
	if !w.Learnt(id) {
		t.Fatal("the new address went unnoticed")
	}
	got := crawl(t, w, id)[id].Visit
	if got.Outcome != observation.Answered || w.Learnt(id) || len(got.Addresses) != 3 {
		t.Errorf("got %s, learnt %v, addresses %q", got.Outcome, w.Learnt(id), got.Addresses)
	}
}

// TestCancelledVisitsAreNotFailures ends a walk while peers keep it waiting.
func TestCancelledVisitsAreNotFailures(t *testing.T) {
	waiting := make(chan struct{}, 1)
	addr := tcpServerSilentAfter(t, waiting)
	n := newNode(t, 2)
	w := newWalker(t, Config{Bootstrap: []string{n.seed()}})
	silent := at(t, stranger(t), addr)
	w.mention(silent)
	w.mention(n.info)
	ctx, cancel := context.WithCancel(t.Context())
	targets, out, walked := make(chan []Peer, 1), make(chan []observation.Result[Peer]), make(chan error, 1)
	go func() { walked <- w.Walk(ctx, targets, out) }()
	targets <- []Peer{silent.ID, n.info.ID}
	for _, r := range <-out {
		if r.Peer != n.info.ID {
			t.Fatalf("got %s of %s", r.Visit.Outcome, r.Peer)
		}
	}
	<-waiting
	cancel()
	select {
	case batch := <-out:
		t.Errorf("got %s for a visit that we cancelled", batch[0].Visit.Outcome)
	case err := <-walked:
		if err != nil {
			t.Error(err)
		}
	}
}

func tcpServerSilentAfter(t *testing.T, accepted chan<- struct{}) string {
	return tcpServer(t, 3, func(net.Conn) { accepted <- struct{}{} })
}

// TestSeeds tells what is wrong with each entry point.
func TestSeeds(t *testing.T) {
	n := newNode(t, 0)
	other := newNode(t, 1, dht.ProtocolPrefix("/x"))
	dead := refusing(2) + "/p2p/" + stranger(t).String()
	seeds := func(bootstrap ...string) ([]Peer, error) {
		cfg := impatient
		cfg.Bootstrap = bootstrap
		return newWalker(t, cfg).Seeds(t.Context())
	}
	if got, err := seeds(dead, n.seed()); err != nil || len(got) != 2 || got[1] != n.info.ID {
		t.Errorf("got %v, %v", got, err)
	}
	_, err := seeds(dead, other.seed())
	for _, want := range []string{"none of 2", dead + ": refused", other.seed() + ": wrong protocol (speaks /x/kad/1.0.0, not /ipfs/kad/1.0.0)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newWalker(t, Config{Bootstrap: []string{n.seed()}}).Seeds(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestRememberedPeersAreSeeds begins where every known entry point is gone.
func TestRememberedPeersAreSeeds(t *testing.T) {
	n := newNode(t, 0)
	cfg := impatient
	cfg.Bootstrap = []string{refusing(2) + "/p2p/" + stranger(t).String()}
	w := newWalker(t, cfg)
	w.Remember([]string{"nonsense", "/ip4/127.0.0.1/tcp/1", n.seed()})
	if got, err := w.Seeds(t.Context()); err != nil || len(got) != 2 || got[1] != n.info.ID {
		t.Errorf("got %v, %v", got, err)
	}
	var many []string
	for range 30 {
		many = append(many, refusing(2)+"/p2p/"+stranger(t).String())
	}
	w = newWalker(t, cfg)
	w.Remember(many)
	if _, err := w.Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), "none of 31") || !strings.Contains(err.Error(), "and 23 more") {
		t.Errorf("error %v", err)
	}
}

// TestNewNamesWhatIsWrong checks the words for settings that cannot work.
func TestNewNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Bootstrap: []string{"127.0.0.1:4001"}}, `"127.0.0.1:4001"`},
		{Config{Bootstrap: []string{"/ip4/127.0.0.1/tcp/4001"}}, "must end in /p2p/"},
		{Config{Protocol: "ipfs"}, "starts with a slash"},
		{Config{Protocol: "/x/kad/1.0.0"}, "no known entry points"},
		{Config{Transports: []Transport{"carrier-pigeon"}}, "carrier-pigeon"},
		{Config{K: -1}, "must be positive"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
	w, err := New(Config{})
	if err != nil || w.Network().Title != "IPFS DHT" {
		t.Errorf("the defaults do not work: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// TestAnotherNetwork walks a DHT with another protocol prefix.
func TestAnotherNetwork(t *testing.T) {
	nodes := []*node{newNode(t, 0, dht.ProtocolPrefix("/x")), newNode(t, 1, dht.ProtocolPrefix("/x"))}
	mesh(t, nodes)
	w := newWalker(t, Config{Bootstrap: []string{nodes[0].seed()}, Protocol: "/x/kad/1.0.0"})
	if got := crawl(t, w).outcomes(); got[observation.Answered] != 2 || len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// strictPacer allows one contact with an address in 50 ms.
type strictPacer struct {
	mu   sync.Mutex
	last map[netip.Addr]time.Time
	took map[netip.Addr]int
}

func (p *strictPacer) Take(a netip.Addr, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := p.last[a].Add(50 * time.Millisecond).Sub(now); wait > 0 {
		return wait
	}
	p.last[a] = now
	p.took[a]++
	return 0
}

// TestPacing books each host once per visit, and waits when told to.
func TestPacing(t *testing.T) {
	n := newNode(t, 0)
	pacer := &strictPacer{last: make(map[netip.Addr]time.Time), took: make(map[netip.Addr]int)}
	w := newWalker(t, Config{Bootstrap: []string{n.seed()}, Pacer: pacer})
	var peers []Peer
	for range 4 {
		dead := at(t, stranger(t), refusing(1), refusingQUIC(1), refusing(2))
		w.mention(dead)
		peers = append(peers, dead.ID)
	}
	crawl(t, w, peers...)
	want := map[netip.Addr]int{loopback(1): 4, loopback(2): 4}
	if !maps.Equal(pacer.took, want) {
		t.Errorf("booked %v, want %v", pacer.took, want)
	}
}

// TestPeersSeeOurName looks from the other side: the agent is told, and nothing
// is offered that would put us into a table.
func TestPeersSeeOurName(t *testing.T) {
	const agent = "canopy/test (+mailto:someone@example.org)"
	n := newNode(t, 0)
	sub, err := n.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	w := newWalker(t, Config{Agent: agent})
	l := dialOne(t, w, n.info)
	got := (<-sub.Out()).(event.EvtPeerIdentificationCompleted)
	if got.AgentVersion != agent || !slices.Equal(got.Protocols, []protocol.ID{identifyID}) {
		t.Errorf("peer saw %q with %v", got.AgentVersion, got.Protocols)
	}
	_ = l.Close()
	if n := n.dht.RoutingTable().Size(); n != 0 {
		t.Errorf("we are in the table of the peer: %d entries", n)
	}
}

// TestConnectionsCloseAtOnce looks from the other side again: the visit leaves
// no connection behind, over neither transport.
func TestConnectionsCloseAtOnce(t *testing.T) {
	for _, transport := range []Transport{TCP, QUIC} {
		n := newNode(t, 0)
		sub, err := n.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged))
		if err != nil {
			t.Fatal(err)
		}
		w := newWalker(t, Config{Bootstrap: []string{n.seed()}, Transports: []Transport{transport}})
		w.mention(n.info)
		if got := crawl(t, w, n.info.ID).outcomes(); got[observation.Answered] != 1 {
			t.Fatalf("got %v", got)
		}
		for e := range sub.Out() {
			if e.(event.EvtPeerConnectednessChanged).Connectedness == network.NotConnected {
				break
			}
		}
		_ = sub.Close()
	}
}

// dialOne connects as a visit does, and keeps the connection.
func dialOne(t *testing.T, w *Walker, info peer.AddrInfo) *link {
	t.Helper()
	r := w.plan(t.Context(), info.ID, info.Addrs)
	l, failed := w.dialer.race(t.Context(), info.ID, r.candidates, new(bookings), nil, patience{answer: w.cfg.DialTimeout, handshake: w.cfg.DialTimeout})
	if l == nil {
		t.Fatal(judge(failed).err)
	}
	go w.identity.serve(l, l.RemoteMultiaddr(), time.Second)
	return l
}

// TestRefusedPeersAreLeftAlone asks the walker for peers that opted out, among
// them an entry point.
func TestRefusedPeersAreLeftAlone(t *testing.T) {
	n := newNode(t, 0)
	pacer := &strictPacer{last: make(map[netip.Addr]time.Time), took: make(map[netip.Addr]int)}
	cfg := Config{Bootstrap: []string{n.seed()}, Pacer: pacer, Refuse: func(id string) bool { return id == n.info.ID.String() }}
	if v := visitOne(t, cfg, n.info).Visit; v.Outcome != observation.NoAddress || !strings.Contains(v.Detail, "asked not to be") {
		t.Errorf("got %s, %q", v.Outcome, v.Detail)
	}
	if _, err := newWalker(t, cfg).Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), "asked not to be contacted") {
		t.Errorf("seeds: %v", err)
	}
	if len(pacer.took) > 0 {
		t.Errorf("contacted %v", pacer.took)
	}
}
