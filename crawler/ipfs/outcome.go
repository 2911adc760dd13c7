package ipfs

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"

	"canopy/crawler/observation"
)

// malformedError is an answer that cannot be decoded.
type malformedError struct{ err error }

func (e *malformedError) Error() string { return e.err.Error() }
func (e *malformedError) Unwrap() error { return e.err }

// ours says whether a failed attempt shows a shortage of this machine:
// descriptors, buffers or ports. It says nothing about the peer then. Over IPv6
// the error for lack of a port also means lack of any address to dial from.
func ours(a attempt) bool {
	return errors.Is(a.err, syscall.EMFILE) || errors.Is(a.err, syscall.ENFILE) ||
		errors.Is(a.err, syscall.ENOBUFS) || errors.Is(a.err, syscall.ENOMEM) ||
		errors.Is(a.err, syscall.EADDRNOTAVAIL) && a.addr.Addr().Is4()
}

// outcomeOf finds the outcome that an error of the network stands for. The
// same error always gives the same outcome.
func outcomeOf(err error) observation.Outcome {
	var identity sec.ErrPeerIDMismatch
	var malformed *malformedError
	var handshake *handshakeError
	var unsupported multistream.ErrNotSupported[protocol.ID]
	switch {
	case errors.As(err, &identity):
		return observation.WrongIdentity
	case busy(err):
		return observation.Busy
	case errors.As(err, &malformed):
		return observation.Malformed
	case errors.As(err, &unsupported) && !errors.As(err, &handshake), refusedProtocol(err):
		return observation.WrongProtocol
	case timedOut(err):
		return observation.Timeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return observation.Refused
	case noRoute(err):
		return observation.Unreachable
	case reset(err):
		return observation.Reset
	case errors.As(err, &handshake), quicHandshake(err):
		return observation.HandshakeError
	}
	return observation.Unclassified
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &n) && n.Timeout()
}

func noRoute(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN, syscall.EACCES, syscall.EPERM, syscall.EINVAL,
		syscall.EADDRNOTAVAIL,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func reset(err error) bool {
	var app *quic.ApplicationError
	var stateless *quic.StatelessResetError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, network.ErrReset) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &app) || errors.As(err, &stateless) ||
		strings.Contains(err.Error(), "session shutdown") // yamux.ErrSessionShutdown, without importing yamux
}

// busy recognises the codes by which libp2p and QUIC say that a limit was
// reached (https://github.com/libp2p/specs/tree/master/error-codes).
func busy(err error) bool {
	var conn *network.ConnError
	if errors.As(err, &conn) && (conn.ErrorCode == network.ConnResourceLimitExceeded || conn.ErrorCode == network.ConnRateLimited) {
		return conn.Remote
	}
	var stream *network.StreamError
	if errors.As(err, &stream) && (stream.ErrorCode == network.StreamResourceLimitExceeded || stream.ErrorCode == network.StreamRateLimited) {
		return stream.Remote
	}
	var app *quic.ApplicationError
	if errors.As(err, &app) {
		return app.ErrorCode == quic.ApplicationErrorCode(network.ConnResourceLimitExceeded)
	}
	var t *quic.TransportError
	return errors.As(err, &t) && t.ErrorCode == quic.ConnectionRefused
}

func refusedProtocol(err error) bool {
	var stream *network.StreamError
	return errors.As(err, &stream) && stream.Remote && stream.ErrorCode == network.StreamProtocolNegotiationFailed
}

func quicHandshake(err error) bool {
	var t *quic.TransportError
	var v *quic.VersionNegotiationError
	return errors.As(err, &t) || errors.As(err, &v)
}

// attempt is one dialled address that failed.
type attempt struct {
	candidate
	outcome observation.Outcome
	err     error
}

// precedence orders the failures of several addresses: the first kind that
// occurs names the visit. What only a peer that is there can do comes before
// silence, silence before refusal (a refused address is settled, a silent one
// may be our loss), and a missing route last.
var precedence = []observation.Outcome{
	observation.Busy, observation.Malformed, observation.WrongProtocol, observation.WrongIdentity, observation.HandshakeError,
	observation.Reset, observation.Timeout, observation.Refused, observation.Unreachable, observation.Unclassified,
}

// judge picks the attempt that names the visit. A host that refuses TCP is
// taken at its word: that QUIC was silent there adds nothing.
func judge(failed []attempt) attempt {
	refuses := make(map[netip.Addr]bool)
	for _, a := range failed {
		if a.outcome == observation.Refused {
			refuses[a.addr.Addr()] = true
		}
	}
	for _, o := range precedence {
		for _, a := range failed {
			if a.outcome == o && !(o == observation.Timeout && refuses[a.addr.Addr()]) {
				return a
			}
		}
	}
	return attempt{outcome: observation.NoAddress}
}
