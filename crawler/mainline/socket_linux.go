package mainline

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tune asks for a large receive buffer and for ICMP errors. What the kernel
// refuses costs speed or detail only.
func tune(fd int, f family) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if f == ipv6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	// Queries are far too small to be fragmented: told so, the kernel need not
	// draw an ID for each from a table that is shared by all.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
}

func (b *batch) backlog() (queued int, dropped uint64) {
	var info [unix.SK_MEMINFO_DROPS + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(b.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno == 0 && size == uint32(unsafe.Sizeof(info)) {
		queued, dropped = int(info[unix.SK_MEMINFO_RMEM_ALLOC]), uint64(info[unix.SK_MEMINFO_DROPS])
	}
	return queued, dropped
}

func (b *batch) undelivered(buf []byte) (n int, to netip.AddrPort, cause error, ok bool) {
	var control [512]byte
	n, ctl, _, from, err := unix.Recvmsg(b.fd, buf, control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return 0, to, nil, false
	}
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		to = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		to = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return n, to, icmpError(control[:ctl]), true
}

// icmpError reads the errno of struct sock_extended_err (ip(7)); nil unless
// the error came from the network.
func icmpError(control []byte) error {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		recvErr := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR ||
			m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !recvErr || len(m.Data) < 16 {
			continue
		}
		origin := m.Data[4]
		if origin == unix.SO_EE_ORIGIN_ICMP || origin == unix.SO_EE_ORIGIN_ICMP6 {
			return syscall.Errno(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return nil
}
