package ipfs

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"canopy/crawler/ipfs/endpoint"
)

// candidate is one address that a visit may dial.
type candidate struct {
	transport Transport
	addr      netip.AddrPort
	ma        multiaddr.Multiaddr // without /p2p; of a name over TLS with /sni
	name      string              // of the host, for TLS under WebSocket; may be empty
}

// classify reads a multiaddr of p, as far as a visit wants it.
func classify(m multiaddr.Multiaddr, p Peer) (candidate, endpoint.Endpoint) {
	e := endpoint.Read(m, string(p))
	return candidate{e.Transport, e.Addr, e.Multiaddr, e.Name}, e
}

// notDialled says in a word what an address of p is that is not dialled: its
// transport, most of the time.
func notDialled(m multiaddr.Multiaddr, p Peer) string {
	if _, id := peer.SplitAddr(m); id != "" && id != p {
		return "of another peer"
	}
	return endpoint.Label(m)
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
