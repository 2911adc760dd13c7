package ipfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/proto"

	"canopy/crawler/observation"
)

func newChecker(t testing.TB, cfg Config) *Checker {
	t.Helper()
	if cfg.Allow == nil {
		cfg.Allow = everywhere
	}
	c, err := NewChecker(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func contentID(t testing.TB, text string) cid.Cid {
	t.Helper()
	hash, err := multihash.Sum([]byte(text), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// closed is an entry point that was shut down.
func closed(t *testing.T, i int) string {
	t.Helper()
	n := newNode(t, i)
	seed := n.seed()
	if err := n.host.Close(); err != nil {
		t.Fatal(err)
	}
	return seed
}

// What hosts of kad-dht provide is found from a cold start, whoever is asked first, and what nobody provides is not.
func TestCheckFindsProviders(t *testing.T) {
	const size, providers = 40, 3
	nodes := newNodes(t, size)
	mesh(t, nodes)
	content := contentID(t, "the commons")
	want := map[string]netip.Addr{}
	for i := range providers {
		p := newNode(t, size+i, dht.Mode(dht.ModeClient))
		p.knows(t, infos(nodes)...)
		if err := p.dht.Provide(t.Context(), content, true); err != nil {
			t.Fatal(err)
		}
		want[p.info.ID.String()] = loopback(size + i)
	}
	dead := closed(t, size+providers)
	c := newChecker(t, Config{DialTimeout: 10 * time.Second})
	v0, err := cid.Decode(content.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range [][]string{{nodes[0].seed()}, {dead, nodes[size-1].seed()}} {
		s, holders, err := c.Find(t.Context(), from, v0.String())
		if err != nil || s.Found != providers || s.Namers == 0 || s.First <= 0 || s.First > s.Took || s.Hops == 0 || s.Closest != s.K {
			t.Errorf("from %v: %+v, %v", from, s, err)
		}
		got := map[string]netip.Addr{}
		for _, h := range holders {
			got[h.PeerID] = h.Address
		}
		for id, addr := range want {
			if got[id] != addr {
				t.Errorf("from %v: provider %s at %s, want %s", from, id, got[id], addr)
			}
		}
	}
	s, holders, err := c.Find(t.Context(), []string{nodes[1].seed()}, contentID(t, "nobody has this").String())
	if err != nil || s.Found != 0 || len(holders) != 0 || s.Closest != s.K || s.First != 0 {
		t.Errorf("absent content: %+v, %v", s, err)
	}
	if s, err := c.Start(t.Context(), []string{nodes[2].seed()}); err != nil || s.Closest != s.K || 2*s.Answered < s.K {
		t.Errorf("a start: %+v, %v", s, err)
	}
	if s, err := c.Start(t.Context(), []string{dead}); err != nil || s.Answered != 0 {
		t.Errorf("a start at a dead entry point: %+v, %v", s, err)
	}
	k, holders, err := c.Knock(t.Context(), nodes[3].seed())
	if err != nil || k.Outcome != observation.Answered || k.Named == 0 || k.RTT <= 0 || k.Agent != "test/3" || len(holders) != 1 || holders[0].Address != loopback(3) {
		t.Errorf("knock: %+v, %v, %v", k, holders, err)
	}
	if k, _, err := c.Knock(t.Context(), dead); err != nil || k.Outcome != observation.Refused || k.Named != 0 {
		t.Errorf("knock at a dead entry point: %+v, %v", k, err)
	}
}

// Who may not be contacted is not, and providers who opted out are not kept.
func TestCheckKeepsThePolicy(t *testing.T) {
	nodes := newNodes(t, 2)
	mesh(t, nodes)
	none := newChecker(t, Config{Allow: func(netip.Addr) bool { return false }})
	if s, err := none.Start(t.Context(), []string{nodes[0].seed()}); err != nil || s.Queries != 0 || len(nodes[0].host.Network().Conns()) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	content := contentID(t, "quiet")
	p := newNode(t, 2, dht.Mode(dht.ModeClient))
	p.knows(t, infos(nodes)...)
	if err := p.dht.Provide(t.Context(), content, true); err != nil {
		t.Fatal(err)
	}
	some := newChecker(t, Config{Refuse: func(id string) bool { return id == p.info.ID.String() }})
	if _, holders, err := some.Find(t.Context(), []string{nodes[0].seed()}, content.String()); err != nil || len(holders) != 0 {
		t.Errorf("kept %v, %v", holders, err)
	}
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	if _, _, err := some.Find(ctx, []string{nodes[0].seed()}, content.String()); !errors.Is(err, stopped) {
		t.Errorf("a search that was cut short ended with %v", err)
	}
	if _, err := some.ParseContent("Qm"); err == nil || !strings.Contains(err.Error(), `read CID "Qm"`) {
		t.Errorf("what is no CID: %v", err)
	}
	if _, err := some.ParseEntry("router.example.org:6881"); err == nil || !strings.Contains(err.Error(), "must begin with /") {
		t.Errorf("what is no multiaddr: %v", err)
	}
}

func providing(t testing.TB, closer, providers []*pb.Message_Peer) []byte {
	t.Helper()
	raw, err := proto.Marshal(&pb.Message{Type: pb.Message_GET_PROVIDERS, CloserPeers: closer, ProviderPeers: providers})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Of a reply that names endless providers with endless addresses, no more is kept than is believed.
func TestReadProvidersIsBounded(t *testing.T) {
	many := func(n, addrs int) (list []*pb.Message_Peer) {
		for i := range n {
			digest := sha256.Sum256(fmt.Append(nil, i))
			p := &pb.Message_Peer{Id: append([]byte{0x12, 0x20}, digest[:]...)}
			for j := range addrs {
				p.Addrs = append(p.Addrs, []byte{4, 127, 0, byte(j >> 8), byte(j), 6, 15, 161})
			}
			list = append(list, p)
		}
		return list
	}
	s, err := newBook(dialAll).readProviders(providing(t, many(500, 1), many(2000, 2)), 80)
	if err != nil || len(s.closer) != 80 || len(s.providers) != maxPerReply || !s.cut {
		t.Errorf("%d closer, %d providers, cut %v, %v", len(s.closer), len(s.providers), s.cut, err)
	}
	s, err = newBook(dialAll).readProviders(providing(t, nil, many(1, 10_000)), 80)
	if err != nil || len(s.providers) != 1 || len(s.providers[0].Addrs) != providerAddrs {
		t.Errorf("%+v, %v", s, err)
	}
	g := newGathering(newWalker(t, Config{}), []byte("key"))
	for i := range 20 {
		v := &visit{peer: keyOf(uint64(i))}
		v.result.Visit.Outcome = observation.Answered
		var o said
		for j := range maxPerReply {
			s, err := newBook(dialAll).readProviders(providing(t, nil, []*pb.Message_Peer{{Id: slices.Concat([]byte{0x12, 0x20}, bytes.Repeat([]byte{byte(i), byte(j >> 8), byte(j), 1}, 8))}}), 80)
			if err != nil {
				t.Fatal(err)
			}
			o.providers = append(o.providers, s.providers...)
		}
		g.take(outcome{from: &near{}, v: v, said: o})
	}
	if len(g.found) != maxProviders || !g.search.Cut || len(g.holders()) != maxProviders {
		t.Errorf("%d providers kept", len(g.found))
	}
}

// However many peers are invented, a search keeps the closest of them only.
func TestSearchIsBounded(t *testing.T) {
	g := newGathering(newWalker(t, Config{}), []byte("key"))
	for i := range 3 * searchKnown {
		digest := sha256.Sum256(fmt.Append(nil, i))
		g.add(Peer(append([]byte{0x12, 0x20}, digest[:]...)), 1)
	}
	if len(g.order) != searchKnown || len(g.known) != searchKnown {
		t.Errorf("%d candidates, %d known", len(g.order), len(g.known))
	}
	for i, n := range g.order[1:] {
		if bytes.Compare(g.order[i].distance[:], n.distance[:]) > 0 {
			t.Fatal("candidates are not in order")
		}
	}
}

func FuzzReadProviders(f *testing.F) {
	f.Add(providing(f, entries(f, 3), entries(f, 2)))
	f.Add([]byte{8, 3})
	f.Add([]byte{8, 3, 74, 2, 10, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := newBook(dialAll).readProviders(raw, 80)
		if err != nil && (len(s.closer) > 0 || len(s.providers) > 0) || len(s.closer) > 80 || len(s.providers) > maxPerReply {
			t.Fatalf("%d closer, %d providers, %v", len(s.closer), len(s.providers), err)
		}
		for _, p := range s.providers {
			if p.ID.Validate() != nil || len(p.Addrs) > providerAddrs {
				t.Fatalf("%+v", p)
			}
			for _, m := range p.Addrs {
				classify(m, p.ID)
			}
		}
	})
}
