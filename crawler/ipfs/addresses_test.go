package ipfs

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"canopy/crawler"
	"canopy/crawler/observation"
)

// loopbackOnly is the policy of a network on loopback: other private addresses
// are as good as forbidden.
func loopbackOnly(a netip.Addr) bool { return a.IsLoopback() }

// dead are n addresses at which nobody listens, each of a host of its own.
func dead(n int) (list []string) {
	for i := range n {
		list = append(list, refusing(300+i))
	}
	return list
}

// crawlNaming crawls from a real node whose table names a peer, of which one
// mention has named all these addresses in their order, and returns what was
// recorded of it.
func crawlNaming(t *testing.T, info peer.AddrInfo) (observation.Visit, observation.Crawl) {
	t.Helper()
	entry := newNode(t, 0)
	entry.knows(t, peer.AddrInfo{ID: info.ID, Addrs: info.Addrs[:1]})
	w := newWalker(t, Config{Bootstrap: []string{entry.seed()}, Allow: loopbackOnly})
	w.mention(info)
	k := new(kept)
	if _, err := crawler.Run(t.Context(), w, k, crawler.Options{}); err != nil {
		t.Fatal(err)
	}
	return k.results(t)[info.ID].Visit, k.crawl
}

// TestLivingPeersAreFoundAmongManyAddresses names living peers at many addresses
// of which one works, the last by any order of numbers.
func TestLivingPeersAreFoundAmongManyAddresses(t *testing.T) {
	var private []string
	for i := range 40 {
		private = append(private, fmt.Sprintf("/ip4/10.0.%d.1/tcp/4001", i), fmt.Sprintf("/ip4/172.17.0.%d/udp/4001/quic-v1", i))
	}
	var others []string // of transports that are not dialled
	for i := range 100 {
		others = append(others, fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1/webtransport", 1000+i))
	}
	for name, before := range map[string][]string{
		"private ones":     slices.Concat(private, dead(2)),
		"other transports": slices.Concat(others, dead(2)),
		"dead ones":        dead(69),
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, 900)
			v, _ := crawlNaming(t, at(t, n.info.ID, append(before, n.info.Addrs[0].String())...))
			if v.Outcome != observation.Answered || v.Address.Addr() != loopback(900) {
				t.Errorf("%s at %s, %q", v.Outcome, v.Address, v.Detail)
			}
			if !slices.Contains(v.Addresses, n.info.Addrs[0].String()) {
				t.Errorf("the address that answered is not among the %d recorded", len(v.Addresses))
			}
		})
	}
}

// TestWhatIsNotDialledIsNoRefusal names a dead peer at more addresses than are
// kept: that it refused at some leaves open where it is, and is told.
func TestWhatIsNotDialledIsNoRefusal(t *testing.T) {
	v, recorded := crawlNaming(t, at(t, stranger(t), dead(maxNamed+30)...))
	told := strings.HasPrefix(v.Detail, "30 more addresses were not dialled; tcp: ") && strings.Contains(v.Detail, "refused")
	if v.Outcome != observation.Unclassified || !told {
		t.Errorf("%s, %q", v.Outcome, v.Detail)
	}
	if len(v.Addresses) != maxNamed {
		t.Errorf("%d addresses kept", len(v.Addresses))
	}
	notes := strings.Join(recorded.Notes, "\n")
	for _, want := range []string{
		"1 peers answered at none of the addresses that were dialled", "Of 1 peers more addresses that may be dialled were named than are kept", "30 mentions",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes do not say %q: %s", want, notes)
		}
	}
	if recorded.State != observation.Complete {
		t.Errorf("a liar made the crawl %s", recorded.State)
	}
}

