package ipfs

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// candidate is one address that a visit may dial.
type candidate struct {
	transport Transport
	addr      netip.AddrPort
	ma        multiaddr.Multiaddr // without /p2p; of a name over TLS with /sni
	name      string              // of the host, for TLS under WebSocket; may be empty
}

// kind says what can be done with a multiaddr.
type kind int

const (
	direct      kind = iota // a candidate
	named                   // a candidate once its name is resolved
	relayed                 // reaches the peer through a relay only
	unsupported             // another transport, or another peer's address
)

// classify reads the shape of a multiaddr of p. It looks at nothing but the
// components: HOST/tcp/PORT, HOST/udp/PORT/quic-v1, HOST/tcp/PORT/ws,
// HOST/tcp/PORT/tls/sni/NAME/ws with or without the name or with /wss for it
// all, and /dnsaddr/NAME, each perhaps with p's own /p2p at the end. Of direct
// addresses and names it fills in the candidate as far as it is known.
func classify(m multiaddr.Multiaddr, p Peer) (candidate, kind) {
	var c candidate
	if slices.ContainsFunc(m, isCircuit) {
		return c, relayed
	}
	base, id := peer.SplitAddr(m)
	if id != "" && id != p || len(base) == 0 {
		return c, unsupported
	}
	c.ma = base
	if base[0].Protocol().Code == multiaddr.P_DNSADDR && len(base) == 1 {
		return c, named
	}
	if !readTransport(&c) {
		return c, unsupported
	}
	switch base[0].Protocol().Code {
	case multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6:
		return c, c.secureName(base[0].Value())
	case multiaddr.P_IP4, multiaddr.P_IP6:
		ip, ok := netip.AddrFromSlice(base[0].RawValue())
		c.addr = netip.AddrPortFrom(ip.Unmap(), c.addr.Port())
		if ok && c.addr.Port() != 0 {
			return c, direct
		}
	}
	return c, unsupported
}

// secureName keeps the name of a host that is dialled over TLS beside the
// addresses that it resolves to.
func (c *candidate) secureName(name string) kind {
	if c.transport != WSS || c.name != "" {
		return named
	}
	sni, err := multiaddr.NewComponent("sni", name)
	if err != nil || !hostName.MatchString(name) {
		return unsupported
	}
	c.name = name
	c.ma = slices.Concat(c.ma[:2], multiaddr.StringCast("/tls"), multiaddr.Multiaddr{*sni}, multiaddr.StringCast("/ws"))
	return named
}

// shapes are the components that follow the host, by their codes, for each
// transport.
var shapes = []struct {
	transport Transport
	codes     []int
}{
	{TCP, []int{multiaddr.P_TCP}},
	{QUIC, []int{multiaddr.P_UDP, multiaddr.P_QUIC_V1}},
	{WS, []int{multiaddr.P_TCP, multiaddr.P_WS}},
	{WSS, []int{multiaddr.P_TCP, multiaddr.P_WSS}},
	{WSS, []int{multiaddr.P_TCP, multiaddr.P_TLS, multiaddr.P_WS}},
	{WSS, []int{multiaddr.P_TCP, multiaddr.P_TLS, multiaddr.P_SNI, multiaddr.P_WS}},
}

// readTransport fills in transport, port and name from what follows the host.
func readTransport(c *candidate) bool {
	for _, s := range shapes {
		if !slices.EqualFunc(c.ma[1:], s.codes, func(part multiaddr.Component, code int) bool { return part.Protocol().Code == code }) {
			continue
		}
		c.transport = s.transport
		port := c.ma[1].RawValue()
		c.addr = netip.AddrPortFrom(netip.Addr{}, uint16(port[0])<<8|uint16(port[1]))
		if len(s.codes) == 4 {
			c.name = c.ma[3].Value()
			return hostName.MatchString(c.name)
		}
		return true
	}
	return false
}

// notDialled says in a word what an unsupported address of p is: its transport,
// most of the time.
func notDialled(m multiaddr.Multiaddr, p Peer) string {
	if _, id := peer.SplitAddr(m); id != "" && id != p {
		return "of another peer"
	}
	for _, c := range slices.Backward(m) {
		switch c.Protocol().Code {
		case multiaddr.P_P2P, multiaddr.P_CERTHASH, multiaddr.P_SNI:
		default:
			return c.Protocol().Name
		}
	}
	return "empty"
}

// maxCandidates bounds how many addresses one visit dials.
const maxCandidates = 16

// rank orders candidates as they are dialled, without duplicates: IPv4 before
// IPv6, and TCP before QUIC before WebSocket. A port that is said to speak plain
// TCP as well is dialled once. The order depends on nothing but
// the addresses, so that every crawl goes about it in the same way.
func rank(list []candidate) []candidate {
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(a.addr.Addr().BitLen(), b.addr.Addr().BitLen()),
			cmp.Compare(slices.Index(preference, a.transport), slices.Index(preference, b.transport)),
			a.addr.Compare(b.addr),
		)
	})
	list = slices.CompactFunc(list, func(a, b candidate) bool { return a.addr == b.addr && a.transport == b.transport })
	plain := make(map[netip.AddrPort]bool)
	for _, c := range list {
		plain[c.addr] = plain[c.addr] || c.transport == TCP
	}
	list = slices.DeleteFunc(list, func(c candidate) bool { return c.transport != TCP && c.transport != QUIC && plain[c.addr] })
	return list[:min(len(list), maxCandidates)]
}

func isCircuit(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_CIRCUIT }

// relayOf names the peer whose relay a circuit address goes through, the first
// of a chain, and "" if there is none or m does not say.
func relayOf(m multiaddr.Multiaddr) Peer {
	before, circuit := multiaddr.SplitFunc(m, isCircuit)
	if len(circuit) == 0 {
		return ""
	}
	_, id := peer.SplitAddr(before)
	return id
}
