package observation

// Outcome is how a visit or probe ended: [Answered], or one of a closed list
// of failure kinds. Free text belongs in Visit.Detail.
type Outcome string

// The closed list of outcomes. A new one needs a line in docs/data-dictionary.md.
const (
	Answered       Outcome = "answered"        // answered with the identity asked for
	Timeout        Outcome = "timeout"         // silent in both passes
	Refused        Outcome = "refused"         // connection refused or ICMP port unreachable
	Unreachable    Outcome = "unreachable"     // no route to host or network
	Reset          Outcome = "reset"           // closed by the peer before it answered
	HandshakeError Outcome = "handshake_error" // transport opened, security or muxer negotiation failed
	WrongIdentity  Outcome = "wrong_identity"  // answered as somebody else
	WrongProtocol  Outcome = "wrong_protocol"  // is there, but does not speak this DHT's protocol
	Malformed      Outcome = "malformed"       // answered with what can't be decoded
	RemoteError    Outcome = "remote_error"    // answered with an error message
	Busy           Outcome = "busy"            // turned us away for its own resource limits
	RelayOnly      Outcome = "relay_only"      // known only behind relays
	NoAddress      Outcome = "no_address"      // no address that may be contacted
	Unclassified   Outcome = "unclassified"    // a failure that fits no kind; see Visit.Detail
)

// Outcomes lists every outcome, Answered first.
func Outcomes() []Outcome {
	return []Outcome{
		Answered, Timeout, Refused, Unreachable, Reset, HandshakeError, WrongIdentity, WrongProtocol,
		Malformed, RemoteError, Busy, RelayOnly, NoAddress, Unclassified,
	}
}

// Retryable says whether a second pass may turn this outcome into an answer:
// silence can be a lost packet or our own load, and a reset or a full peer can
// be a moment's trouble. The rest are answers of their own.
func (o Outcome) Retryable() bool {
	switch o {
	case Timeout, Reset, HandshakeError, Busy:
		return true
	}
	return false
}
