package mainline

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// oobSize has room for the one control message that is asked for, IP_PKTINFO or
// IPV6_PKTINFO.
const oobSize = 64

// receiveBuffer is in bytes.
const receiveBuffer = 4 << 20

// listen opens a socket that hears packets to every loopback address at a
// port and reports which one was meant. Where the system permits, it is bound
// to the loopback device.
func listen(ctx context.Context, port uint16) (*net.UDPConn, error) {
	return listenFor(ctx, "udp4", port)
}

// listen6 is the same for IPv6 addresses that are local.
func listen6(ctx context.Context, port uint16) (*net.UDPConn, error) {
	return listenFor(ctx, "udp6", port)
}

func listenFor(ctx context.Context, network string, port uint16) (*net.UDPConn, error) {
	var failed error
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		err := c.Control(func(fd uintptr) {
			// Without the right to do this, packets from elsewhere are told by
			// their destination, see origin.
			_ = unix.BindToDevice(int(fd), "lo")
			// A thousand nodes share the buffer, so the usual limit is low.
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
			}
			if network == "udp6" {
				failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
				return
			}
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		})
		if err == nil {
			err = failed
		}
		return err
	}}
	conn, err := config.ListenPacket(ctx, network, fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, fmt.Errorf("listen at port %d: %w", port, err)
	}
	return conn.(*net.UDPConn), nil
}

// origin makes the control message by which a reply leaves from a given
// address.
type origin struct{ oob4, oob6 []byte }

func newOrigin() origin {
	return origin{unix.PktInfo4(&unix.Inet4Pktinfo{}), unix.PktInfo6(&unix.Inet6Pktinfo{})}
}

// from is valid until the next call.
func (o origin) from(a netip.Addr) []byte {
	if a.Is6() {
		v6 := a.As16()
		copy(o.oob6[unix.CmsgLen(0):], v6[:]) // Inet6Pktinfo.Addr
		return o.oob6
	}
	v4 := a.As4()
	copy(o.oob4[unix.CmsgLen(0)+4:], v4[:]) // Inet4Pktinfo.Spec_dst
	return o.oob4
}

// destination reads which address a packet was sent to.
func destination(oob []byte) (netip.Addr, bool) {
	header, data, _, err := unix.ParseOneSocketControlMessage(oob)
	switch {
	case err != nil:
	case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		return netip.AddrFrom4([4]byte(data[8:12])), true // Inet4Pktinfo.Addr
	case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		return netip.AddrFrom16([16]byte(data)), true // Inet6Pktinfo.Addr
	}
	return netip.Addr{}, false
}
