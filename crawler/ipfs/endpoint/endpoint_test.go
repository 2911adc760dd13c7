package endpoint

import (
	"encoding/csv"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

const (
	self = "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP"
	peer = "QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6"
	hash = "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g"
)

// vectors are the lines of testdata/multiaddrs.csv, which the tests of the crawler
// and of the import read too.
func vectors(t testing.TB) (list [][]string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "multiaddrs.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := csv.NewReader(f)
	c.Comment = '#'
	if list, err = c.ReadAll(); err != nil || len(list) < 50 {
		t.Fatalf("%d lines, %v", len(list), err)
	}
	for _, fields := range list[1:] {
		for i := range fields {
			fields[i] = strings.NewReplacer("SELF", self, "PEER", peer, "HASH", hash).Replace(fields[i])
		}
	}
	return list[1:]
}

func binary(t testing.TB, id string) string {
	t.Helper()
	raw, err := multihash.FromB58String(id)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestRead(t *testing.T) {
	for _, v := range vectors(t) {
		m, err := multiaddr.NewMultiaddr(v[0])
		if err != nil {
			t.Errorf("%s: %v", v[0], err)
			continue
		}
		e := Read(m, binary(t, self))
		address := ""
		if e.Addr.IsValid() {
			address = e.Addr.String()
		}
		kind := []string{"direct", "named", "relayed", "other"}[e.Kind]
		if got := []string{v[0], kind, address, string(e.Transport), e.Relay}; !slices.Equal(got, v) {
			t.Errorf("got  %q\nwant %q", got, v)
		}
	}
}

// TestNamesOverTLS checks that the name of a host goes with the addresses that it
// resolves to.
func TestNamesOverTLS(t *testing.T) {
	for text, want := range map[string][2]string{
		"/dns4/a.example.org/tcp/443/wss":                      {"a.example.org", "/dns4/a.example.org/tcp/443/tls/sni/a.example.org/ws"},
		"/dns4/a.example.org/tcp/443/tls/sni/b.example.org/ws": {"b.example.org", "/dns4/a.example.org/tcp/443/tls/sni/b.example.org/ws"},
		"/dns4/a.example.org/tcp/80/ws":                        {"", "/dns4/a.example.org/tcp/80/ws"},
	} {
		e := Read(multiaddr.StringCast(text), "")
		if e.Kind != Named || e.Name != want[0] || e.Multiaddr.String() != want[1] {
			t.Errorf("%s: %+v", text, e)
		}
	}
}

func TestTextsAndRelays(t *testing.T) {
	var list []multiaddr.Multiaddr
	for _, text := range []string{"/ip4/45.77.1.2/udp/1/quic-v1", "/ip4/45.77.1.2/tcp/1/p2p/" + self, "/p2p/" + peer + "/p2p-circuit", "/ip4/45.77.1.2/tcp/1/ipfs/" + peer + "/p2p-circuit", "/ip4/45.77.1.2/tcp/1"} {
		list = append(list, Bare(multiaddr.StringCast(text), binary(t, self)))
	}
	want := []string{"/ip4/45.77.1.2/tcp/1", "/ip4/45.77.1.2/tcp/1/p2p/" + peer + "/p2p-circuit", "/ip4/45.77.1.2/udp/1/quic-v1", "/p2p/" + peer + "/p2p-circuit"}
	if got := Texts(list); !slices.Equal(got, want) {
		t.Errorf("texts %q, want %q", got, want)
	}
	if got := Relays(list); !slices.Equal(got, []string{peer}) {
		t.Errorf("relays %q", got)
	}
}

func FuzzRead(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(multiaddr.StringCast(v[0]).Bytes())
	}
	own := binary(f, self)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := multiaddr.NewMultiaddrBytes(raw)
		if err != nil {
			return
		}
		e := Read(m, own)
		at := e.Addr.Addr()
		if at.IsValid() && (at.Is4In6() || at.Zone() != "" || e.Addr.Port() == 0 || e.Transport == "") || e.Kind == Direct && !at.IsValid() {
			t.Fatalf("%s gave %+v", m, e)
		}
		if (e.Kind == Direct || e.Kind == Named && len(e.Multiaddr) > 1) && !slices.Contains([]Transport{TCP, QUIC, WS, WSS}, e.Transport) {
			t.Fatalf("%s gave %+v", m, e)
		}
		if e.Relay != "" && e.Kind != Relayed || e.Kind == Relayed && e.Addr != (netip.AddrPort{}) {
			t.Fatalf("%s gave %+v", m, e)
		}
		if e.Name != "" && e.Kind != Other && !hostName.MatchString(e.Name) {
			t.Fatalf("%s gave the name %q", m, e.Name)
		}
	})
}