// TestManyAddressesWaitForTheSecondPass visits a peer with many addresses while
// all places for such visits are taken.
func TestManyAddressesWaitForTheSecondPass(t *testing.T) {
	n := newNode(t, 900)
	w := newWalker(t, Config{Bootstrap: []string{n.seed()}})
	w.mention(at(t, n.info.ID, dead(69)...))
	list := make([]candidate, 0, 70)
	for i := range 69 {
		list = append(list, candidate{transport: TCP, addr: netip.AddrPortFrom(loopback(300+i), 9)})
	}
	alive := 900
	for ; ; alive++ { // somewhere behind the first ones
		ranked, _ := rank(append(slices.Clone(list), candidate{transport: TCP, addr: netip.AddrPortFrom(loopback(alive), 4001)}))
		if slices.IndexFunc(ranked, func(c candidate) bool { return c.addr.Addr() == loopback(alive) }) >= firstDials {
			break
		}
	}
	l, err := net.Listen("tcp", netip.AddrPortFrom(loopback(alive), 4001).String())
	if err != nil {
		t.Skip("the port is taken:", err)
	}
	defer l.Close()
	go forward(l, n.info.Addrs[0].String())
	w.mention(at(t, n.info.ID, fmt.Sprintf("/ip4/%s/tcp/4001", loopback(alive))))
	for range persistent {
		w.load.persisting <- struct{}{}
	}
	first := crawl(t, w, n.info.ID)[n.info.ID].Visit
	if first.Outcome != observation.Unclassified || !strings.HasPrefix(first.Detail, "54 more addresses were not dialled; ") || !w.Learnt(n.info.ID) {
		t.Errorf("first visit: %s, %q, worth another: %v", first.Outcome, first.Detail, w.Learnt(n.info.ID))
	}
	for range persistent {
		<-w.load.persisting
	}
	w.load.persisted = persistBudget
	if v := crawl(t, w, n.info.ID)[n.info.ID].Visit; v.Outcome != observation.Unclassified {
		t.Errorf("when the time for such visits is used up: %s, %q", v.Outcome, v.Detail)
	}
	w.load.persisted = 0
	second := crawl(t, w, n.info.ID)[n.info.ID].Visit
	if second.Outcome != observation.Answered || second.Address.Addr() != loopback(alive) {
		t.Errorf("second visit: %s at %s, %q", second.Outcome, second.Address, second.Detail)
	}
	if _, notes := w.Health(); len(notes) != 0 {
		t.Errorf("notes %q", notes)
	}
}

// forward hands the connections that l takes on to a TCP multiaddr.
func forward(l net.Listener, multiaddr string) {
	parts := strings.Split(multiaddr, "/")
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", net.JoinHostPort(parts[2], parts[4]))
		if err != nil {
			_ = from.Close()
			return
		}
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
	}
}

// TestRankIsFair takes each host's first port before any host's second, and does
// not prefer low ports.
func TestRankIsFair(t *testing.T) {
	var list []candidate
	for i := range 3 {
		for port := range 40 {
			list = append(list, candidate{transport: TCP, addr: netip.AddrPortFrom(loopback(i), uint16(1000+port))})
		}
	}
	ranked, _ := rank(list)
	hosts, high := map[netip.Addr]bool{}, 0
	for i, c := range ranked {
		if i < 3 {
			hosts[c.addr.Addr()] = true
		}
		if i < 30 && c.addr.Port() >= 1020 {
			high++
		}
	}
	if len(ranked) != 120 || len(hosts) != 3 || high < 8 || high > 22 {
		t.Errorf("%d ranked, %d hosts come first, %d of the first 30 ports are high", len(ranked), len(hosts), high)
	}
}

// TestVictimsOfLiarsArePaced names one host at very many ports: however many
// there are, every other dial needs the pacer's leave.
func TestVictimsOfLiarsArePaced(t *testing.T) {
	var ports []string
	for i := range 60 {
		ports = append(ports, fmt.Sprintf("/ip4/%s/tcp/%d", loopback(950), 1+i))
	}
	pacer := &countingPacer{took: map[netip.Addr]int{}}
	w := newWalker(t, Config{Bootstrap: []string{refusing(1) + "/p2p/" + stranger(t).String()}, Pacer: pacer})
	p := stranger(t)
	w.mention(at(t, p, ports...))
	crawl(t, w, p)
	if got := pacer.took[loopback(950)]; got != 30 {
		t.Errorf("60 dials were booked %d times, want 30", got)
	}
}

