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
	ma        multiaddr.Multiaddr // without /p2p
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
// components: /ip4|ip6|dns.../tcp/PORT, /ip4|ip6|dns.../udp/PORT/quic-v1 and
// /dnsaddr/NAME, each perhaps with p's own /p2p at the end. For direct
// addresses it fills in the candidate.
func classify(m multiaddr.Multiaddr, p Peer) (candidate, kind) {
	var c candidate
	if slices.ContainsFunc(m, isCircuit) {
		return c, relayed
	}
	base, id := peer.SplitAddr(m)
	if id != "" && id != p || len(base) == 0 {
		return c, unsupported
	}
	if base[0].Protocol().Code == multiaddr.P_DNSADDR && len(base) == 1 {
		return c, named
	}
	c.ma = base
	if !readTransport(&c) {
		return c, unsupported
	}
	switch base[0].Protocol().Code {
	case multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6:
		return c, named
	case multiaddr.P_IP4, multiaddr.P_IP6:
		ip, ok := netip.AddrFromSlice(base[0].RawValue())
		c.addr = netip.AddrPortFrom(ip.Unmap(), c.addr.Port())
		if ok && c.addr.Port() != 0 {
			return c, direct
		}
	}
	return c, unsupported
}

// readTransport fills in transport and port from what follows the host.
func readTransport(c *candidate) bool {
	var codes [2]int
	for i, comp := range c.ma[1:] {
		if i == len(codes) {
			return false
		}
		codes[i] = comp.Protocol().Code
	}
	switch codes {
	case [2]int{multiaddr.P_TCP, 0}:
		c.transport = TCP
	case [2]int{multiaddr.P_UDP, multiaddr.P_QUIC_V1}:
		c.transport = QUIC
	default:
		return false
	}
	port := c.ma[1].RawValue()
	c.addr = netip.AddrPortFrom(netip.Addr{}, uint16(port[0])<<8|uint16(port[1]))
	return true
}

// maxCandidates bounds how many addresses one visit dials.
const maxCandidates = 16

// rank orders candidates as they are dialled, without duplicates: IPv4 before
// IPv6, and TCP before QUIC on the same host. The order depends on nothing but
// the addresses, so that every crawl goes about it in the same way.
func rank(list []candidate) []candidate {
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(a.addr.Addr().BitLen(), b.addr.Addr().BitLen()),
			-cmp.Compare(a.transport, b.transport), // "tcp" before "quic-v1"
			a.addr.Compare(b.addr),
		)
	})
	list = slices.CompactFunc(list, func(a, b candidate) bool { return a.addr == b.addr && a.transport == b.transport })
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
