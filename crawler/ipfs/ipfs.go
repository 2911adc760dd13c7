// Package ipfs walks the IPFS DHT, or any other libp2p Kademlia DHT: it visits
// peers, reads their routing tables and records who they say they are.
//
// A visit is one connection: dial, identify, and the FIND_NODE requests that
// [dump] needs to have seen the whole table, all on one stream. The walker
// drives libp2p's transports itself instead of going through a libp2p host:
// a host keeps books on every peer, races addresses by rules of its own and
// folds all failures into one error, while a walker meets each peer once and
// has to tell a refusal from silence.
//
// A walk sees DHT servers, and of these what others say and what they say of
// themselves. Clients stand in no routing table: they are seen only where an
// entry outlived the time when the peer was a server, and are then recorded as
// [observation.WrongProtocol]. Peers that are known behind relays only are not
// dialled and recorded as [observation.RelayOnly].
package ipfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	madns "github.com/multiformats/go-multiaddr-dns"
	manet "github.com/multiformats/go-multiaddr/net"

	"canopy/crawler/ipfs/endpoint"
	"canopy/crawler/observation"
)

// Peer identifies one peer: the bytes of its libp2p peer ID.
type Peer = peer.ID

// DefaultProtocol is the protocol ID of the public IPFS DHT.
const DefaultProtocol = "/ipfs/kad/1.0.0"

// Transport is a way to reach a peer.
type Transport = endpoint.Transport

// The transports that the walker dials, in its order of preference: TCP costs
// both sides less than QUIC, and whoever speaks WebSocket mostly speaks one of
// these too.
const (
	TCP  = endpoint.TCP
	QUIC = endpoint.QUIC
	WS   = endpoint.WS
	WSS  = endpoint.WSS
)

var preference = []Transport{TCP, QUIC, WS, WSS}

// Pacer keeps the walker from contacting one address too often.
type Pacer interface {
	// Take books one contact with addr at now and returns zero, or books
	// nothing and returns how long to wait before asking again.
	Take(addr netip.Addr, now time.Time) (wait time.Duration)
}

// Config says which DHT to walk and how. The zero value walks the public IPFS
// DHT; every field has a default.
type Config struct {
	Bootstrap []string              // multiaddrs that end in /p2p/ID; default DefaultBootstrap() for DefaultProtocol
	Protocol  string                // protocol ID of the DHT, default DefaultProtocol
	K         int                   // bucket size of the network, default 20
	Allow     func(netip.Addr) bool // may this address be contacted? default: globally routable ones only
	Refuse    func(id string) bool  // must this peer not be contacted, wherever it is? default: nobody
	Pacer     Pacer                 // default: no pacing
	Agent     string                // what identify tells peers of us, default "canopy"

	Visits         int           // most visits under way at once, default 1000; fewer when descriptors are short
	DialTimeout    time.Duration // for the addresses of a silent peer, both visits together; default 6 s
	RequestTimeout time.Duration // for identify, each FIND_NODE reply and a last handshake; default 10 s
	Transports     []Transport   // default all four
	Resolver       madns.BasicResolver
	Logger         *slog.Logger // default: discard
}

// DefaultBootstrap lists the entry points that IPFS clients ship with.
func DefaultBootstrap() []string {
	return []string{
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
		"/dnsaddr/va1.bootstrap.libp2p.io/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
		"/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
	}
}

