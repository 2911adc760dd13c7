package ipfs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	"github.com/multiformats/go-multiaddr"

	"canopy/crawler/observation"
)

// newWebSocketNode is a real server of the DHT that listens over WebSocket
// only, without TLS and with; who asks for a certificate for another name than
// webHost is turned away.
func newWebSocketNode(t *testing.T, i int) *node {
	t.Helper()
	certificate := selfSigned(t)
	secure := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName != webHost {
			return nil, fmt.Errorf("no certificate for %q", hello.ServerName)
		}
		return &certificate, nil
	}}
	h, err := libp2p.New(
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/0/ws", loopback(i)), fmt.Sprintf("/ip4/%s/tcp/0/tls/ws", loopback(i))),
		libp2p.Transport(websocket.New, websocket.WithTLSConfig(secure)),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.UserAgent(fmt.Sprintf("test/%d", i)),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	d, err := dht.New(h, dht.Mode(dht.ModeServer), dht.DisableAutoRefresh(), dht.AddressFilter(nil), dht.RoutingTableFilter(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return &node{h, d, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}}
}

const webHost = "node.example"

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{webHost}, NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// port is the TCP port of a multiaddr.
func port(t *testing.T, m multiaddr.Multiaddr) string {
	t.Helper()
	p, err := m.ValueForProtocol(multiaddr.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWebSocketServers reads the tables of servers that can be reached over
// WebSocket only, whatever way their addresses are written.
func TestWebSocketServers(t *testing.T) {
	n := newWebSocketNode(t, 130)
	n.knows(t, entriesOf(t, 60)...)
	plain, secure := n.info.Addrs[0], n.info.Addrs[1]
	if strings.Contains(plain.String(), "tls") {
		plain, secure = secure, plain
	}
	ip := loopback(130).String()
	cases := []struct {
		addr      string
		transport Transport
		outcome   observation.Outcome
	}{
		{plain.String(), WS, observation.Answered},
		{"/dns4/" + webHost + "/tcp/" + port(t, plain) + "/ws", WS, observation.Answered},
		{"/ip4/" + ip + "/tcp/" + port(t, secure) + "/tls/sni/" + webHost + "/ws", WSS, observation.Answered},
		{"/dns4/" + webHost + "/tcp/" + port(t, secure) + "/tls/ws", WSS, observation.Answered},
		{"/dns4/" + webHost + "/tcp/" + port(t, secure) + "/wss", WSS, observation.Answered},
		{"/dns4/" + webHost + "/tcp/" + port(t, secure) + "/tls/sni/" + webHost + "/ws", WSS, observation.Answered},
		{"/dns4/another.example/tcp/" + port(t, secure) + "/wss", WSS, observation.HandshakeError},
		{"/ip4/" + ip + "/tcp/" + port(t, secure) + "/ws", WS, observation.HandshakeError},
		{"/ip4/" + ip + "/tcp/" + port(t, plain), TCP, observation.HandshakeError},
		{"/ip4/" + ip + "/tcp/9/ws", WS, observation.Refused},
		{"/dns4/bad_name../tcp/443/wss", "", observation.NoAddress},
	}
	for _, c := range cases {
		cfg := impatient
		cfg.Resolver = names{ip: ip}
		r := visitOne(t, cfg, at(t, n.info.ID, c.addr))
		v := r.Visit
		if v.Outcome != c.outcome || v.Transport != string(c.transport) {
			t.Errorf("%s: %s over %q, %q; want %s over %q", c.addr, v.Outcome, v.Transport, v.Detail, c.outcome, c.transport)
		}
		if c.outcome != observation.Answered {
			continue
		}
		if !slices.Equal(n.table(), sorted(r.Neighbours)) || v.Partial || v.Agent != "test/130" || v.Handshake <= 0 {
			t.Errorf("%s: %d of %d neighbours, partial %v, agent %q, handshake %s", c.addr, len(r.Neighbours), len(n.table()), v.Partial, v.Agent, v.Handshake)
		}
	}
	stray := visitOne(t, impatient, peer.AddrInfo{ID: stranger(t), Addrs: []multiaddr.Multiaddr{plain}}).Visit
	if stray.Outcome != observation.WrongIdentity {
		t.Errorf("another's identity: %s, %q", stray.Outcome, stray.Detail)
	}
}

// entriesOf are peers that nobody runs, with addresses.
func entriesOf(t testing.TB, n int) (list []peer.AddrInfo) {
	for range n {
		list = append(list, at(t, stranger(t), refusing(200)))
	}
	return list
}

// TestWebSocketComesLast keeps WebSocket for peers that have nothing better: it
// is not dialled at a port that speaks TCP, nor is its name looked up.
func TestWebSocketComesLast(t *testing.T) {
	n := newNode(t, 131)
	ip, tcp := loopback(131).String(), port(t, n.info.Addrs[0])
	cfg := impatient
	looked := new(counted)
	cfg.Resolver = looked
	v := visitOne(t, cfg, at(t, n.info.ID,
		"/ip4/"+ip+"/tcp/"+tcp+"/ws", "/dns4/"+webHost+"/tcp/"+tcp+"/tls/ws", "/ip4/"+ip+"/tcp/"+tcp+"/tls/sni/"+webHost+"/ws", n.info.Addrs[0].String()))
	if v.Visit.Outcome != observation.Answered || v.Visit.Transport != string(TCP) || looked.n.Load() != 0 {
		t.Errorf("%s over %q, %d names looked up", v.Visit.Outcome, v.Visit.Transport, looked.n.Load())
	}
	one, two := netip.AddrPortFrom(loopback(1), 1), netip.AddrPortFrom(loopback(1), 2)
	list, spare := rank([]candidate{
		{transport: WSS, addr: one}, {transport: WS, addr: two}, {transport: QUIC, addr: one}, {transport: TCP, addr: one},
	})
	var order []Transport
	for _, c := range list {
		order = append(order, c.transport)
	}
	if want := []Transport{TCP, QUIC, WS}; !slices.Equal(order, want) || len(spare) != 1 || spare[0].transport != WSS {
		t.Errorf("dialled in the order %q, want %q; spare are %v", order, want, spare)
	}
}

// counted is a resolver that knows nothing and counts who asks.
type counted struct{ n atomic.Int32 }

func (c *counted) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	c.n.Add(1)
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func (c *counted) LookupTXT(context.Context, string) ([]string, error) { return nil, nil }

// TestHostileWebSockets meets web servers that are none.
func TestHostileWebSockets(t *testing.T) {
	var sent atomic.Int64
	flood := func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n")
		line := []byte("X-Filler: " + strings.Repeat("x", 4000) + "\r\n")
		for {
			n, err := c.Write(line)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	cases := []struct {
		name    string
		serve   func(net.Conn)
		outcome observation.Outcome
	}{
		{"never speaks", func(net.Conn) {}, observation.Timeout},
		{"hangs up", func(c net.Conn) { _ = c.Close() }, observation.Reset},
		{"no WebSocket", func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		}, observation.HandshakeError},
		{"head without end", flood, observation.Malformed},
	}
	for i, c := range cases {
		for _, tail := range []string{"/ws", "/tls/sni/" + webHost + "/ws"} {
			want := c.outcome
			if tail != "/ws" && (c.name == "no WebSocket" || c.name == "head without end") {
				want = observation.HandshakeError // that is no TLS
			}
			t.Run(c.name+tail, func(t *testing.T) {
				t.Parallel()
				v := visitOne(t, impatient, at(t, stranger(t), tcpServer(t, 132+i, c.serve)+tail)).Visit
				if v.Outcome != want {
					t.Errorf("got %s, %q; want %s", v.Outcome, v.Detail, want)
				}
			})
		}
	}
	t.Cleanup(func() {
		if n := sent.Load(); n > 64<<20 { // what fits in buffers of the system, at the most
			t.Errorf("%d bytes were taken from a server that never came to an end", n)
		}
	})
}

// TestWebSocketBytes reads what arrives in pieces of any size.
func TestWebSocketBytes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	c := candidate{transport: WS, addr: netip.MustParseAddrPort(server.Listener.Addr().String())}
	raw, err := net.Dial("tcp", c.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := openWebSocket(t.Context(), raw, c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := make([]byte, 200000) // more than what is allowed before the WebSocket stands
	_, _ = rand.Read(sent)
	go func() {
		for chunk := range slices.Chunk(sent, 7777) {
			if _, err := conn.Write(chunk); err != nil {
				return
			}
		}
	}()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("the bytes differ: %v", err)
	}
}

// echo sends every message back, in pieces of another size.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := new(gorilla.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		for piece := range slices.Chunk(message, 1000) {
			if conn.WriteMessage(gorilla.BinaryMessage, piece) != nil {
				return
			}
		}
	}
}
