package mainline

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// mirror answers every query with the ID of who asks, and names these nodes.
func mirror(t *testing.T, nodes ...krpc.Node) netip.AddrPort {
	t.Helper()
	return liar(t, func(m krpc.Message) []byte {
		named := krpc.AppendNode(nil, krpc.Node{ID: m.ID, Addr: netip.MustParseAddrPort("127.9.9.9:1")})
		for _, n := range nodes {
			named = krpc.AppendNode(named, n)
		}
		return fmt.Appendf(nil, "2:id20:%s5:nodes%d:%s", m.ID[:], len(named), named)
	})
}

// honest answers as node {7}, and names nobody.
func honest(t *testing.T) krpc.Node {
	t.Helper()
	id := krpc.ID{7}
	return krpc.Node{ID: id, Addr: liar(t, func(krpc.Message) []byte { return fmt.Appendf(nil, "2:id20:%s5:nodes0:", id[:]) })}
}

func mirrorConfig(bootstrap ...string) Config {
	return Config{
		Bootstrap: bootstrap, Bind: []string{"127.0.0.1"}, Allow: func(a netip.AddrPort) bool { return a.Addr().IsLoopback() },
		MinTimeout: 300 * time.Millisecond, MaxTimeout: 500 * time.Millisecond,
	}
}

func TestMirrorsAreNoPeers(t *testing.T) {
	node := honest(t)
	at := mirror(t, node)
	w, err := New(mirrorConfig(at.String()))
	if err != nil {
		t.Fatal(err)
	}
	seeds, err := w.Seeds(t.Context())
	if err != nil || !slices.Equal(seeds, []Peer{NewPeer(node.ID, node.Addr)}) {
		t.Errorf("seeds %v, %v; want what the mirror names", seeds, err)
	}
	_, notes := w.Health()
	if len(notes) != 1 || !strings.Contains(notes[0], at.String()+" answered with our own ID: it was set aside, and the 1 nodes that it named are used") {
		t.Errorf("notes %q", notes)
	}
	alone := mirror(t)
	if w, err = New(mirrorConfig(alone.String())); err != nil {
		t.Fatal(err)
	}
	if seeds, err := w.Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), alone.String()+": wrong_identity (answered as "+w.id.String()+", which is our own ID)") {
		t.Errorf("a mirror alone: %v, %v", seeds, err)
	}
}

