package mainline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anacrolix/dht/v2"
	anacrolix "github.com/anacrolix/dht/v2/krpc"
	peer_store "github.com/anacrolix/dht/v2/peer-store"
	"github.com/anacrolix/log"
	"golang.org/x/time/rate"

	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
	swarm "canopy/crawler/testnet/mainline"
)

func newChecker(tb testing.TB) *mainline.Checker {
	tb.Helper()
	c, err := mainline.NewChecker(local())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// silentEntry is an entry point where somebody listens and nobody answers.
func silentEntry(tb testing.TB) string {
	tb.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

const absent = "0123456789abcdef0123456789abcdef01234567"

// In a network where a tenth of the nodes is dead, and so are most entry points, a newcomer enters by those that
// live, and what nobody has is not found although the nodes closest to it answered.
func TestCheckOnAPlannedNetwork(t *testing.T) {
	network := startNetwork(t, testnet.Size{Nodes: 1000, Dead: 0.1}, swarm.Options{})
	c, dead := newChecker(t), silentEntry(t)
	entries := append([]string{dead, "127.0.0.1:1"}, network.Bootstrap()...)

	s, holders, err := c.Find(t.Context(), entries, absent)
	if err != nil || s.Found != 0 || len(holders) != 0 || s.Namers != 0 || s.Closest != s.K || s.First != 0 {
		t.Errorf("absent content: %+v, %d holders, %v", s, len(holders), err)
	}
	if s.Queries < s.Answered || s.Hops < 2 || s.Took <= 0 {
		t.Errorf("counts: %+v", s)
	}
	// A start looks for a random key. What it finds for certain is as many nodes as a bucket holds and a reply names:
	// farther ones only if a node on the way happens to name them. Entry points among them are not counted as answers.
	bucket := uint32(c.Network().K)
	for name, from := range map[string][]string{"all": entries, "one alone": network.Bootstrap()[:1]} {
		if s, err := c.Start(t.Context(), from); err != nil || s.Closest < bucket || 2*s.Answered < bucket {
			t.Errorf("a start with %s: %+v, %v", name, s, err)
		}
	}
	if s, err := c.Start(t.Context(), entries[:2]); err != nil || s.Answered != 0 || s.Queries == 0 {
		t.Errorf("a start with dead entry points: %+v, %v", s, err)
	}
	for entry, want := range map[string]observation.Outcome{network.Bootstrap()[0]: observation.Answered, dead: observation.Timeout} {
		k, addresses, err := c.Knock(t.Context(), entry)
		if err != nil || k.Outcome != want || k.Address.String() != entry || len(addresses) != 1 {
			t.Errorf("entry point %s: %+v, %v, %v", entry, k, addresses, err)
		}
		if answered := want == observation.Answered; answered != (k.Named > 0 && k.Queries > 0) {
			t.Errorf("entry point %s: %+v", entry, k)
		}
	}
}

// What may not be contacted is not, and a search that we end says nothing.
func TestCheckKeepsThePolicy(t *testing.T) {
	entry := silentEntry(t)
	cfg := local()
	cfg.Allow = func(netip.AddrPort) bool { return false }
	c, err := mainline.NewChecker(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // of no interest
	if k, _, err := c.Knock(t.Context(), entry); err != nil || k.Outcome != observation.NoAddress || k.Queries != 0 {
		t.Errorf("%+v, %v", k, err)
	}
	if s, err := c.Start(t.Context(), []string{entry}); err != nil || s.Queries != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	if _, _, err := newChecker(t).Find(ctx, []string{entry}, absent); !errors.Is(err, stopped) {
		t.Errorf("a search that was cut short ended with %v", err)
	}
}

// keepers are nodes of anacrolix/dht that keep what is announced to them.
func keepers(tb testing.TB, n int) []*dht.Server {
	tb.Helper()
	var all []*dht.Server
	for i := range n {
		all = append(all, keeper(tb, netip.AddrFrom4([4]byte{127, 65, byte(i), 1})))
	}
	for _, s := range all {
		for _, other := range rand.Perm(n)[:min(n, 24)] {
			if all[other] != s {
				s.Query(tb.Context(), dht.NewAddr(all[other].Addr()), "ping", dht.QueryInput{NumTries: 3})
			}
		}
	}
	return all
}

// peerStore keeps every endpoint that is announced. (peer_store.InMemory gives addresses back without ports, cut short.)
type peerStore struct {
	mu    sync.Mutex
	peers map[anacrolix.NodeAddrPort]peer_store.InfoHash
}

func (s *peerStore) AddPeer(of peer_store.InfoHash, at anacrolix.NodeAddr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers == nil {
		s.peers = map[anacrolix.NodeAddrPort]peer_store.InfoHash{}
	}
	s.peers[at.ToNodeAddrPort()] = of
}

func (s *peerStore) GetPeers(of peer_store.InfoHash) (peers []anacrolix.NodeAddr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, infoHash := range s.peers {
		if infoHash == of {
			peers = append(peers, at.ToNodeAddr())
		}
	}
	return peers
}

func keeper(tb testing.TB, at netip.Addr) *dht.Server {
	tb.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		tb.Fatal(err)
	}
	s, err := dht.NewServer(&dht.ServerConfig{
		NodeId: anacrolix.RandomNodeID(), Conn: conn, NoSecurity: true, PeerStore: &peerStore{},
		StartingNodes: func() ([]dht.Addr, error) { return nil, errors.New("tables are filled by hand") },
		SendLimiter:   rate.NewLimiter(rate.Inf, 1), Logger: log.Default.FilterLevel(log.Critical),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Everybody who announced content to a network of real nodes is found and counted once, from each entry point.
func TestCheckFindsWhatIsAnnounced(t *testing.T) {
	const sharers = 12
	nodes := keepers(t, 40)
	infoHash, err := krpc.ParseID(absent)
	if err != nil {
		t.Fatal(err)
	}
	distance := func(s *dht.Server) []byte {
		id := s.ID()
		for i := range id {
			id[i] ^= infoHash[i]
		}
		return id[:]
	}
	closest := slices.SortedFunc(slices.Values(nodes), func(a, b *dht.Server) int { return bytes.Compare(distance(a), distance(b)) })
	want := map[netip.Addr]bool{}
	for i := range sharers {
		addr := netip.AddrFrom4([4]byte{127, 66, 0, byte(i + 1)})
		for n := range 3 { // no node knows all of them
			announce(t, addr, closest[(i+n)%6].Addr().String(), infoHash, false)
		}
		want[addr] = true
	}
	c := newChecker(t)
	for _, from := range [][]string{{nodes[0].Addr().String()}, {silentEntry(t), nodes[20].Addr().String()}} {
		s, holders, err := c.Find(t.Context(), from, absent)
		if err != nil || s.Found != sharers || s.Namers != 6 || s.First <= 0 || s.First > s.Took || s.Hops == 0 {
			t.Errorf("from %v: %+v, %v", from, s, err)
		}
		got := map[netip.Addr]bool{}
		for _, h := range holders {
			got[h.Address] = true
		}
		for addr := range want {
			if !got[addr] {
				t.Errorf("from %v: %s is missing", from, addr)
			}
		}
		if len(got) != len(want) {
			t.Errorf("from %v: %d sharers", from, len(got))
		}
	}
}

// libtorrent is what most clients are made of. It tells how many seeds and downloaders it knows of (BEP 33).
func TestCheckScrapesLibtorrent(t *testing.T) {
	const seeds, leechers = 40, 25
	python := findLibtorrent(t)
	script := `
import sys, libtorrent
s = libtorrent.session({"listen_interfaces": sys.argv[1], "enable_dht": True, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
                        "dht_bootstrap_nodes": "", "dht_upload_rate_limit": 10000000, "dht_block_ratelimit": 100000})
print("ready", flush=True)
sys.stdin.read()
`
	at := freePort(t)
	cmd := exec.CommandContext(t.Context(), python, "-c", script, at)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	c := newChecker(t)
	awaitAnswer(t, c, at)
	id, err := krpc.ParseID(absent)
	if err != nil {
		t.Fatal(err)
	}
	for i := range seeds + leechers {
		announce(t, netip.AddrFrom4([4]byte{127, 67, 0, byte(i + 1)}), at, id, i < seeds)
	}
	s, holders, err := c.Find(t.Context(), []string{at}, absent)
	if err != nil || s.Found == 0 || len(holders) != int(s.Found) || s.Filters != 1 || s.Full != 0 {
		t.Fatalf("%+v, %d holders, %v", s, len(holders), err)
	}
	// Two of 65 addresses in a filter of 2048 bits collide now and then, which the estimate allows for.
	if s.Seeds < seeds-2 || s.Seeds > seeds+2 || s.Leechers < leechers-2 || s.Leechers > leechers+2 {
		t.Errorf("%.1f seeds and %.1f downloaders, announced were %d and %d", s.Seeds, s.Leechers, seeds, leechers)
	}
}

func findLibtorrent(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import libtorrent").Run() == nil {
			return python
		}
	}
	const missing = "python3-libtorrent is not installed: apt-get install python3-libtorrent"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // of no interest
	return conn.LocalAddr().String()
}

// awaitAnswer asks until a program that was started listens.
func awaitAnswer(t *testing.T, c *mainline.Checker, at string) {
	t.Helper()
	for {
		k, _, err := c.Knock(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if k.Outcome == observation.Answered {
			return
		}
	}
}

// announce says from addr that it shares an info-hash.
func announce(t *testing.T, addr netip.Addr, at string, infoHash krpc.ID, seed bool) {
	t.Helper()
	conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // of no interest
	id, number := krpc.ID(bytes.Repeat([]byte{addr.As4()[3]}, 20)), 0
	if seed {
		number = 1
	}
	ask := krpc.Ask{ID: id}
	token := exchange(t, conn, ask.AppendGetPeers(nil, []byte("t1"), &infoHash, false)).Token
	exchange(t, conn, fmt.Appendf(nil, "d1:ad2:id20:%s9:info_hash20:%s4:porti6881e4:seedi%de5:token%d:%se1:q13:announce_peer1:t2:t21:y1:qe", id[:], infoHash[:], number, len(token), token))
}

// exchange sends a query until it is answered.
func exchange(t *testing.T, conn net.Conn, query []byte) (m krpc.Message) {
	t.Helper()
	for range 50 {
		if _, err := conn.Write(query); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4096)
		if n, err := conn.Read(answer); err == nil && krpc.Decode(answer[:n], &m) == nil && m.Kind == krpc.Response {
			return m
		}
	}
	t.Fatalf("no answer to %q: %s", query, m.Text)
	return m
}