// countingPacer lets everything pass. One visit uses it at a time.
type countingPacer struct{ took map[netip.Addr]int }

func (p *countingPacer) Take(a netip.Addr, _ time.Time) time.Duration {
	p.took[a]++
	return 0
}

// TestBusyHostsLetOthersGoFirst dials a host that may be contacted while another
// must be left alone.
func TestBusyHostsLetOthersGoFirst(t *testing.T) {
	n := newNode(t, 900)
	busy := loopback(951)
	list, _ := rank([]candidate{
		{transport: TCP, addr: netip.AddrPortFrom(busy, 9), ma: ma(t, fmt.Sprintf("/ip4/%s/tcp/9", busy))},
		{transport: QUIC, addr: addrPort(t, n.info.Addrs[1].String()), ma: n.info.Addrs[1]},
	})
	if list[0].addr.Addr() != busy {
		t.Fatal("the busy host is not first")
	}
	w := newWalker(t, Config{Bootstrap: []string{n.seed()}, Pacer: closedTo(busy)})
	l, failed := w.dialer.race(t.Context(), n.info.ID, list, new(bookings), nil, patience{answer: time.Minute, handshake: time.Minute})
	if l == nil || len(failed) != 0 {
		t.Fatalf("not reached: %v", failed)
	}
	_ = l.Close()
}

// closedTo never lets one host be contacted.
type closedTo netip.Addr

func (p closedTo) Take(a netip.Addr, _ time.Time) time.Duration {
	if a == netip.Addr(p) {
		return time.Hour
	}
	return 0
}

func addrPort(t *testing.T, multiaddr string) netip.AddrPort {
	t.Helper()
	parts := strings.Split(multiaddr, "/")
	return netip.MustParseAddrPort(net.JoinHostPort(parts[2], parts[4]))
}

// TestWebSocketIsTriedBeforeGivingUp reaches servers that have WebSocket only
// and are said to have more.
func TestWebSocketIsTriedBeforeGivingUp(t *testing.T) {
	n := newWebSocketNode(t, 130)
	plain := n.info.Addrs[0].String()
	if strings.Contains(plain, "tls") {
		plain = n.info.Addrs[1].String()
	}
	port := strings.Split(plain, "/")[4]
	for name, addrs := range map[string][]string{
		"a host known by name":     {refusing(10), "/dns4/" + webHost + "/tcp/" + port + "/ws"},
		"a port said to be of TCP": {strings.TrimSuffix(plain, "/ws"), plain},
	} {
		cfg := impatient
		cfg.Resolver = names{ip: loopback(130).String()}
		if v := visitOne(t, cfg, at(t, n.info.ID, addrs...)).Visit; v.Outcome != observation.Answered || v.Transport != string(WS) {
			t.Errorf("%s: %s over %q, %q", name, v.Outcome, v.Transport, v.Detail)
		}
	}
}

// zone is a resolver with an answer for each name, which counts its questions.
type zone struct {
	ips   map[string]string
	txt   map[string][]string
	asked map[string]int
}

func (z zone) LookupIPAddr(_ context.Context, name string) (list []net.IPAddr, err error) {
	z.asked[name]++
	for ip := range strings.FieldsSeq(z.ips[name]) {
		list = append(list, net.IPAddr{IP: net.ParseIP(ip)})
	}
	return list, nil
}

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	z.asked[name]++
	return z.txt[name], nil
}

