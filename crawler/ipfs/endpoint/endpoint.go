// Package endpoint says what a multiaddr of a libp2p peer means to Canopy:
// where the peer is, over which transport, whether that can be dialled, and behind which
// relay. It is one rule for what a crawl hears and for what other crawlers wrote.
package endpoint

import (
	"net/netip"
	"regexp"
	"slices"

	"github.com/multiformats/go-multiaddr"

	"canopy/crawler/observation"
)

// MaxBytes is how long a multiaddr may be in its binary form: longer than any
// that can be dialled, with a host name of 253 bytes twice in it.
const MaxBytes = 1024

// Transport is a way to reach a peer, as the record names it.
type Transport string

// The transports that Canopy dials. Others are called by the name of their
// protocol, such as webtransport or quic, which is an early draft of quic-v1.
const (
	TCP  Transport = "tcp"
	QUIC Transport = "quic-v1"
	WS   Transport = "ws"
	WSS  Transport = "wss" // WebSocket over TLS
)

// Kind says what can be done with a multiaddr.
type Kind int

// The kinds of multiaddrs.
const (
	Direct  Kind = iota // can be dialled
	Named               // can be dialled once its name is resolved
	Relayed             // reaches the peer through a relay only
	Other               // is of another transport, or of another peer
)

// Endpoint is what a multiaddr means.
type Endpoint struct {
	Kind      Kind
	Addr      netip.AddrPort      // of a name the port alone; invalid where a multiaddr does not begin with an IP address and a port
	Transport Transport           // of what has a port; of Direct and Named one of those that are dialled
	Multiaddr multiaddr.Multiaddr // without the peer's own ID; of a name over TLS with /sni
	Name      string              // of the host, for TLS under WebSocket; may be empty
	Relay     string              // peer ID of the relay, in base58, the first of a chain; empty if m does not say
}

// Read reads the shape of a multiaddr of the peer with this binary ID. It looks at
// nothing but the components. What can be dialled is HOST/tcp/PORT,
// HOST/udp/PORT/quic-v1, HOST/tcp/PORT/ws, HOST/tcp/PORT/tls/sni/NAME/ws with or
// without the name or with /wss for it all, and /dnsaddr/NAME, each perhaps with
// the peer's own /p2p at the end.
func Read(m multiaddr.Multiaddr, self string) Endpoint {
	base, id := Split(m)
	e := Endpoint{Kind: Other, Multiaddr: base}
	if slices.ContainsFunc(m, isCircuit) {
		e.Kind, e.Relay = Relayed, relayOf(m)
		return e
	}
	if id != "" && id != self || len(base) == 0 {
		return e
	}
	if base[0].Protocol().Code == multiaddr.P_DNSADDR && len(base) == 1 {
		e.Kind = Named
		return e
	}
	dialled := e.readTransport()
	switch base[0].Protocol().Code {
	case multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6:
		if dialled {
			e.Kind = e.secureName(base[0].Value())
		}
	case multiaddr.P_IP4, multiaddr.P_IP6:
		ip, ok := netip.AddrFromSlice(base[0].RawValue())
		if !ok || e.Addr.Port() == 0 {
			e.Addr = netip.AddrPort{}
			break
		}
		e.Addr = netip.AddrPortFrom(ip.Unmap(), e.Addr.Port())
		if dialled {
			e.Kind = Direct
		}
	default:
		e.Addr = netip.AddrPort{}
	}
	return e
}

// Split takes the peer ID off the end of a multiaddr, in binary; empty if there
// is none.
func Split(m multiaddr.Multiaddr) (base multiaddr.Multiaddr, id string) {
	base, last := multiaddr.SplitLast(m)
	if last == nil || last.Protocol().Code != multiaddr.P_P2P {
		return m, ""
	}
	return base, string(last.RawValue())
}

// Bare is a multiaddr without the peer's own ID at its end, as it is recorded.
func Bare(m multiaddr.Multiaddr, self string) multiaddr.Multiaddr {
	if base, id := Split(m); id == self {
		return base
	}
	return m
}

// secureName keeps the name of a host that is dialled over TLS beside the
// addresses that it resolves to.
func (e *Endpoint) secureName(name string) Kind {
	if e.Transport != WSS || e.Name != "" {
		return Named
	}
	sni, err := multiaddr.NewComponent("sni", name)
	if err != nil || !hostName.MatchString(name) {
		return Other
	}
	e.Name = name
	e.Multiaddr = slices.Concat(e.Multiaddr[:2], multiaddr.StringCast("/tls"), multiaddr.Multiaddr{*sni}, multiaddr.StringCast("/ws"))
	return Named
}

