package ipfs

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"google.golang.org/protobuf/proto"

	"canopy/crawler/observation"
)

// stranger is an identity that nobody runs.
func stranger(t testing.TB) Peer {
	t.Helper()
	_, pub, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// at names a peer that is said to live at these addresses.
func at(t testing.TB, id Peer, addrs ...string) peer.AddrInfo {
	info := peer.AddrInfo{ID: id}
	for _, a := range addrs {
		info.Addrs = append(info.Addrs, ma(t, a))
	}
	return info
}

// tcpServer accepts connections on an address of its own and hands them to
// serve; it returns the multiaddr.
func tcpServer(t testing.TB, i int, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(loopback(i), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go serve(c)
		}
	}()
	return fmt.Sprintf("/ip4/%s/tcp/%d", loopback(i), l.Addr().(*net.TCPAddr).Port)
}

// silentTCP accepts and never speaks; silentUDP takes datagrams and never
// answers; refusing and its QUIC form are ports that nobody listens on.
func silentTCP(t testing.TB, i int) string { return tcpServer(t, i, func(net.Conn) {}) }

func silentUDP(t testing.TB, i int) string {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback(i), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", loopback(i), c.LocalAddr().(*net.UDPAddr).Port)
}

func refusing(i int) string     { return fmt.Sprintf("/ip4/%s/tcp/9", loopback(i)) }
func refusingQUIC(i int) string { return fmt.Sprintf("/ip4/%s/udp/9/quic-v1", loopback(i)) }

// visitOne visits one peer of which only info is known.
func visitOne(t testing.TB, cfg Config, info peer.AddrInfo) observation.Result[Peer] {
	t.Helper()
	if len(cfg.Bootstrap) == 0 {
		cfg.Bootstrap = []string{refusing(0) + "/p2p/" + stranger(t).String()}
	}
	w := newWalker(t, cfg)
	w.mention(info)
	return crawl(t, w, info.ID)[info.ID]
}

// mention puts info into the address book, as a reply would.
func (w *Walker) mention(info peer.AddrInfo) {
	raw := make([][]byte, len(info.Addrs))
	for i, a := range info.Addrs {
		raw[i] = a.Bytes()
	}
	w.book.learn([]byte(info.ID), raw)
}

var impatient = Config{DialTimeout: 6 * time.Second, RequestTimeout: 2 * time.Second} // of which a first visit waits 2 s

