package ipfs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// silentSockets makes a port at every loopback address swallow what is sent to
// it: UDP packets are never read, and a TCP queue that is full lets the kernel
// drop every SYN.
type silentSockets struct {
	udp    net.PacketConn
	tcp    *os.File // listens, never accepts
	filler net.Conn // keeps the queue full
}

func listenSilently(ctx context.Context, port uint16) (*silentSockets, error) {
	s := &silentSockets{}
	if err := s.open(ctx, port); err != nil {
		return nil, errors.Join(fmt.Errorf("listen silently at port %d: %w", port, err), s.Close())
	}
	return s, nil
}

func (s *silentSockets) open(ctx context.Context, port uint16) (err error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.BindToDevice(int(fd), "lo") // where permitted: nobody else need meet it
		})
	}}
	if s.udp, err = config.ListenPacket(ctx, "udp4", fmt.Sprintf("0.0.0.0:%d", port)); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.tcp = os.NewFile(uintptr(fd), "silent TCP socket")
	_ = unix.BindToDevice(fd, "lo")
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(port)}); err != nil {
		return err
	}
	// A backlog of zero has room for one connection.
	if err := unix.Listen(fd, 0); err != nil {
		return err
	}
	var dialer net.Dialer
	s.filler, err = dialer.DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	return err
}

// Close frees the port.
func (s *silentSockets) Close() error {
	var failed error
	if s.udp != nil {
		failed = errors.Join(failed, s.udp.Close())
	}
	if s.tcp != nil {
		failed = errors.Join(failed, s.tcp.Close())
	}
	if s.filler != nil {
		failed = errors.Join(failed, s.filler.Close())
	}
	return failed
}
