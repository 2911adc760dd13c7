package ipfs

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
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

// rank orders candidates as they are dialled, without duplicates: the first
// port of each host and transport, IPv4 before IPv6, and TCP before QUIC before
// WebSocket; then the second ports, and so on. WebSocket at a port that is said
// to speak plain TCP as well is told apart. The order depends on nothing but
// the addresses, so that every crawl goes about it in the same way, and is
// otherwise that of a hash: neither low addresses nor low ports come first.
func rank(list []candidate) (ranked, spare []candidate) {
	hashes := make(map[candidateKey]uint64, len(list))
	for _, c := range list {
		hashes[c.key()] = c.hash()
	}
	place := func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(a.addr.Addr().BitLen(), b.addr.Addr().BitLen()),
			cmp.Compare(slices.Index(preference, a.transport), slices.Index(preference, b.transport)),
			cmp.Compare(hashes[a.key()], hashes[b.key()]), a.addr.Compare(b.addr),
		)
	}
	slices.SortFunc(list, place)
	list = slices.CompactFunc(list, candidate.same)
	plain := make(map[netip.AddrPort]bool)
	for _, c := range list {
		plain[c.addr] = plain[c.addr] || c.transport == TCP
	}
	turns, ports := make(map[candidateKey]int, len(list)), make(map[hostKey]int)
	for _, c := range list {
		if c.transport != TCP && c.transport != QUIC && plain[c.addr] {
			spare = append(spare, c)
			continue
		}
		host := hostKey{c.addr.Addr(), c.transport}
		turns[c.key()] = ports[host]
		ports[host]++
		ranked = append(ranked, c)
	}
	slices.SortStableFunc(ranked, func(a, b candidate) int { return cmp.Compare(turns[a.key()], turns[b.key()]) })
	return ranked, spare
}

// candidateKey is what makes two candidates the same.
type candidateKey struct {
	addr      netip.AddrPort
	transport Transport
}

// hostKey is a host as far as one transport reaches it.
type hostKey struct {
	addr      netip.Addr
	transport Transport
}

func (c candidate) key() candidateKey { return candidateKey{c.addr, c.transport} }

func (c candidate) same(d candidate) bool { return c.key() == d.key() }

// hash is a number that follows from the address and is no rank of it.
func (c candidate) hash() uint64 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint16(c.addr.Addr().AsSlice(), c.addr.Port()))
	return binary.BigEndian.Uint64(sum[:])
}