// TestNamesAreFilteredBeforeTheyAreBounded finds peers whose names stand for much
// that is not theirs or may not be contacted.
func TestNamesAreFilteredBeforeTheyAreBounded(t *testing.T) {
	n := newNode(t, 900)
	tcp := strings.Split(n.info.Addrs[0].String(), "/")[4]
	here, self := loopback(900).String(), "/p2p/"+n.info.ID.String()
	var many, wrong []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("dnsaddr=%s/p2p/%s", refusing(i), stranger(t)), fmt.Sprintf("dnsaddr=/ip4/10.1.%d.1/tcp/4001%s", i%256, self))
	}
	for i := range 300 {
		wrong = append(wrong, fmt.Sprintf("10.1.1.%d", i%256))
	}
	z := zone{ips: map[string]string{"a.example": here, "far.example": strings.Join(append(wrong, here), " ")}, txt: map[string][]string{
		"_dnsaddr.many.example":  append(many, "dnsaddr="+n.seed()),
		"_dnsaddr.named.example": {"dnsaddr=/dns4/a.example/tcp/" + tcp + self},
		"_dnsaddr.loop.example":  {"dnsaddr=/dnsaddr/loop.example", "dnsaddr=/dnsaddr/loop.example", "dnsaddr=/dnsaddr/many.example"},
	}}
	for name, addrs := range map[string][]string{
		"records of others":       {"/dnsaddr/many.example"},
		"a record that is a name": {"/dnsaddr/named.example"},
		"records in a ring":       {"/dnsaddr/loop.example"},
		"addresses of others":     {"/dns4/far.example/tcp/" + tcp},
		"one name, many ports": {
			"/dns4/a.example/tcp/1", "/dns4/a.example/tcp/2", "/dns4/a.example/tcp/3", "/dns4/a.example/tcp/4", "/dns4/a.example/tcp/5", "/dns4/a.example/tcp/" + tcp,
		},
	} {
		cfg := impatient
		z.asked = map[string]int{}
		cfg.Resolver, cfg.Allow = z, loopbackOnly
		if v := visitOne(t, cfg, at(t, n.info.ID, addrs...)).Visit; v.Outcome != observation.Answered {
			t.Errorf("%s: %s, %q", name, v.Outcome, v.Detail)
		}
		for asked, times := range z.asked {
			if times > 1 {
				t.Errorf("%s: %s was looked up %d times", name, asked, times)
			}
		}
	}
}

// TestNamesThatAreNotLookedUpAreTold names a peer by more names than are looked
// up.
func TestNamesThatAreNotLookedUpAreTold(t *testing.T) {
	var addrs []string
	for i := range maxNames + 5 {
		addrs = append(addrs, fmt.Sprintf("/dns4/h%d.example/tcp/4001", i))
	}
	cfg := impatient
	z := zone{asked: map[string]int{}}
	cfg.Resolver = z
	v := visitOne(t, cfg, at(t, stranger(t), addrs...)).Visit
	if v.Outcome != observation.Unclassified || !strings.HasPrefix(v.Detail, "5 more addresses were not dialled") || len(z.asked) != maxNames {
		t.Errorf("%s, %q after %d names", v.Outcome, v.Detail, len(z.asked))
	}
}

