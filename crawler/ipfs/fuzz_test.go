package ipfs

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"unicode/utf8"

	identifypb "github.com/libp2p/go-libp2p/p2p/protocol/identify/pb"
	"github.com/libp2p/go-msgio/pbio"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"canopy/crawler/ipfs/endpoint"
)

func FuzzReadReply(f *testing.F) {
	f.Add(naming(entries(f, 3)...))
	f.Add([]byte{8, 5})
	f.Fuzz(func(t *testing.T, raw []byte) {
		const limit = 80
		b := newBook(dialAll)
		r, err := b.readReply(raw, limit)
		if err != nil && len(r.peers) > 0 || len(r.peers) > limit {
			t.Fatalf("%d peers, %v", len(r.peers), err)
		}
		for i, n := range r.peers {
			p := n.peer
			if p.Validate() != nil || slices.Contains(r.peers[:i], n) {
				t.Fatalf("peer %q is empty or named twice", p)
			}
			if known := b.take(p); len(known.addrs) > maxDialable+maxOthers {
				t.Fatalf("%d addresses kept", len(known.addrs))
			}
		}
	})
}

func FuzzReadCard(f *testing.F) {
	var good bytes.Buffer
	card := &identifypb.Identify{AgentVersion: proto.String("kubo/0.43.0"), Protocols: []string{DefaultProtocol}}
	if err := pbio.NewDelimitedWriter(&good).WriteMsg(card); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(append(good.Bytes(), good.Bytes()...))
	w := &Walker{cfg: Config{Allow: everywhere}.withDefaults()}
	f.Fuzz(func(t *testing.T, raw []byte) {
		card, _ := readCard(bytes.NewReader(raw))
		v := &visit{s: &walk{w: w}, peer: keyOf(1)}
		v.describe(card)
		got := v.result.Visit
		if !utf8.ValidString(got.Agent) || len(got.Protocols) > maxProtocols || len(v.known) > maxDialable+maxOthers {
			t.Fatalf("%+v", got)
		}
		for _, text := range append(endpoint.Texts(v.known), got.Protocols...) {
			if !utf8.ValidString(text) {
				t.Fatalf("%q", text)
			}
		}
	})
}

func FuzzClassify(f *testing.F) {
	for _, s := range []string{
		"/ip4/127.0.0.1/tcp/4001", "/ip6/::1/udp/1/quic-v1", "/dns4/a.example/tcp/1", "/dnsaddr/a.example",
		"/ip4/1.2.3.4/tcp/1/tls/sni/a.example/ws", "/dns4/a.example/tcp/443/wss", "/dns/a/tcp/1/ws", "/ip4/1.2.3.4/udp/1/quic-v1/webtransport",
		"/ip6zone/x/ip6/fe80::1/tcp/1", "/unix/a", "/p2p-circuit", "/ip4/1.2.3.4/tcp/1/p2p/" + keyOf(1).String() + "/p2p-circuit",
	} {
		f.Add(ma(f, s).Bytes())
	}
	p := keyOf(1)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := multiaddr.NewMultiaddrBytes(raw)
		if err != nil {
			return
		}
		c, e := classify(m, p)
		if e.Kind == endpoint.Direct && (!c.addr.IsValid() || !slices.Contains(preference, c.transport)) {
			t.Fatalf("%s gave %+v", m, c)
		}
		w := &Walker{cfg: Config{Allow: func(netip.Addr) bool { return true }}.withDefaults()}
		w.add(&route{}, p, m)
	})
}
