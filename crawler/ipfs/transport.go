package ipfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/quic-go/quic-go"
)

// dialer opens secured, multiplexed connections.
type dialer struct {
	cfg  Config
	load *load
	tcp  transport.Transport
	up   transport.Upgrader
	quic transport.Transport
	udp  *quicreuse.ConnManager
}

// newDialer sets up TCP, and WebSocket above it, with noise, or TLS where a peer
// has no noise, under yamux, and QUIC. No resource manager counts for us: the walk has its own
// bounds.
func newDialer(key crypto.PrivKey, cfg Config, l *load) (*dialer, error) {
	limits := &network.NullResourceManager{}
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: quietYamux()}}
	n, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, fmt.Errorf("set up noise: %w", err)
	}
	t, err := libp2ptls.New(libp2ptls.ID, key, muxers)
	if err != nil {
		return nil, fmt.Errorf("set up TLS: %w", err)
	}
	d := &dialer{cfg: cfg, load: l}
	if d.up, err = upgrader.New([]sec.SecureTransport{n, t}, muxers, nil, limits, nil); err != nil {
		return nil, fmt.Errorf("set up connection upgrades: %w", err)
	}
	if d.tcp, err = tcp.NewTCPTransport(d.up, limits, nil); err != nil {
		return nil, fmt.Errorf("set up TCP: %w", err)
	}
	var reset quic.StatelessResetKey
	var token quic.TokenGeneratorKey
	_, _ = rand.Read(reset[:])
	_, _ = rand.Read(token[:])
	if d.udp, err = quicreuse.NewConnManager(reset, token); err != nil {
		return nil, fmt.Errorf("set up UDP: %w", err)
	}
	if d.quic, err = libp2pquic.NewTransport(key, d.udp, nil, nil, limits); err != nil {
		return nil, fmt.Errorf("set up QUIC: %w", err)
	}
	return d, nil
}

// quietYamux is yamux for connections that live for a second: no keep-alive,
// and few streams from the other side.
func quietYamux() *yamux.Transport {
	config := *yamux.DefaultTransport.Config()
	config.EnableKeepAlive = false
	config.AcceptBacklog = maxIncoming
	config.MaxIncomingStreams = maxIncoming
	return (*yamux.Transport)(&config)
}

func (d *dialer) close() error {
	return errors.Join(d.quic.(io.Closer).Close(), d.udp.Close())
}

// open dials one address. opened is called once the transport itself stands,
// which over QUIC is at the end.
func (d *dialer) open(ctx context.Context, p Peer, c candidate, opened func()) (transport.CapableConn, error) {
	if c.transport == QUIC {
		return d.openQUIC(ctx, p, c)
	}
	var sockets net.Dialer
	raw, err := sockets.DialContext(ctx, "tcp", c.addr.String())
	if err != nil {
		return nil, err
	}
	opened()
	stream := raw
	if c.transport != TCP {
		if stream, err = openWebSocket(ctx, raw, c); err != nil {
			_ = raw.Close()
			return nil, &handshakeError{err}
		}
	}
	conn, err := manet.WrapNetConn(stream)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	scope := &network.NullScope{}
	up, err := d.up.Upgrade(ctx, d.tcp, conn, network.DirOutbound, p, scope)
	if err != nil {
		return nil, &handshakeError{err}
	}
	return up, nil
}

// handshakeError is a failure after the transport stood.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// openQUIC dials over the one UDP socket that all QUIC connections share. Such
// a socket never hears that a port is closed, so a connected one asks beside
// it.
func (d *dialer) openQUIC(ctx context.Context, p Peer, c candidate) (transport.CapableConn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	knock := d.load.afterFunc(refusalDelay, func() {
		if !d.load.trySocket() {
			return // then the time-out decides
		}
		defer leave(d.load.sockets)
		if err := knockUDP(ctx, c); errors.Is(err, syscall.ECONNREFUSED) {
			cancel(err)
		}
	})
	defer knock.Stop()
	conn, err := d.quic.Dial(ctx, c.ma, p)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

// knockUDP sends one datagram from a socket of its own and waits for an ICMP
// error until ctx ends. The datagram is the start of a QUIC packet of a
// reserved version (RFC 9000, section 15) and too short to be answered.
func knockUDP(ctx context.Context, c candidate) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(c.addr))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	if _, err = conn.Write([]byte{0xc0, 0x0a, 0x1a, 0x2a, 0x3a, 0, 0}); err != nil {
		return err
	}
	for {
		if _, err = conn.Read(make([]byte, 1)); err != nil {
			return err
		}
	}
}