func (c Config) withDefaults() Config {
	c.Protocol = cmp.Or(c.Protocol, DefaultProtocol)
	if len(c.Bootstrap) == 0 && c.Protocol == DefaultProtocol {
		c.Bootstrap = DefaultBootstrap()
	}
	c.K = cmp.Or(c.K, 20)
	if c.Allow == nil {
		c.Allow = routable
	}
	if c.Refuse == nil {
		c.Refuse = func(string) bool { return false }
	}
	if c.Pacer == nil {
		c.Pacer = unpaced{}
	}
	c.Agent = cmp.Or(c.Agent, "canopy")
	c.Visits = cmp.Or(c.Visits, 1000)
	c.DialTimeout = cmp.Or(c.DialTimeout, 6*time.Second)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 10*time.Second)
	if len(c.Transports) == 0 {
		c.Transports = preference
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

type unpaced struct{}

func (unpaced) Take(netip.Addr, time.Time) time.Duration { return 0 }

// routable says whether addr lies in globally routable space.
func routable(addr netip.Addr) bool {
	m, err := manet.FromIP(addr.AsSlice())
	return err == nil && manet.IsPublicAddr(m)
}

// Walker walks one DHT. It may be used for one Walk at a time.
type Walker struct {
	cfg      Config
	seeds    []seed
	identity *identity
	dialer   *dialer
	book     *book
	load     *load
	aside    []string // what a reader must know of entry points that are no peers, one sentence each
}

// New checks cfg and makes a walker with a fresh identity. It contacts nobody.
func New(cfg Config) (*Walker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	w := &Walker{cfg: cfg, load: newLoad(cfg.Visits)}
	w.book = newBook(w.mayDial)
	for _, s := range cfg.Bootstrap {
		parsed, err := parseSeed(s)
		if err != nil {
			return nil, err
		}
		w.seeds = append(w.seeds, parsed)
	}
	var err error
	if w.identity, err = newIdentity(cfg.Agent); err != nil {
		return nil, err
	}
	if w.dialer, err = newDialer(w.identity.key, cfg, w.load); err != nil {
		return nil, err
	}
	return w, nil
}

func (c Config) check() error {
	if c.Protocol[0] != '/' {
		return fmt.Errorf("check protocol %q: a protocol ID starts with a slash, like %s", c.Protocol, DefaultProtocol)
	}
	if len(c.Bootstrap) == 0 {
		return fmt.Errorf("check bootstrap: %s has no known entry points, name at least one as /ip4/ADDRESS/tcp/PORT/p2p/PEER", c.Protocol)
	}
	if c.K < 1 || c.Visits < 1 || c.DialTimeout < 0 || c.RequestTimeout < 0 {
		return errors.New("check limits: K, Visits and the time-outs must be positive")
	}
	for _, t := range c.Transports {
		if !slices.Contains(preference, t) {
			return fmt.Errorf("check transport %q: want one of %q", t, preference)
		}
	}
	return nil
}

// Close frees the sockets of the walker.
func (w *Walker) Close() error { return w.dialer.close() }

// Network describes the DHT that is walked.
func (w *Walker) Network() observation.Network { return Describe(w.cfg.Protocol, w.cfg.K) }

// Describe is the description of the DHT of one protocol with buckets of k.
func Describe(protocol string, k int) observation.Network {
	n := observation.Network{
		Name: "ipfs", Title: "IPFS DHT", K: k, Alpha: 10, IDBits: 256, Distance: "xor", Identity: "peer ID", KeyDerivation: "sha256-base58",
	}
	if protocol != DefaultProtocol {
		n.Title = "libp2p DHT " + observation.Text(protocol)
	}
	return n
}

// PeerID writes the ID of p in base58.
func (w *Walker) PeerID(p Peer) string { return p.String() }

// Learnt says whether there are addresses of p that its last visit did not dial:
// a failure of that visit is then worth another look, whatever its kind.
func (w *Walker) Learnt(p Peer) bool { return w.book.wanted(p) }

// Health says whether this machine kept up with the walk, and if not, in one
// sentence each, what suffered, and what of all that was named was left out.
func (w *Walker) Health() (degraded bool, notes []string) {
	degraded, notes = w.load.health()
	full, left := w.book.health()
	return degraded || full, slices.Concat(notes, left, w.aside)
}

// Walk visits every peer that arrives on targets: see crawler.Walker.
func (w *Walker) Walk(ctx context.Context, targets <-chan []Peer, results chan<- []observation.Result[Peer]) error {
	return newWalk(w, results).run(ctx, targets)
}
