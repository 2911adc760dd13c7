//go:build !linux

package mainline

import (
	"net/netip"
	"syscall"
)

// tune asks for a large receive buffer.
func (s *socket) tune() {
	_ = s.raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
	})
}

// batched reads packets one by one here.
func batched(conn packetConn, _ syscall.RawConn) packetConn { return conn }

// backlog is unknown here: only Linux tells it for each socket.
func (s *socket) backlog() (queued int, dropped uint64) { return 0, 0 }

// undelivered has nothing to say here: an unconnected socket hears of ICMP
// errors on Linux only. Elsewhere a refused query is a time-out.
func (s *socket) undelivered([]byte) (int, netip.AddrPort, error, bool) {
	return 0, netip.AddrPort{}, nil, false
}
