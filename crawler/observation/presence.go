package observation

import (
	"net/netip"
	"strings"
)

// Target is a peer as far as it must be known to ask it again.
type Target struct {
	PeerID    string         // as in Visit
	Address   netip.AddrPort // where it last answered
	Addresses []string       // all that are known, in the network's own notation
}

// Presence is what an outcome says of the peer that was asked for.
type Presence int8

// What an outcome may say.
const (
	Undecided Presence = iota // there or not: somebody turned us away, or could not be asked
	Up                        // there, under its identity
	Down                      // not there, or no longer a node of this network
)

// Presence says what o tells of the peer. The view sessions has the same rule.
func (o Outcome) Presence() Presence {
	switch o {
	case Answered:
		return Up
	case Timeout, Refused, Unreachable, Reset, HandshakeError, WrongIdentity, WrongProtocol:
		return Down
	}
	return Undecided
}

// ByEndpoint says whether the endpoint is part of a peer's identity, so that
// one ID at two endpoints is two peers.
func (n Network) ByEndpoint() bool { return strings.Contains(n.Identity, "endpoint") }
