package mainline

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"

	"canopy/crawler/mainline/krpc"
)

// Peer is one node of the DHT: an ID at an endpoint. Both together make the
// identity, since one ID may stand at many endpoints and the other way round.
// It is comparable and has no pointers, so that a frontier of millions stays
// small.
type Peer struct {
	ID   krpc.ID
	addr [16]byte // IPv4 is mapped into IPv6
	port uint16
}

// NewPeer returns the node id at addr.
func NewPeer(id krpc.ID, addr netip.AddrPort) Peer {
	return Peer{ID: id, addr: addr.Addr().As16(), port: addr.Port()}
}

// set4 reads compact node info (BEP 5).
func (p *Peer) set4(b *[krpc.Node4Len]byte) {
	p.ID = krpc.ID(b[:krpc.IDLen])
	p.addr = [16]byte{10: 0xff, 11: 0xff, 12: b[20], 13: b[21], 14: b[22], 15: b[23]}
	p.port = binary.BigEndian.Uint16(b[24:])
}

// set6 reads compact node info of IPv6 (BEP 32).
func (p *Peer) set6(b *[krpc.Node6Len]byte) {
	p.ID, p.addr, p.port = krpc.ID(b[:krpc.IDLen]), [16]byte(b[krpc.IDLen:]), binary.BigEndian.Uint16(b[36:])
}

// Addr returns the endpoint. An IPv4 address comes out as such.
func (p Peer) Addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(p.addr).Unmap(), p.port)
}

// String writes ID@address:port.
func (p Peer) String() string { return p.ID.String() + "@" + p.Addr().String() }

// is tells whether both are the same. Almost always the first bytes of the IDs
// decide.
func (p *Peer) is(q *Peer) bool {
	return word(p.ID[:]) == word(q.ID[:]) && *p == *q
}

func word(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// hash mixes all of a peer with secrets of this process, so that nobody can
// name peers whose hashes meet (Wang Yi, wyhash).
func (p *Peer) hash() uint64 {
	last := uint64(binary.NativeEndian.Uint32(p.ID[16:]))<<16 | uint64(p.port)
	high, low := bits.Mul64(word(p.ID[:])^secrets[0], word(p.ID[8:])^secrets[1])
	high2, low2 := bits.Mul64(last^secrets[2], word(p.addr[:])^secrets[3])
	high, low = bits.Mul64(high^low^secrets[4], high2^low2^word(p.addr[8:]))
	return high ^ low
}

var (
	seed    = maphash.MakeSeed()
	secrets = func() (s [5]uint64) {
		for i := range s {
			s[i] = maphash.Comparable(seed, i)
		}
		return s
	}()
)

// family tells which sockets reach the peer.
func (p Peer) family() family {
	if netip.AddrFrom16(p.addr).Is4In6() {
		return ipv4
	}
	return ipv6
}

// family is an address family, as an index.
type family int

const (
	ipv4 family = iota
	ipv6
	families
)

func familyOf(a netip.Addr) family {
	if a.Unmap().Is4() {
		return ipv4
	}
	return ipv6
}

// String names the family for people.
func (f family) String() string {
	if f == ipv4 {
		return "IPv4"
	}
	return "IPv6"
}

// want is the family as a query asks for it.
func (f family) want() krpc.Want {
	if f == ipv4 {
		return krpc.WantNodes
	}
	return krpc.WantNodes6
}