// TestOwnWordOfAPeerIsTried reaches a peer where it is gone soon after, without
// an answer, and then where it said itself that it lives.
func TestOwnWordOfAPeerIsTried(t *testing.T) {
	answered := make(chan struct{})
	h := newHost(t, 900)
	h.SetStreamHandler(DefaultProtocol, func(s network.Stream) {
		select {
		case <-answered:
			answering(func(int) []byte { return naming() })(s)
		default:
			_ = s.Conn().Close()
		}
	})
	l, err := net.Listen("tcp", netip.AddrPortFrom(loopback(901), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	go forward(l, h.Addrs()[0].String())
	cfg := impatient
	cfg.Bootstrap = []string{refusing(0) + "/p2p/" + stranger(t).String()}
	w := newWalker(t, cfg)
	w.mention(at(t, h.ID(), fmt.Sprintf("/ip4/%s/tcp/%d", loopback(901), l.Addr().(*net.TCPAddr).Port)))
	if v := crawl(t, w, h.ID())[h.ID()].Visit; v.Outcome != observation.Reset || v.Address.Addr() != loopback(901) || !w.Learnt(h.ID()) {
		t.Fatalf("%s at %s, %q, worth another visit: %v", v.Outcome, v.Address, v.Detail, w.Learnt(h.ID()))
	}
	_ = l.Close()
	close(answered)
	if v := crawl(t, w, h.ID())[h.ID()].Visit; v.Outcome != observation.Answered || v.Address.Addr() != loopback(900) {
		t.Errorf("%s at %s, %q", v.Outcome, v.Address, v.Detail)
	}
}

// TestProbesTryAllAddresses probes a peer of which one of many addresses works,
// and that where it last answered is dialled first.
func TestProbesTryAllAddresses(t *testing.T) {
	n := newNode(t, 900)
	pacer := &countingPacer{took: map[netip.Addr]int{}}
	p, err := NewProber(Config{Allow: loopbackOnly, Pacer: pacer})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // of no interest
	target := observation.Target{PeerID: n.info.ID.String(), Addresses: append(dead(100), n.info.Addrs[0].String())}
	if probe, err := p.Probe(t.Context(), target); err != nil || probe.Outcome != observation.Answered {
		t.Errorf("%+v, %v", probe, err)
	}
	clear(pacer.took)
	target.Address = addrPort(t, n.info.Addrs[0].String())
	if probe, err := p.Probe(t.Context(), target); err != nil || probe.Outcome != observation.Answered || probe.Address != target.Address {
		t.Errorf("%+v, %v", probe, err)
	}
	if want := map[netip.Addr]int{loopback(900): 1}; !cmp.Equal(pacer.took, want, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Errorf("asked %v, want %v", pacer.took, want)
	}
	target = observation.Target{PeerID: stranger(t).String(), Addresses: dead(maxDialable + 4)}
	if probe, err := p.Probe(t.Context(), target); err != nil || probe.Outcome != observation.Unclassified {
		t.Errorf("with more addresses than are dialled: %+v, %v", probe, err)
	}
}

// TestProvidersArePlacedBehindPrivateAddresses reads where a provider is that
// names much else first.
func TestProvidersArePlacedBehindPrivateAddresses(t *testing.T) {
	info := at(t, stranger(t))
	for i := range 40 {
		info.Addrs = append(info.Addrs, ma(t, fmt.Sprintf("/ip4/10.0.0.%d/tcp/4001", i)), ma(t, fmt.Sprintf("/dns4/h%d.example/tcp/4001", i)))
	}
	info.Addrs = append(info.Addrs, ma(t, refusing(7)))
	entry := &pb.Message_Peer{Id: []byte(info.ID)}
	for _, a := range info.Addrs {
		entry.Addrs = append(entry.Addrs, a.Bytes())
	}
	w := newWalker(t, Config{Allow: loopbackOnly})
	bad := &pb.Message_Peer{Id: []byte("none")}
	s, err := w.book.readProviders(providing(t, nil, append(slices.Repeat([]*pb.Message_Peer{bad}, maxPerReply), entry)), 80)
	if err != nil || len(s.providers) != 1 || s.cut {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := newGathering(w, []byte("key")).place(s.providers[0]); got != loopback(7) {
		t.Errorf("placed at %s", got)
	}
}

// TestSearchThatMetItsBoundSaysSo ends a search for want of questions: that is no
// proof that nobody provides what it looked for.
func TestSearchThatMetItsBoundSaysSo(t *testing.T) {
	for _, asked := range []int{0, searchPeers} {
		g := newGathering(newWalker(t, Config{Bootstrap: []string{refusing(0) + "/p2p/" + stranger(t).String()}}), []byte("key"))
		g.add(stranger(t), 0)
		g.asked = asked
		if err := g.run(t.Context()); err != nil || g.search.Cut != (asked > 0) {
			t.Errorf("after %d questions: cut %v, %v", asked, g.search.Cut, err)
		}
	}
}

// TestLongAddressesAreRecordedWhole records an address with names of full length.
func TestLongAddressesAreRecordedWhole(t *testing.T) {
	name := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + "." + strings.Repeat("c", 60) + "." + strings.Repeat("d", 60) + ".example"
	long := "/dns4/" + name + "/tcp/9/tls/sni/" + name + "/ws"
	cfg := impatient
	cfg.Resolver = names{ip: loopback(10).String()}
	if v := visitOne(t, cfg, at(t, stranger(t), long)).Visit; v.Outcome != observation.Refused || !slices.Equal(v.Addresses, []string{long}) {
		t.Errorf("%s, %q, %q", v.Outcome, v.Detail, v.Addresses)
	}
}

// TestProtocolsThatAreLeftOutAreTold keeps some of very many protocols, which
// are not the first of the alphabet.
func TestProtocolsThatAreLeftOutAreTold(t *testing.T) {
	list := []string{"/z"}
	for i := range maxProtocols + 9 {
		list = append(list, fmt.Sprintf("/a/%03d", i))
	}
	if got, cut := protocols(list); len(got) != maxProtocols || cut != 10 || !slices.Contains(got, "/z") || !slices.IsSorted(got) {
		t.Errorf("%d kept, %d cut: %q", len(got), cut, got)
	}
}

// TestOurOwnIDIsNoPeer meets our own peer ID as an entry point, as a peer that
// is named, as a target of probes and as a provider.
func TestOurOwnIDIsNoPeer(t *testing.T) {
	n := newNode(t, 0)
	w := newWalker(t, Config{Bootstrap: []string{n.seed()}})
	self := w.identity.self
	w.Remember([]string{n.info.Addrs[0].String() + "/p2p/" + self.String()})
	if seeds, err := w.Seeds(t.Context()); err != nil || !slices.Equal(seeds, []Peer{n.info.ID}) {
		t.Errorf("seeds %v, %v", seeds, err)
	}
	if _, notes := w.Health(); len(notes) != 1 || !strings.Contains(notes[0], self.String()+" was set aside: it is our own peer ID") {
		t.Errorf("notes %q", notes)
	}
	w.seeds = w.seeds[1:]
	if _, err := w.Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), self.String()+": it is our own peer ID") {
		t.Errorf("nothing else: %v", err)
	}
	w.mention(peer.AddrInfo{ID: self, Addrs: n.info.Addrs})
	if v := crawl(t, w, self)[self].Visit; v.Outcome != observation.NoAddress || v.Detail != ownID {
		t.Errorf("visited: %s, %q", v.Outcome, v.Detail)
	}
	pacer := &countingPacer{took: map[netip.Addr]int{}}
	p, err := NewProber(Config{Allow: everywhere, Pacer: pacer})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // of no interest
	target := targetOf(n)
	target.PeerID = p.w.identity.self.String()
	if probe, err := p.Probe(t.Context(), target); err != nil || probe.Outcome != observation.NoAddress {
		t.Errorf("probed: %+v, %v", probe, err)
	}
	c := newChecker(t, Config{Pacer: pacer})
	entry := n.info.Addrs[0].String() + "/p2p/" + c.w.identity.self.String()
	if k, _, err := c.Knock(t.Context(), entry); err != nil || k.Outcome != observation.NoAddress || k.Detail != ownID {
		t.Errorf("knocked at: %+v, %v", k, err)
	}
	if s, err := c.Start(t.Context(), []string{entry}); err != nil || s.Answered+s.Closest+s.Queries != 0 {
		t.Errorf("started at: %+v, %v", s, err)
	}
	g := newGathering(w, []byte("key"))
	v := &visit{peer: n.info.ID}
	v.result.Visit.Outcome = observation.Answered
	g.take(outcome{from: &near{}, v: v, said: said{providers: []peer.AddrInfo{{ID: self}}}})
	if len(g.holders()) != 0 || g.search.Namers != 0 {
		t.Errorf("we are a provider: %v", g.holders())
	}
	if len(pacer.took) > 0 {
		t.Errorf("dialled %v", pacer.took)
	}
}
