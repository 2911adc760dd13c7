package nebula

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"

	"canopy/crawler/identifier"
	"canopy/crawler/ipfs/endpoint"
	"canopy/crawler/observation"
)

// Bounds on what one line may hold. A line that is longer is left out, lists
// that are longer are cut.
const (
	maxLine      = 4 << 20 // bytes
	maxAddresses = 256
	maxProtocols = 256
	maxNeighbour = 65_536
)

// Cuts count what was left out of lines that were kept.
type Cuts struct {
	Addresses  int `json:"addresses"`  // beyond 256 of one peer, or longer than Canopy keeps
	Protocols  int `json:"protocols"`  // beyond 256 of one peer
	Neighbours int `json:"neighbours"` // beyond 65,536 of one peer
	Unreadable int `json:"unreadable"` // addresses that are no multiaddr
}

func (c *Cuts) add(more Cuts) {
	c.Addresses += more.Addresses
	c.Protocols += more.Protocols
	c.Neighbours += more.Neighbours
	c.Unreadable += more.Unreadable
}

// String says in words what was left out; empty for nothing.
func (c Cuts) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{c.Addresses, fmt.Sprintf("addresses beyond %d of one peer or longer than %d bytes", maxAddresses, endpoint.MaxBytes)}, {c.Unreadable, "addresses that are no multiaddr"},
		{c.Protocols, "protocols beyond 256 of one peer"}, {c.Neighbours, "neighbours beyond 65,536 of one peer"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// visitLine is one line of the visits.
type visitLine struct {
	PeerID          string
	Maddrs          []string // that it dialled
	FilteredMaddrs  []string // that it knew and did not dial
	ListenMaddrs    []string // that the peer said it listens at
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

// decodeVisit makes a visit of one line, and counts what it leaves out of its
// lists; Network, CrawlID, Number, Neighbours and Facts are the caller's. allow
// says which addresses may stand for the peer.
func decodeVisit(line []byte, allow func(netip.Addr) bool) (v observation.Visit, cut Cuts, err error) {
	var in visitLine
	if err := json.Unmarshal(line, &in); err != nil {
		return v, cut, fmt.Errorf("no visit: %w", err)
	}
	id, err := peerID(in.PeerID)
	if err != nil {
		return v, cut, err
	}
	if !believable(in.VisitStartedAt) {
		return v, cut, errors.New("VisitStartedAt is missing or no date of a crawl")
	}
	v = observation.Visit{PeerID: id, VisitedAt: in.VisitStartedAt.UTC(), Agent: observation.Text(in.AgentVersion)}
	protocols := in.Protocols[:min(len(in.Protocols), maxProtocols)]
	for _, p := range protocols {
		v.Protocols = append(v.Protocols, observation.Text(p))
	}
	v.Outcome, v.Detail = outcome(in)
	if took, err := time.ParseDuration(in.ConnectDuration); err == nil && took > 0 && took < time.Hour && in.ConnectErrorStr == "" {
		v.Handshake = took
	}
	cut = places(&v, in, allow)
	cut.Protocols = len(in.Protocols) - len(protocols)
	return v, cut, nil
}

// peerID reads the ID of a libp2p peer, as the record keeps it.
func peerID(text string) (string, error) {
	id, err := identifier.Peer(text)
	if err != nil {
		return "", fmt.Errorf("PeerID is no peer ID: %w", err)
	}
	if _, err := multihash.FromB58String(id); err != nil {
		return "", fmt.Errorf("PeerID is no peer ID: %s is that of a Mainline node", id)
	}
	return id, nil
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

// decodeNeighbours reads one routing table, and counts the entries that it leaves
// out. A table that was cut is partial.
func decodeNeighbours(line []byte) (in neighboursLine, partial bool, cut int, err error) {
	if err := json.Unmarshal(line, &in); err != nil {
		return in, false, 0, fmt.Errorf("no routing table: %w", err)
	}
	bits := uint64(0)
	if in.ErrorBits != "" {
		if bits, err = strconv.ParseUint(in.ErrorBits, 2, 64); err != nil {
			return in, false, 0, errors.New("ErrorBits is no binary number")
		}
	}
	if in.PeerID, err = peerID(in.PeerID); err != nil {
		return in, false, 0, err
	}
	if cut = len(in.NeighborIDs) - maxNeighbour; cut > 0 {
		in.NeighborIDs = in.NeighborIDs[:maxNeighbour]
	}
	return in, bits != 0 || cut > 0, max(cut, 0), nil
}

// places fills in where a peer was contacted, all that it is known by, and its
// relays, and counts what it leaves out. Nebula did not dial the addresses of
// FilteredMaddrs, which tell as well as others who the peer is.
func places(v *observation.Visit, in visitLine, allow func(netip.Addr) bool) (cut Cuts) {
	hash, _ := multihash.FromB58String(v.PeerID) // decodeVisit has checked it
	self := string(hash)
	v.Address, v.Transport = contacted(in, self, allow)
	var known []multiaddr.Multiaddr
	seen := map[string]bool{}
	for _, text := range slices.Concat(in.Maddrs, in.ListenMaddrs, in.FilteredMaddrs) {
		m, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			cut.Unreadable++
			continue
		}
		m = endpoint.Bare(m, self)
		switch raw := string(m.Bytes()); {
		case raw == "" || seen[raw]:
		case len(known) == maxAddresses || len(raw) > endpoint.MaxBytes:
			cut.Addresses++
		default:
			seen[raw] = true
			known = append(known, m)
		}
	}
	v.Addresses, v.Relays = endpoint.Texts(known), endpoint.Relays(known)
	return cut
}

// contacted is where Nebula reached a peer, and over which transport. It tells
// since 2025; else an address that it dialled stands for that, the first of a
// transport that Canopy dials or, failing that, of another.
func contacted(in visitLine, self string, allow func(netip.Addr) bool) (netip.AddrPort, string) {
	var other endpoint.Endpoint
	if in.ConnectMaddr != nil {
		if e, ok := reached(*in.ConnectMaddr, self, allow); ok {
			return e.Addr, string(e.Transport)
		}
	}
	for _, text := range slices.Concat(in.Maddrs, in.ListenMaddrs) {
		e, ok := reached(text, self, allow)
		switch {
		case ok && e.Kind == endpoint.Direct:
			return e.Addr, string(e.Transport)
		case ok && !other.Addr.IsValid():
			other = e
		}
	}
	return other.Addr, string(other.Transport)
}

// reached reads a multiaddr at which a peer may have been reached without a relay.
func reached(text, self string, allow func(netip.Addr) bool) (e endpoint.Endpoint, ok bool) {
	m, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return e, false
	}
	e = endpoint.Read(m, self)
	return e, (e.Kind == endpoint.Direct || e.Kind == endpoint.Other) && e.Addr.IsValid() && allow(e.Addr.Addr())
}

func public(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() }