// hostName is what may stand in a TLS handshake and in the head of a request as
// the name of a peer's host.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)

// shapes are the components that follow the host, by their codes, for each
// transport that is dialled.
var shapes = []struct {
	transport Transport
	codes     []int
}{
	{TCP, []int{multiaddr.P_TCP}},
	{QUIC, []int{multiaddr.P_UDP, multiaddr.P_QUIC_V1}},
	{WS, []int{multiaddr.P_TCP, multiaddr.P_WS}},
	{WSS, []int{multiaddr.P_TCP, multiaddr.P_WSS}},
	{WSS, []int{multiaddr.P_TCP, multiaddr.P_TLS, multiaddr.P_WS}},
	{WSS, []int{multiaddr.P_TCP, multiaddr.P_TLS, multiaddr.P_SNI, multiaddr.P_WS}},
}

// above are the protocols that may stand above TCP and UDP in a multiaddr whose
// host and port are still those of the peer.
var above = []int{
	multiaddr.P_QUIC, multiaddr.P_QUIC_V1, multiaddr.P_WEBTRANSPORT, multiaddr.P_WEBRTC_DIRECT, multiaddr.P_P2P_WEBRTC_DIRECT, multiaddr.P_WEBRTC,
	multiaddr.P_TLS, multiaddr.P_NOISE, multiaddr.P_PLAINTEXTV2, multiaddr.P_SNI, multiaddr.P_WS, multiaddr.P_WSS, multiaddr.P_HTTP, multiaddr.P_HTTPS,
	multiaddr.P_HTTP_PATH, multiaddr.P_CERTHASH, multiaddr.P_UTP, multiaddr.P_UDT,
}

// readTransport fills in transport, port and name from what follows the host, and
// says whether that is dialled.
func (e *Endpoint) readTransport() (dialled bool) {
	rest := e.Multiaddr[1:]
	if len(rest) == 0 || rest[0].Protocol().Code != multiaddr.P_TCP && rest[0].Protocol().Code != multiaddr.P_UDP {
		return false
	}
	port := rest[0].RawValue()
	at := netip.AddrPortFrom(netip.Addr{}, uint16(port[0])<<8|uint16(port[1]))
	for _, s := range shapes {
		if slices.EqualFunc(rest, s.codes, func(part multiaddr.Component, code int) bool { return part.Protocol().Code == code }) {
			e.Addr, e.Transport = at, s.transport
			if len(s.codes) == 4 {
				e.Name = rest[2].Value()
				return hostName.MatchString(e.Name)
			}
			return true
		}
	}
	if !slices.ContainsFunc(rest[1:], func(part multiaddr.Component) bool { return !slices.Contains(above, part.Protocol().Code) }) {
		e.Addr, e.Transport = at, Transport(Label(e.Multiaddr))
	}
	return false
}

// Label is the name of what a multiaddr runs over: its last protocol that is more
// than a detail of the one before.
func Label(m multiaddr.Multiaddr) string {
	for _, c := range slices.Backward(m) {
		switch c.Protocol().Code {
		case multiaddr.P_P2P, multiaddr.P_CERTHASH, multiaddr.P_SNI, multiaddr.P_HTTP_PATH:
		default:
			return c.Protocol().Name
		}
	}
	return "empty"
}

func isCircuit(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_CIRCUIT }

// relayOf names the peer whose relay a circuit address goes through, the first
// of a chain, and "" if m does not say.
func relayOf(m multiaddr.Multiaddr) string {
	before, _ := multiaddr.SplitFunc(m, isCircuit)
	_, last := multiaddr.SplitLast(before)
	if last == nil || last.Protocol().Code != multiaddr.P_P2P {
		return ""
	}
	return last.Value()
}

// Texts writes multiaddrs as they are recorded: sorted, without duplicates, safe
// to show.
func Texts(list []multiaddr.Multiaddr) []string {
	texts := make([]string, 0, len(list))
	for _, m := range list {
		texts = append(texts, observation.Address(m.String()))
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// Relays names the peers behind whose relays one of these multiaddrs lies, sorted.
func Relays(list []multiaddr.Multiaddr) []string {
	var ids []string
	for _, m := range list {
		if e := Read(m, ""); e.Relay != "" {
			ids = append(ids, e.Relay)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
