package ipfs

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"canopy/crawler/observation"
)

// names is a resolver with a fixed answer for all names.
type names struct {
	ip  string
	txt []string
	err error
}

func (n names) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	return []net.IPAddr{{IP: net.ParseIP(n.ip)}}, n.err
}

func (n names) LookupTXT(context.Context, string) ([]string, error) { return n.txt, nil }

// TestNames resolves names, and checks what they resolve to before dialling.
func TestNames(t *testing.T) {
	n := newNode(t, 70)
	_, port, _ := strings.Cut(n.info.Addrs[0].String(), "/tcp/")
	id := n.info.ID
	cases := []struct {
		name    string
		addr    string
		names   names
		allow   func(netip.Addr) bool
		outcome observation.Outcome
	}{
		{"dns4", "/dns4/host.example/tcp/" + port, names{ip: loopback(70).String()}, everywhere, observation.Answered},
		{"dns to private space", "/dns4/host.example/tcp/" + port, names{ip: "10.0.0.1"}, routable, observation.NoAddress},
		{"mapped private address", "/dns6/host.example/tcp/" + port, names{ip: "::ffff:10.0.0.1"}, routable, observation.NoAddress},
		{"dnsaddr to private space", "/dnsaddr/host.example", names{txt: []string{"dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + id.String()}}, routable, observation.NoAddress},
		{"wss to private space", "/dns4/host.example/tcp/443/wss", names{ip: "10.0.0.1"}, routable, observation.NoAddress},
		{"sni beside a private address", "/ip4/10.0.0.1/tcp/443/tls/sni/host.example/ws", names{}, routable, observation.NoAddress},
		{"no such name", "/dns4/host.example/tcp/" + port, names{err: &net.DNSError{Err: "no such host", IsNotFound: true}}, everywhere, observation.NoAddress},
		{"silent name server", "/dns4/host.example/tcp/" + port, names{err: &net.DNSError{Err: "timeout", IsTimeout: true}}, everywhere, observation.Timeout},
		{"dnsaddr", "/dnsaddr/host.example", names{txt: []string{"dnsaddr=" + n.seed()}}, everywhere, observation.Answered},
		{"dnsaddr of another", "/dnsaddr/host.example", names{txt: []string{"dnsaddr=" + refusing(1) + "/p2p/" + stranger(t).String()}}, everywhere, observation.NoAddress},
		{"dnsaddr loop", "/dnsaddr/host.example", names{txt: []string{"dnsaddr=/dnsaddr/host.example", "dnsaddr=/dnsaddr/host.example"}}, everywhere, observation.NoAddress},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := impatient
			cfg.Resolver, cfg.Allow = c.names, c.allow
			if v := visitOne(t, cfg, at(t, id, c.addr)).Visit; v.Outcome != c.outcome {
				t.Errorf("got %s, %q; want %s", v.Outcome, v.Detail, c.outcome)
			}
		})
	}
}

// TestShortagesAreTold tells our own shortages from a machine without IPv6.
func TestShortagesAreTold(t *testing.T) {
	four := candidate{addr: netip.MustParseAddrPort("192.0.2.1:1")}
	six := candidate{addr: netip.MustParseAddrPort("[2001:db8::1]:1")}
	for _, c := range []struct {
		attempt
		ours bool
	}{
		{attempt{candidate: four, err: syscall.EMFILE}, true},
		{attempt{candidate: four, err: syscall.EADDRNOTAVAIL}, true},
		{attempt{candidate: six, err: syscall.EADDRNOTAVAIL}, false},
		{attempt{candidate: four, err: syscall.ECONNREFUSED}, false},
	} {
		if got := ours(c.attempt); got != c.ours {
			t.Errorf("%s at %s: ours is %v", c.err, c.addr, got)
		}
	}
	if got := outcomeOf(syscall.EADDRNOTAVAIL); got != observation.Unreachable {
		t.Errorf("no address to dial from: %s", got)
	}
}

// TestNothingOutsideRoutableSpaceByDefault checks the default of Allow.
func TestNothingOutsideRoutableSpaceByDefault(t *testing.T) {
	n := newNode(t, 71)
	v := visitOne(t, Config{Allow: routable}, n.info).Visit
	if v.Outcome != observation.NoAddress || !strings.Contains(v.Detail, "2 addresses outside the space") {
		t.Errorf("got %s, %q", v.Outcome, v.Detail)
	}
}

// TestUnknownAddressesAreSkipped visits a peer one of whose addresses is of a
// kind that nobody knows.
func TestUnknownAddressesAreSkipped(t *testing.T) {
	n := newNode(t, 0)
	w := newWalker(t, Config{Bootstrap: []string{n.seed()}})
	w.book.learn([]byte(n.info.ID), [][]byte{{0xff, 0xff, 0x7f, 1}, {0x04, 127}, {}, n.info.Addrs[0].Bytes()})
	v := crawl(t, w, n.info.ID)[n.info.ID].Visit
	if v.Outcome != observation.Answered || len(v.Addresses) != len(n.info.Addrs) {
		t.Errorf("got %s, %q", v.Outcome, v.Addresses)
	}
	odd := stranger(t)
	w.book.learn([]byte(odd), [][]byte{{0xff, 0xff, 0x7f, 1}, {0x04, 127}})
	if v := crawl(t, w, odd)[odd].Visit; v.Outcome != observation.NoAddress || v.Detail != "only addresses that cannot be read: 2" {
		t.Errorf("nothing else: %s, %q", v.Outcome, v.Detail)
	}
	browser := at(t, stranger(t), "/ip4/127.0.0.1/udp/1/webrtc-direct")
	w.mention(browser)
	crawl(t, w, browser.ID)
	if degraded, notes := w.Health(); degraded || len(notes) != 1 || !strings.Contains(notes[0], "1 peers have only addresses that are not dialled") {
		t.Errorf("degraded %v, notes %q", degraded, notes)
	}
}
