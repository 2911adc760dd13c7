package mainline

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"canopy/crawler/mainline/krpc"
)

// readBatch is how many packets one system call takes at most. Each has room
// for the largest there is; memory that no packet reaches is never touched.
const readBatch = 32

// batch is a socket that takes many packets off the kernel at once, since a
// system call costs more than the reading of a packet.
type batch struct {
	packetConn
	raw     syscall.RawConn
	read    func(fd uintptr) bool // made once: a closure for each call would allocate
	headers [readBatch]mmsghdr
	vectors [readBatch]unix.Iovec
	names   [readBatch]unix.RawSockaddrInet6 // the larger of both families
	packets []byte
	next, n int // packets that were taken off and not handed out yet
	errno   syscall.Errno
}

// mmsghdr is that of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	length uint32
	_      [unsafe.Sizeof(uintptr(0)) - 4]byte
}

func batched(conn packetConn, raw syscall.RawConn) packetConn {
	b := &batch{packetConn: conn, raw: raw, packets: make([]byte, readBatch*krpc.MaxPacket)}
	for i := range b.headers {
		b.vectors[i].Base = &b.packets[i*krpc.MaxPacket]
		b.vectors[i].SetLen(krpc.MaxPacket)
		b.headers[i].Iov = &b.vectors[i]
		b.headers[i].SetIovlen(1)
		b.headers[i].Name = (*byte)(unsafe.Pointer(&b.names[i]))
	}
	b.read = b.take
	return b
}

// take fills the batch with what has arrived. It reports false to be called
// again when there is something.
func (b *batch) take(fd uintptr) bool {
	for i := range b.headers {
		b.headers[i].Namelen = unix.SizeofSockaddrInet6
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.headers)), readBatch, unix.MSG_DONTWAIT, 0, 0)
	b.next, b.n, b.errno = 0, int(n), errno
	if errno != 0 {
		b.n = 0
	}
	return errno != unix.EAGAIN
}

// ReadFromUDPAddrPort returns the next packet, waiting for one if there is none.
func (b *batch) ReadFromUDPAddrPort(into []byte) (int, netip.AddrPort, error) {
	if b.next >= b.n {
		if err := b.raw.Read(b.read); err != nil {
			return 0, netip.AddrPort{}, err
		}
		if b.errno != 0 {
			return 0, netip.AddrPort{}, os.NewSyscallError("recvmmsg", b.errno)
		}
		if b.n == 0 {
			return 0, netip.AddrPort{}, errors.New("recvmmsg: no packet")
		}
	}
	i := b.next
	b.next++
	start := i * krpc.MaxPacket
	return copy(into, b.packets[start:start+int(b.headers[i].length)]), sender(&b.names[i]), nil
}

// sender reads the address that the kernel wrote: of family, port and address
// the first two stand at the same place in both families.
func sender(name *unix.RawSockaddrInet6) netip.AddrPort {
	var port [2]byte
	binary.NativeEndian.PutUint16(port[:], name.Port)
	addr := netip.AddrFrom16(name.Addr).Unmap()
	if name.Family == unix.AF_INET {
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:]))
}
