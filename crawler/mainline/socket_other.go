//go:build !linux

package mainline

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"canopy/crawler/mainline/krpc"
)

// single sends and receives packets one by one.
type single struct {
	conn *net.UDPConn
	buf  [krpc.MaxPacket]byte
	n    int
	from netip.AddrPort
}

// openPackets takes over a socket.
func openPackets(conn *net.UDPConn, _ family) (packetConn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
	})
	return &single{conn: conn}, nil
}

func (s *single) close() error { return s.conn.Close() }

func (s *single) receive() (int, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(tick)); err != nil {
		return 0, err
	}
	n, from, err := s.conn.ReadFromUDPAddrPort(s.buf[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	s.n, s.from = n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return 1, nil
}

func (s *single) packet(int) ([]byte, netip.AddrPort) { return s.buf[:s.n], s.from }

func (s *single) send(packets []outgoing) (int, error) {
	for i := range packets {
		if _, err := s.conn.WriteToUDPAddrPort(packets[i].data, packets[i].to); err != nil {
			return i, err
		}
	}
	return len(packets), nil
}

// backlog is unknown here: only Linux tells it for each socket.
func (s *single) backlog() (queued int, dropped uint64) { return 0, 0 }

// undelivered has nothing to say here: an unconnected socket hears of ICMP
// errors on Linux only. Elsewhere a refused query is a time-out.
func (s *single) undelivered([]byte) (int, netip.AddrPort, error, bool) {
	return 0, netip.AddrPort{}, nil, false
}
