package mainline

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// receiveBuffer is asked of the kernel for each socket, in bytes, so that a
// burst of replies is not lost while we are busy.
const receiveBuffer = 8 << 20

// packetConn is what the walk needs of a UDP socket: packets by the batch,
// since a system call costs more than what is done with one packet.
type packetConn interface {
	// receive waits for packets, for one tick at most, and tells how many came.
	receive() (int, error)
	// packet is one of those that came, valid until the next receive.
	packet(i int) ([]byte, netip.AddrPort)
	// send sends one packet after the other and tells how many left; if not all
	// did, the error is that of the next.
	send(packets []outgoing) (int, error)
	// backlog returns how many bytes wait to be read, with the kernel's own
	// overhead, and how many packets it threw away because there was no room.
	backlog() (queued int, dropped uint64)
	// undelivered takes one ICMP error off the socket's error queue: the packet
	// of ours that it is about, as far as it was quoted, where that was sent, and
	// what went wrong.
	undelivered(buf []byte) (n int, to netip.AddrPort, cause error, ok bool)
	close() error
}

// ioBatch is how many packets one system call takes or sends at most.
const ioBatch = 32

// outgoing is a packet that is about to be sent, and for which query.
type outgoing struct {
	data       []byte
	to         netip.AddrPort
	visit      int32
	generation uint16
}

// socket is one local address that asks.
type socket struct {
	packetConn
	family family
	local  netip.AddrPort
}

// socketError means that a socket can't be used, which is our trouble.
type socketError struct {
	local string
	err   error
}

func (e *socketError) Error() string { return fmt.Sprintf("use UDP socket %s: %v", e.local, e.err) }
func (e *socketError) Unwrap() error { return e.err }

// openSockets binds what cfg asks for, or else any address of each family that
// this machine has.
func openSockets(cfg Config) ([]*socket, error) {
	bind := cfg.Bind
	optional := len(bind) == 0
	if optional {
		bind = []string{"0.0.0.0", "::"}
	}
	var sockets []*socket
	var failed error
	for _, b := range bind {
		local, err := parseBind(b)
		if err != nil {
			return nil, err
		}
		s, err := openSocket(local)
		if err == nil {
			sockets = append(sockets, s)
			continue
		}
		failed = errors.Join(failed, &socketError{b, err})
		if optional {
			cfg.Logger.Info("address family left out", "local", b, "err", err)
		}
	}
	if failed != nil && (!optional || len(sockets) == 0) {
		for _, s := range sockets {
			_ = s.close() // nothing is buffered
		}
		return nil, failed
	}
	return sockets, nil
}

func openSocket(local netip.AddrPort) (*socket, error) {
	network := "udp4"
	if local.Addr().Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(local))
	if err != nil {
		return nil, err
	}
	bound, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	f := familyOf(local.Addr())
	packets, err := openPackets(conn, f)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &socket{packets, f, bound}, nil
}

// momentary tells errors that say something of one packet or one moment, not
// of the socket: a pending ICMP error, full buffers, a signal.
func momentary(err error) bool {
	for _, e := range []error{
		syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN,
		syscall.ENOBUFS, syscall.EAGAIN, syscall.EINTR, syscall.EMSGSIZE, syscall.EPROTO, syscall.ENOPROTOOPT,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