// A peer with our own ID, and one at our own socket, are not visited, whoever
// names them; and our own socket is no entry point.
func TestWalkSparesOurselves(t *testing.T) {
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 33, 44, 55)})
	if err != nil {
		t.Fatal(err)
	}
	here := free.LocalAddr().(*net.UDPAddr).AddrPort()
	_ = free.Close()
	cfg := mirrorConfig(here.String())
	cfg.Bind = []string{here.String()}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), here.String()+": no_address ("+itself+")") {
		t.Errorf("our own socket as an entry point: %v", err)
	}
	targets, results := make(chan []Peer, 1), make(chan []observation.Result[Peer], 2)
	targets <- []Peer{NewPeer(w.id, mirror(t)), NewPeer(krpc.ID{1}, here)}
	close(targets)
	if err := w.Walk(t.Context(), targets, results); err != nil {
		t.Fatal(err)
	}
	close(results)
	n := 0
	for batch := range results {
		for _, r := range batch {
			if n++; r.Visit.Outcome != observation.NoAddress || r.Visit.Detail != itself || r.Visit.Queries != 0 {
				t.Errorf("%s: %s, %q", r.Peer, r.Visit.Outcome, r.Visit.Detail)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d results", n)
	}
}

func TestChecksTakeNoMirrorForANode(t *testing.T) {
	node := honest(t)
	for name, c := range map[string]struct {
		at      netip.AddrPort
		closest uint32
	}{"a mirror": {mirror(t), 0}, "a mirror that knows a node": {mirror(t, node), 1}} {
		checker := looseChecker(t, nil)
		k, _, err := checker.Knock(t.Context(), c.at.String())
		if err != nil || k.Outcome != observation.WrongIdentity || !strings.Contains(k.Detail, "which is our own ID") || k.Named != c.closest {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
		if s, err := checker.Start(t.Context(), []string{c.at.String()}); err != nil || s.Closest != c.closest || s.Answered != c.closest {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestLookupsTakeNoMirrorForANode(t *testing.T) {
	node := honest(t)
	cfg := mirrorConfig().withDefaults()
	a, err := openAsker(cfg, newPulse(&cfg), randomID(), true, netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if named, _, ok := a.find(t.Context(), NewPeer(krpc.ID{}, mirror(t, node)), krpc.ID{7}, 1); ok {
		t.Errorf("a mirror counts, and named %v", named)
	}
	friend := krpc.ID{9}
	at := liar(t, func(m krpc.Message) []byte {
		nodes := krpc.AppendNode(krpc.AppendNode(nil, krpc.Node{ID: m.ID, Addr: node.Addr}), node)
		return fmt.Appendf(nil, "2:id20:%s5:nodes%d:%s", friend[:], len(nodes), nodes)
	})
	named, _, ok := a.find(t.Context(), NewPeer(friend, at), krpc.ID{7}, 1)
	if want := []Peer{NewPeer(node.ID, node.Addr)}; !ok || !slices.Equal(named, want) {
		t.Errorf("named %v, %v; want %v", named, ok, want)
	}
}

func TestProbesTakeNoMirrorForANode(t *testing.T) {
	p, err := NewProber(mirrorConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // of no interest
	for _, id := range []krpc.ID{{5}, p.id} {
		probe, err := p.Probe(t.Context(), observation.Target{PeerID: id.String(), Address: mirror(t)})
		if err != nil || probe.Outcome != observation.WrongIdentity {
			t.Errorf("as %s: %+v, %v", id, probe, err)
		}
	}
}

// What may not be contacted takes no room of what may.
func TestCheckBoundsAddressesAfterThePolicy(t *testing.T) {
	c := looseChecker(t, nil)
	var ips []netip.Addr
	for i := range 200 {
		ips = append(ips, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	ips = append(ips, netip.MustParseAddr("127.0.0.1"))
	if addrs, cut := c.endpoints(ips, 5); len(addrs) != 1 || cut != 0 {
		t.Errorf("%v, %d cut", addrs, cut)
	}
	for i := range maxAddresses {
		ips = append(ips, netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}))
	}
	if addrs, cut := c.endpoints(ips, 5); len(addrs) != maxAddresses || cut != 1 {
		t.Errorf("%d addresses, %d cut", len(addrs), cut)
	}
	values := []byte("6:valuesl")
	for i := range 3000 {
		values = append(values, "6:\x0a\x01"...)
		values = append(values, byte(i>>8), byte(i), 1, 1)
	}
	packet := append([]byte("d1:rd"+liarID), values...)
	packet = append(packet, "6:\x7f\x00\x00\x01\x01\x01ee1:t4:abcd1:y1:re"...)
	m := new(krpc.Message)
	if err := krpc.Decode(packet, m); err != nil {
		t.Fatal(err)
	}
	g := newGathering(c, krpc.ID{})
	if any := g.keep(m); !any || g.search.Cut || len(g.holders) != 1 {
		t.Errorf("kept %v of it, %d holders, cut %v", any, len(g.holders), g.search.Cut)
	}
}

// A search that met the bound of its questions is no proof that nobody has it.
func TestSearchThatMetItsBoundSaysSo(t *testing.T) {
	for _, asked := range []int{0, lookupQueries} {
		g := newGathering(looseChecker(t, nil), krpc.ID{})
		node := honest(t)
		g.hear(Peer{}, NewPeer(node.ID, node.Addr))
		g.queries = asked
		if err := g.run(t.Context(), nil); err != nil || g.search.Cut != (asked > 0) {
			t.Errorf("after %d questions: cut %v, %v", asked, g.search.Cut, err)
		}
	}
}

// Peers that are not visited for the sake of their address are counted.
func TestCrowdsAreTold(t *testing.T) {
	cfg := mirrorConfig("127.0.0.1:1")
	cfg.MaxPerAddress = 1
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	targets, results := make(chan []Peer, 1), make(chan []observation.Result[Peer], 3)
	node := honest(t)
	targets <- []Peer{NewPeer(node.ID, node.Addr), NewPeer(krpc.ID{1}, node.Addr), NewPeer(krpc.ID{2}, node.Addr)}
	close(targets)
	if err := w.Walk(t.Context(), targets, results); err != nil {
		t.Fatal(err)
	}
	if _, notes := w.Health(); len(notes) != 1 || !strings.Contains(notes[0], "2 peers were not visited: there were 1 visits to their address already") {
		t.Errorf("notes %q", notes)
	}
}
