package mainline

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// receiveBuffer is asked of the kernel for each socket, in bytes, so that a
// burst of replies is not lost while we are busy.
const receiveBuffer = 8 << 20

// packetConn is what the walk needs of a UDP socket.
type packetConn interface {
	ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	SetReadDeadline(t time.Time) error
	Close() error
}

// socket is one local address that asks.
type socket struct {
	packetConn
	family family
	local  netip.AddrPort
	raw    syscall.RawConn
}

// socketError means that a socket can't be used, which is our trouble.
type socketError struct {
	local string
	err   error
}

func (e *socketError) Error() string { return fmt.Sprintf("use UDP socket %s: %v", e.local, e.err) }
func (e *socketError) Unwrap() error { return e.err }

func (s *socket) close() { _ = s.Close() } // nothing is buffered

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
			s.close()
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
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	bound, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s := &socket{packetConn: conn, family: familyOf(local.Addr()), local: bound, raw: raw}
	s.tune()
	s.packetConn = batched(conn, raw)
	return s, nil
}

// timedOut tells a read deadline from a broken socket.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

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
