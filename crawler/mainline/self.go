package mainline

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"canopy/crawler/mainline/krpc"
)

// self knows what we look like from outside, so that we never visit ourselves:
// clients put us in their tables although we say that we are read-only.
type self struct {
	id    krpc.ID
	local []netip.AddrPort

	mu        sync.Mutex
	candidate [families]netip.AddrPort // what most peers see us as (Boyer and Moore's majority vote)
	votes     [families]int
}

// enoughVotes is the lead that a candidate needs before it is believed: a few
// liars must not hide somebody else's address from the walk.
const enoughVotes = 16

func newSelf(id krpc.ID, sockets []*socket) *self {
	s := &self{id: id}
	for _, sock := range sockets {
		if !sock.local.Addr().IsUnspecified() {
			s.local = append(s.local, sock.local)
			continue
		}
		for _, addr := range localAddrs(sock.family) {
			s.local = append(s.local, netip.AddrPortFrom(addr, sock.local.Port()))
		}
	}
	return s
}

// localAddrs are those of this machine. Where the system does not tell, the vote
// still finds the address that counts.
func localAddrs(f family) (all []netip.Addr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && familyOf(ip) == f {
				all = append(all, ip.Unmap())
			}
		}
	}
	return all
}

// told takes in one peer's word on our address (the `ip` of BEP 42).
func (s *self) told(addr netip.AddrPort) {
	f := familyOf(addr.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.candidate[f] == addr:
		s.votes[f] = min(s.votes[f]+1, 4*enoughVotes)
	case s.votes[f] == 0:
		s.candidate[f], s.votes[f] = addr, 1
	default:
		s.votes[f]--
	}
}

// outside returns our addresses as peers see them, where they agree.
func (s *self) outside() (addrs [families]netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f, v := range s.votes {
		if v >= enoughVotes {
			addrs[f] = s.candidate[f]
		}
	}
	return addrs
}

// is tells whether a neighbour is ourselves.
func (s *self) is(id *krpc.ID, at netip.AddrPort, outside *[families]netip.AddrPort) bool {
	if *id == s.id || at == outside[ipv4] || at == outside[ipv6] {
		return true
	}
	return s.socket(at)
}

// socket tells whether an endpoint is one of our own sockets.
func (s *self) socket(at netip.AddrPort) bool { return slices.Contains(s.local, at) }