// TestFailuresAreTold meets peers that fail each in its way.
func TestFailuresAreTold(t *testing.T) {
	client := newNode(t, 0, dht.Mode(dht.ModeClient))
	other := newNode(t, 1, dht.ProtocolPrefix("/x"))
	live := newNode(t, 2)
	relay, looped := stranger(t), stranger(t)
	cases := []struct {
		name    string
		info    peer.AddrInfo
		outcome observation.Outcome
		detail  string
	}{
		{"refused on TCP", at(t, stranger(t), refusing(10)), observation.Refused, "refused"},
		{"refused on QUIC", at(t, stranger(t), refusingQUIC(10)), observation.Refused, "refused"},
		{"refused on both", at(t, stranger(t), refusing(10), refusingQUIC(10)), observation.Refused, "tcp: "},
		{"silent after accept", at(t, stranger(t), silentTCP(t, 11)), observation.Timeout, ""},
		{"silent on UDP", at(t, stranger(t), silentUDP(t, 12)), observation.Timeout, "quic-v1: "},
		{"silent on both", at(t, stranger(t), silentTCP(t, 11), silentUDP(t, 11)), observation.Timeout, ""},
		{"TCP refused, UDP silent", at(t, stranger(t), refusing(12), silentUDP(t, 12)), observation.Refused, "tcp: "},
		{"refused here, silent there", at(t, stranger(t), refusing(10), silentUDP(t, 12)), observation.Timeout, ""},
		{"former server", client.info, observation.WrongProtocol, "speaks no DHT protocol, not /ipfs/kad/1.0.0"},
		{"another DHT", other.info, observation.WrongProtocol, "speaks /x/kad/1.0.0, not /ipfs/kad/1.0.0"},
		{"another's identity over TCP", peer.AddrInfo{ID: stranger(t), Addrs: live.info.Addrs[:1]}, observation.WrongIdentity, "mismatch"},
		{"another's identity over QUIC", peer.AddrInfo{ID: stranger(t), Addrs: live.info.Addrs[1:]}, observation.WrongIdentity, "mismatch"},
		{"closed at once", at(t, stranger(t), tcpServer(t, 13, func(c net.Conn) { _ = c.Close() })), observation.Reset, ""},
		{"reset in the negotiation", at(t, stranger(t), tcpServer(t, 15, speakThenReset("\x13/multistream/1.0.0\n"))), observation.Reset, ""},
		{"reset in the handshake", at(t, stranger(t), tcpServer(t, 16, speakThenReset("\x13/multistream/1.0.0\n\x07/noise\n"))), observation.Reset, ""},
		{"garbage", at(t, stranger(t), tcpServer(t, 14, func(c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("HTTP/1.1 400\r\n", 20)) })), observation.HandshakeError, ""},
		{"no address", peer.AddrInfo{ID: stranger(t)}, observation.NoAddress, ""},
		{"other transports", at(t, stranger(t), "/ip4/127.0.0.1/udp/1/quic-v1/webtransport", "/ip4/127.0.0.1/udp/1/webrtc-direct"), observation.NoAddress, "only addresses that are not dialled: webrtc-direct, webtransport"},
		{"another's address", at(t, stranger(t), refusing(10)+"/p2p/"+relay.String()), observation.NoAddress, "not dialled: of another peer"},
		{"behind a relay", at(t, stranger(t), fmt.Sprintf("/ip4/127.0.0.1/tcp/4001/p2p/%s/p2p-circuit", relay)), observation.RelayOnly, "behind relay " + relay.String()},
		{"behind a relay on QUIC", at(t, stranger(t), fmt.Sprintf("/ip4/127.0.0.1/udp/4001/quic-v1/p2p/%s/p2p-circuit", relay)), observation.RelayOnly, relay.String()},
		{"refused, and behind a relay", at(t, stranger(t), refusing(10), fmt.Sprintf("/p2p/%s/p2p-circuit", relay)), observation.Refused, "tcp: "},
		{"behind itself", at(t, looped, fmt.Sprintf("/ip4/127.0.0.1/tcp/4001/p2p/%s/p2p-circuit/p2p/%s/p2p-circuit", relay, looped)), observation.RelayOnly, relay.String()},
		{"behind a chain of relays", at(t, stranger(t), fmt.Sprintf("/p2p/%s/p2p-circuit/p2p/%s/p2p-circuit", relay, relay)), observation.RelayOnly, relay.String()},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := visitOne(t, impatient, c.info).Visit
			if v.Outcome != c.outcome || !strings.Contains(v.Detail, c.detail) {
				t.Errorf("got %s, %q; want %s, %q", v.Outcome, v.Detail, c.outcome, c.detail)
			}
			if stood := v.Handshake > 0; stood != (c.outcome == observation.WrongProtocol) {
				t.Errorf("handshake of %s with %s", v.Handshake, v.Outcome)
			}
			if dialed := v.Address.IsValid(); dialed != (v.Transport != "") {
				t.Errorf("%s over %q", v.Address, v.Transport)
			}
			if behind := strings.Contains(fmt.Sprint(c.info.Addrs), "p2p-circuit"); behind != slices.Contains(v.Relays, relay.String()) || len(v.Relays) > 1 {
				t.Errorf("relays %q with %s", v.Relays, v.Outcome)
			}
			if len(v.Addresses) != len(c.info.Addrs) && c.outcome != observation.WrongProtocol {
				t.Errorf("addresses %q, want those of %v", v.Addresses, c.info)
			}
		})
	}
}

