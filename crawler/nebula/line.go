package nebula

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"canopy/crawler/observation"
)

// Bounds on what one line may hold.
const (
	maxLine      = 4 << 20 // bytes
	maxAddresses = 256
	maxProtocols = 256
	maxNeighbour = 65_536
	maxPeerID    = 128
)

// visitLine is one line of the visits.
type visitLine struct {
	PeerID          string
	Maddrs          []string
	ListenMaddrs    []string
	ConnectMaddr    *string
	Protocols       []string
	AgentVersion    string
	ConnectDuration string
	VisitStartedAt  time.Time
	VisitEndedAt    time.Time
	ConnectErrorStr string
	CrawlErrorStr   string
}

// neighboursLine is one line of the routing tables.
type neighboursLine struct {
	PeerID      string
	NeighborIDs []string
	ErrorBits   string
}

// decodeVisit makes a visit of one line; Network, CrawlID, Number, Neighbours
// and Facts are the caller's.
func decodeVisit(line []byte) (v observation.Visit, err error) {
	var in visitLine
	if err := json.Unmarshal(line, &in); err != nil {
		return v, fmt.Errorf("no visit: %w", err)
	}
	switch {
	case !isPeerID(in.PeerID):
		return v, errors.New("PeerID is no peer ID")
	case !believable(in.VisitStartedAt):
		return v, errors.New("VisitStartedAt is missing or no date of a crawl")
	case len(in.Maddrs) > maxAddresses || len(in.ListenMaddrs) > maxAddresses:
		return v, fmt.Errorf("it names more than %d addresses", maxAddresses)
	case len(in.Protocols) > maxProtocols:
		return v, fmt.Errorf("it names more than %d protocols", maxProtocols)
	}
	v = observation.Visit{PeerID: in.PeerID, VisitedAt: in.VisitStartedAt.UTC(), Agent: observation.Text(in.AgentVersion)}
	for _, p := range in.Protocols {
		v.Protocols = append(v.Protocols, observation.Text(p))
	}
	v.Outcome, v.Detail = outcome(in)
	if took, err := time.ParseDuration(in.ConnectDuration); err == nil && took > 0 && took < time.Hour && in.ConnectErrorStr == "" {
		v.Handshake = took
	}
	addressed(&v, in)
	return v, nil
}

// isPeerID says whether a string may be a peer ID: base58, or the CID of a key.
func isPeerID(s string) bool {
	if len(s) < 8 || len(s) > maxPeerID {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// outcomes are the errors that Nebula tells apart (db/errors.go there).
var outcomes = map[string]observation.Outcome{
	"io_timeout": observation.Timeout, "context_deadline_exceeded": observation.Timeout, "no_recent_network_activity": observation.Timeout,
	"max_dial_attempts_exceeded": observation.Timeout, "devp2p_read_timeout": observation.Timeout,
	"connection_refused": observation.Refused,
	"no_route_to_host":   observation.Unreachable, "network_unreachable": observation.Unreachable, "host_is_down": observation.Unreachable,
	"connection_reset_by_peer": observation.Reset, "stream_reset": observation.Reset, "maddr_reset": observation.Reset, "write_on_stream": observation.Reset,
	"negotiate_security_protocol": observation.HandshakeError, "negotiate_stream_multiplexer": observation.HandshakeError,
	"negotiate_security_protocol_no_trailing_data": observation.HandshakeError,
	"peer_id_mismatch":        observation.WrongIdentity,
	"protocol_not_supported":  observation.WrongProtocol,
	"resource_limit_exceeded": observation.Busy,
	"cant_connect_over_relay": observation.RelayOnly,
	"no_good_addresses":       observation.NoAddress, "no_ip_address": observation.NoAddress, "no_public_ip": observation.NoAddress, "no_transport_for_protocol": observation.NoAddress,
}

// outcome says how a visit ended. A peer that was connected to and refused the
// routing table has not answered.
func outcome(in visitLine) (observation.Outcome, string) {
	failed := in.ConnectErrorStr
	if failed == "" {
		failed = in.CrawlErrorStr
	}
	if failed == "" {
		return observation.Answered, ""
	}
	kind, known := outcomes[failed]
	if !known {
		kind = observation.Unclassified
	}
	return kind, observation.Text("nebula: " + failed)
}

// decodeNeighbours reads one routing table.
func decodeNeighbours(line []byte) (in neighboursLine, partial bool, err error) {
	if err := json.Unmarshal(line, &in); err != nil {
		return in, false, fmt.Errorf("no routing table: %w", err)
	}
	bits := uint64(0)
	if in.ErrorBits != "" {
		if bits, err = strconv.ParseUint(in.ErrorBits, 2, 64); err != nil {
			return in, false, errors.New("ErrorBits is no binary number")
		}
	}
	switch {
	case !isPeerID(in.PeerID):
		return in, false, errors.New("PeerID is no peer ID")
	case len(in.NeighborIDs) > maxNeighbour:
		return in, false, fmt.Errorf("it names more than %d neighbours", maxNeighbour)
	}
	return in, bits != 0, nil
}

// endpoint reads a multiaddr as far as the record wants it: where, over what,
// and through which relay. ok is false for one without an IP address and port.
func endpoint(multiaddr string) (at netip.AddrPort, transport, relay string, ok bool) {
	parts := strings.Split(multiaddr, "/")
	var addr netip.Addr
	secured := false
	for i := 1; i < len(parts); i++ {
		next := ""
		if i+1 < len(parts) {
			next = parts[i+1]
		}
		switch parts[i] {
		case "ip4", "ip6":
			addr, _ = netip.ParseAddr(next)
			i++
		case "tcp", "udp":
			port, err := strconv.ParseUint(next, 10, 16)
			if err != nil {
				return at, "", "", false
			}
			if at.Port() == 0 {
				at, transport = netip.AddrPortFrom(addr.WithZone("").Unmap(), uint16(port)), parts[i]
			}
			i++
		case "quic", "quic-v1", "webtransport":
			transport = "quic-v1"
		case "tls":
			secured = true
		case "ws", "wss":
			if transport = "ws"; secured || parts[i] == "wss" {
				transport = "wss"
			}
		case "p2p", "ipfs":
			relay = next
			i++
		case "p2p-circuit":
			return at, transport, relay, at.Addr().IsValid() && at.Port() > 0 && relay != ""
		}
	}
	return at, transport, "", at.Addr().IsValid() && at.Port() > 0
}

// addressed fills in where a peer was contacted, all that it is known by, and
// its relays. Nebula tells the former since 2025; else the first public address
// stands for it.
func addressed(v *observation.Visit, in visitLine) {
	seen := map[string]bool{}
	take := func(multiaddr string, told bool) {
		at, transport, relay, ok := endpoint(multiaddr)
		switch {
		case !ok:
		case relay != "":
			if isPeerID(relay) && len(v.Relays) < maxAddresses && !seen["relay "+relay] {
				seen["relay "+relay] = true
				v.Relays = append(v.Relays, relay)
			}
		case !v.Address.IsValid() && (told || public(at.Addr())):
			v.Address, v.Transport = at, transport
			if transport == "udp" { // what else runs over it is no transport of the record
				v.Transport = ""
			}
		}
	}
	if in.ConnectMaddr != nil {
		take(*in.ConnectMaddr, true)
	}
	for _, m := range append(in.Maddrs, in.ListenMaddrs...) {
		take(m, false)
		if m = observation.Text(m); !seen[m] {
			seen[m] = true
			v.Addresses = append(v.Addresses, m)
		}
	}
}

func public(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() }
