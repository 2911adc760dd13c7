package mainline

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// oobSize has room for the one control message that is asked for, IP_PKTINFO.
const oobSize = 64

// receiveBuffer is in bytes.
const receiveBuffer = 4 << 20

// listen opens a socket that hears packets to every loopback address at a
// port and reports which one was meant. Where the system permits, it is bound
// to the loopback device.
func listen(ctx context.Context, port uint16) (*net.UDPConn, error) {
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
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		})
		if err == nil {
			err = failed
		}
		return err
	}}
	conn, err := config.ListenPacket(ctx, "udp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		return nil, fmt.Errorf("listen at port %d: %w", port, err)
	}
	return conn.(*net.UDPConn), nil
}

// origin makes the control message by which a reply leaves from a given
// address.
type origin struct{ oob []byte }

func newOrigin() origin { return origin{unix.PktInfo4(&unix.Inet4Pktinfo{})} }

// from is valid until the next call.
func (o origin) from(a netip.Addr) []byte {
	v4 := a.As4()
	copy(o.oob[unix.CmsgLen(0)+4:], v4[:]) // Inet4Pktinfo.Spec_dst
	return o.oob
}

// destination reads which address a packet was sent to.
func destination(oob []byte) (netip.Addr, bool) {
	header, data, _, err := unix.ParseOneSocketControlMessage(oob)
	if err != nil || header.Level != unix.IPPROTO_IP || header.Type != unix.IP_PKTINFO || len(data) < unix.SizeofInet4Pktinfo {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(data[8:12])), true // Inet4Pktinfo.Addr
}