// speakThenReset listens to the first bytes, says its words and resets the
// connection.
func speakThenReset(words string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_, _ = io.WriteString(c, words)
		for range 3 { // the rest of what is under way, so that the words arrive
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = c.Read(make([]byte, 4096))
		}
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// TestHostilePeersHarmNobodyElse crawls tables in which hostile peers stand
// among honest ones.
func TestHostilePeersHarmNobodyElse(t *testing.T) {
	nodes := newNodes(t, 8)
	hostile := []peer.AddrInfo{
		fakeServer(t, 80, func(network.Stream) {}),
		fakeServer(t, 81, answering(func(int) []byte { return naming(entries(t, 10000)...) })),
		fakeServer(t, 82, func(s network.Stream) { _ = s.Conn().Close() }),
		fakeServer(t, 83, answering(func(int) []byte { return []byte("\xff\xff") })),
		at(t, stranger(t), silentTCP(t, 84)),
	}
	for _, n := range nodes {
		n.knows(t, hostile...)
	}
	mesh(t, nodes)
	cfg := impatient
	cfg.Bootstrap = []string{nodes[0].seed()}
	found := crawl(t, newWalker(t, cfg))
	for _, n := range nodes {
		if r := found[n.info.ID]; r.Visit.Outcome != observation.Answered || !slices.Equal(n.table(), sorted(r.Neighbours)) {
			t.Errorf("%s: %s, %d neighbours", n.info.ID, r.Visit.Outcome, len(r.Neighbours))
		}
	}
	for i, want := range []observation.Outcome{observation.Timeout, observation.Answered, observation.Reset, observation.Malformed, observation.Timeout} {
		if got := found[hostile[i].ID].Visit.Outcome; got != want {
			t.Errorf("hostile peer %d: %s, want %s", i, got, want)
		}
	}
	if extra := len(found) - len(nodes) - len(hostile); extra < 80 || extra > 80*20 { // refused inventions, bounded
		t.Errorf("%d peers more", extra)
	}
}

// TestResetInIdentify meets a peer that ends the connection when asked who it
// is.
func TestResetInIdentify(t *testing.T) {
	h := newHost(t, 85)
	h.SetStreamHandler(identifyID, func(s network.Stream) { _ = s.Conn().Close() })
	h.SetStreamHandler(DefaultProtocol, func(s network.Stream) { _ = s.Conn().Close() })
	v := visitOne(t, impatient, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}).Visit
	if v.Outcome != observation.Reset || v.Handshake <= 0 || v.Agent != "" {
		t.Errorf("got %s, %q after a handshake of %s", v.Outcome, v.Detail, v.Handshake)
	}
}

// fakeServer is a libp2p host whose DHT protocol is serve.
func fakeServer(t testing.TB, i int, serve func(network.Stream), opts ...libp2p.Option) peer.AddrInfo {
	h := newHost(t, i, opts...)
	h.SetStreamHandler(DefaultProtocol, serve)
	return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
}

// answering replies to each request with what reply makes for it.
func answering(reply func(n int) []byte) func(network.Stream) {
	return func(s network.Stream) {
		r, w := msgio.NewVarintReader(s), msgio.NewVarintWriter(s)
		for n := 0; ; n++ {
			if _, err := r.ReadMsg(); err != nil {
				return
			}
			out := reply(n)
			if out == nil {
				_ = s.Close()
				return
			}
			if err := w.WriteMsg(out); err != nil {
				return
			}
		}
	}
}

func naming(peers ...*pb.Message_Peer) []byte {
	m := findNode("x")
	m.CloserPeers = peers
	raw, _ := proto.Marshal(m)
	return raw
}

func entries(t testing.TB, n int) []*pb.Message_Peer {
	list := make([]*pb.Message_Peer, n)
	for i := range list {
		id := [34]byte{0x12, 32}
		binary.BigEndian.PutUint64(id[2:], uint64(i)*0x9e3779b97f4a7c15)
		list[i] = &pb.Message_Peer{Id: id[:], Addrs: [][]byte{ma(t, refusing(200)).Bytes()}}
	}
	return list
}

