package mainline

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"canopy/crawler/mainline/krpc"
)

// batch is a socket whose owner waits in the kernel, not in Go's poller: being
// polled would cost a wake-up for each packet that comes, and for each that was
// sent.
type batch struct {
	fd      int
	in, out exchange
	packets []byte // room for the largest there is, for each; memory that no packet reaches is never touched
}

// exchange is what recvmmsg(2) and sendmmsg(2) read and write.
type exchange struct {
	headers [ioBatch]mmsghdr
	vectors [ioBatch]unix.Iovec
	names   [ioBatch]unix.RawSockaddrInet6 // the larger of both families
}

type mmsghdr struct {
	unix.Msghdr
	length uint32
	_      [unsafe.Sizeof(uintptr(0)) - 4]byte
}

func (x *exchange) init() {
	for i := range x.headers {
		x.headers[i].Iov = &x.vectors[i]
		x.headers[i].SetIovlen(1)
		x.headers[i].Name = (*byte)(unsafe.Pointer(&x.names[i]))
	}
}

// openPackets takes over a socket.
func openPackets(conn *net.UDPConn, f family) (packetConn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{packets: make([]byte, ioBatch*krpc.MaxPacket)}
	if broken := raw.Control(func(fd uintptr) { b.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); broken != nil || err != nil {
		return nil, fmt.Errorf("duplicate socket: %w", firstErr(broken, err))
	}
	wait := unix.NsecToTimeval(tick.Nanoseconds())
	err = firstErr(conn.Close(), unix.SetNonblock(b.fd, false), unix.SetsockoptTimeval(b.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait))
	if err != nil {
		_ = unix.Close(b.fd)
		return nil, fmt.Errorf("prepare socket: %w", err)
	}
	tune(b.fd, f)
	b.in.init()
	b.out.init()
	for i := range b.in.vectors {
		b.in.vectors[i].Base = &b.packets[i*krpc.MaxPacket]
		b.in.vectors[i].SetLen(krpc.MaxPacket)
	}
	return b, nil
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) close() error { return unix.Close(b.fd) }

func (b *batch) receive() (int, error) {
	for i := range b.in.headers {
		b.in.headers[i].Namelen = unix.SizeofSockaddrInet6
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&b.in.headers)), ioBatch, unix.MSG_WAITFORONE, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	}
	return 0, os.NewSyscallError("recvmmsg", errno)
}

func (b *batch) packet(i int) ([]byte, netip.AddrPort) {
	start := i * krpc.MaxPacket
	return b.packets[start : start+int(b.in.headers[i].length)], readName(&b.in.names[i])
}

func (b *batch) send(packets []outgoing) (int, error) {
	packets = packets[:min(len(packets), ioBatch)]
	for i := range packets {
		p := &packets[i]
		b.out.vectors[i].Base = unsafe.SliceData(p.data)
		b.out.vectors[i].SetLen(len(p.data))
		b.out.headers[i].Namelen = writeName(&b.out.names[i], p.to)
	}
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&b.out.headers)), uintptr(len(packets)), 0, 0, 0)
	if errno != 0 {
		return 0, os.NewSyscallError("sendmmsg", errno)
	}
	return int(n), nil
}

// readName reads the address that the kernel wrote: of family, port and address
// the first two stand at the same place in both families.
func readName(name *unix.RawSockaddrInet6) netip.AddrPort {
	addr := netip.AddrFrom16(name.Addr).Unmap()
	if name.Family == unix.AF_INET {
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	}
	return netip.AddrPortFrom(addr, swapped(name.Port))
}

// writeName writes an address for the kernel and returns its length.
func writeName(name *unix.RawSockaddrInet6, to netip.AddrPort) uint32 {
	if to.Addr().Is4() {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(name)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swapped(to.Port()), Addr: to.Addr().As4()}
		return unix.SizeofSockaddrInet4
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped(to.Port()), Addr: to.Addr().As16()}
	return unix.SizeofSockaddrInet6
}

// swapped turns a port from network byte order, or into it.
func swapped(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}
