package mainline

import (
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

// Addr returns the endpoint. An IPv4 address comes out as such.
func (p Peer) Addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(p.addr).Unmap(), p.port)
}

// String writes ID@address:port.
func (p Peer) String() string { return p.ID.String() + "@" + p.Addr().String() }

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