// TestHostileAnswers meets servers that answer badly, over both transports.
func TestHostileAnswers(t *testing.T) {
	one := entries(t, 1)[0]
	million := naming(entries(t, 1000000)...)
	bad := []*pb.Message_Peer{{Id: []byte("no peer ID")}, {}, {Id: one.Id, Addrs: [][]byte{{0xff, 0xff, 0xff}, nil, make([]byte, 4000)}}}
	gone := func(s network.Stream) { _ = s.Conn().Close() }
	first := func(then []byte) func(int) []byte {
		return func(n int) []byte {
			if n == 0 {
				return naming(one)
			}
			return then
		}
	}
	cases := []struct {
		name       string
		serve      func(network.Stream)
		outcome    observation.Outcome
		partial    bool
		neighbours int
	}{
		{"silent", func(network.Stream) {}, observation.Timeout, false, 0},
		{"resets the stream", func(s network.Stream) { _ = s.Reset() }, observation.Reset, false, 0},
		{"says it is busy", func(s network.Stream) { _ = s.ResetWithError(network.StreamResourceLimitExceeded) }, observation.Busy, false, 0},
		{"closes the stream", func(s network.Stream) { _ = s.Close() }, observation.Reset, false, 0},
		{"closes the connection", gone, observation.Reset, false, 0},
		{"no protobuf", answering(func(int) []byte { return []byte("\xff\xff\xff") }), observation.Malformed, false, 0},
		{"another type", answering(func(int) []byte { return []byte{8, 5} }), observation.Malformed, false, 0},
		{"a message without end", func(s network.Stream) { _, _ = s.Write([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}) }, observation.Malformed, false, 0},
		{"malformed peers", answering(func(int) []byte { return naming(bad...) }), observation.Answered, false, 1},
		{"malformed after the first", answering(first([]byte("\xff\xff"))), observation.Answered, true, 1},
		{"gone after the first", func(s network.Stream) {
			answering(first(nil))(s)
			gone(s)
		}, observation.Answered, true, 1},
		{"gone in the middle of a reply", func(s network.Stream) {
			_, _ = s.Write([]byte{100, 8, 4})
			gone(s)
		}, observation.Reset, false, 0},
		{"one request a stream", answering(first(nil)), observation.Answered, false, 1},
		{"thousands of peers", answering(func(int) []byte { return naming(entries(t, 10000)...) }), observation.Answered, true, 80},
		{"a million peers", answering(func(int) []byte { return million }), observation.Malformed, false, 0},
		{"empty table", answering(func(int) []byte { return naming() }), observation.Answered, false, 0},
	}
	for i, c := range cases {
		for _, transport := range []Transport{TCP, QUIC} {
			t.Run(c.name+" over "+string(transport), func(t *testing.T) {
				t.Parallel()
				info := fakeServer(t, 20+i, c.serve)
				cfg := impatient
				cfg.Transports = []Transport{transport}
				r := visitOne(t, cfg, info)
				if v := r.Visit; v.Outcome != c.outcome || v.Partial != c.partial || len(r.Neighbours) != c.neighbours {
					t.Errorf("got %s, partial %v, %d neighbours, %q; want %s, %v, %d",
						v.Outcome, v.Partial, len(r.Neighbours), v.Detail, c.outcome, c.partial, c.neighbours)
				}
				if r.Visit.Agent != fmt.Sprintf("test/%d", 20+i) {
					t.Errorf("agent %q", r.Visit.Agent)
				}
			})
		}
	}
}

// TestHostileIdentify meets peers that say too much of themselves.
func TestHostileIdentify(t *testing.T) {
	many := func(h host.Host, n int) {
		for i := range n {
			h.SetStreamHandler(protocol.ID(fmt.Sprintf("/p/%06d", i)), func(network.Stream) {})
		}
	}
	empty := answering(func(int) []byte { return naming() })
	cases := []struct {
		name, agent string
		protocols   int
	}{
		{"long agent", strings.Repeat("a", 10000), 0},
		{"invalid UTF-8", "a\xff\xfe\x1b[31m\u202e", 0},
		{"3000 protocols", "many", 3000},
		{"10000 protocols", "too many", 10000},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, 60+i, libp2p.UserAgent(c.agent))
			many(h, c.protocols)
			h.SetStreamHandler(DefaultProtocol, empty)
			v := visitOne(t, impatient, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}).Visit
			if v.Outcome != observation.Answered {
				t.Errorf("got %s, %q", v.Outcome, v.Detail)
			}
			if c.protocols < 10000 && v.Agent != observation.Text(c.agent) || !utf8.ValidString(v.Agent) {
				t.Errorf("agent %q", v.Agent)
			}
			if len(v.Protocols) > maxProtocols || c.protocols == 3000 && len(v.Protocols) != maxProtocols {
				t.Errorf("%d protocols", len(v.Protocols))
			}
			if c.protocols == 10000 && !strings.HasPrefix(v.Detail, "identify: ") {
				t.Errorf("detail %q does not say that identify failed", v.Detail)
			}
		})
	}
}
