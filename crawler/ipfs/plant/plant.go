// Package plant labels IPFS peers by experiment. It plants a block of random
// bytes, whose CID nobody can know who was not told, has one service asked for
// it, and records which peers come to fetch it: these are the service's.
//
// A second block, the control, is announced in the same way and at the same
// time, and nobody is asked for it. Whoever comes for a control watches the
// DHT for what is announced, and belongs to nobody that was asked.
//
// The host speaks bitswap (https://specs.ipfs.tech/bitswap-protocol/) as far
// as it takes to hand out these blocks, and joins the DHT as a client.
package plant

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

// Config says how a [Host] is reached and how far it goes.
type Config struct {
	Listen    []string // multiaddrs to listen at, default TCP and QUIC at port 4001
	Announce  []string // multiaddrs to be reached at, default what is listened at
	Connect   []string // multiaddrs with /p2p/ID to stay connected to, such as the service's own node
	Bootstrap []string // multiaddrs with /p2p/ID by which to join the DHT; none: nothing is announced there
	Protocol  string   // protocol ID of the DHT, default /ipfs/kad/1.0.0

	Allow    func(netip.Addr) bool // may this address be contacted? default: any
	Refuse   func(id string) bool  // must this peer be left out, wherever it is? default: nobody
	Agent    string                // names us, default "canopy"
	Size     int                   // of a planted block in bytes, default 512
	MaxPeers int                   // most peers that are recorded, default 10,000
	Patience time.Duration         // for one connection, one announcement and one reply, default 1 min
	Logger   *slog.Logger          // default: discard
}

func (c Config) withDefaults() Config {
	if len(c.Listen) == 0 {
		c.Listen = []string{"/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/udp/4001/quic-v1"}
	}
	c.Protocol = cmp.Or(c.Protocol, "/ipfs/kad/1.0.0")
	if c.Allow == nil {
		c.Allow = func(netip.Addr) bool { return true }
	}
	if c.Refuse == nil {
		c.Refuse = func(string) bool { return false }
	}
	c.Agent = cmp.Or(c.Agent, "canopy")
	c.Size = cmp.Or(c.Size, 512)
	c.MaxPeers = cmp.Or(c.MaxPeers, 10_000)
	c.Patience = cmp.Or(c.Patience, time.Minute)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Block is planted content. It is a whole object of its own: a raw block.
type Block struct {
	CID  string
	Data []byte
}

// Visit is one peer that asked for one planted block.
type Visit struct {
	PeerID    string
	Address   netip.AddrPort // invalid if it came through a relay
	Agent     string
	Protocols []string
	CID       string
	First     time.Time // when it first asked
}

// Host plants blocks and records who asks for them.
type Host struct {
	cfg       Config
	host      host.Host
	kad       *dht.IpfsDHT // nil without a DHT
	connect   []peer.AddrInfo
	bootstrap []peer.AddrInfo

	mu      sync.Mutex
	planted map[cid.Cid]blocks.Block
	visits  map[asked]*Visit
	peers   map[peer.ID]bool // that are recorded
	cards   map[peer.ID]card
	missed  int // peers beyond MaxPeers that came
}

// asked names a visit.
type asked struct {
	peer peer.ID
	cid  cid.Cid
}

// card is what a peer says of itself.
type card struct {
	agent     string
	protocols []string
}

// New listens under a fresh identity. It contacts nobody.
func New(cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	h := &Host{cfg: cfg, planted: map[cid.Cid]blocks.Block{}, visits: map[asked]*Visit{}, peers: map[peer.ID]bool{}, cards: map[peer.ID]card{}}
	var err error
	if h.connect, err = parsePeers("connect", cfg.Connect); err != nil {
		return nil, err
	}
	if h.bootstrap, err = parsePeers("bootstrap", cfg.Bootstrap); err != nil {
		return nil, err
	}
	announce := make([]multiaddr.Multiaddr, len(cfg.Announce))
	for i, text := range cfg.Announce {
		if announce[i], err = multiaddr.NewMultiaddr(text); err != nil {
			return nil, fmt.Errorf("parse announce address %q: %w", text, err)
		}
	}
	options := []libp2p.Option{
		libp2p.ListenAddrStrings(cfg.Listen...), libp2p.UserAgent(cfg.Agent), libp2p.ConnectionGater(gater{cfg}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(),
	}
	if len(announce) > 0 {
		options = append(options, libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return announce }))
	}
	if h.host, err = libp2p.New(options...); err != nil {
		return nil, fmt.Errorf("listen for visitors: %w", err)
	}
	for _, id := range bitswap {
		h.host.SetStreamHandler(id, h.serve)
	}
	if len(h.bootstrap) > 0 {
		h.kad, err = dht.New(h.host, dht.Mode(dht.ModeClient), dht.V1ProtocolOverride(protocol.ID(cfg.Protocol)))
	}
	if err == nil {
		err = h.followCards()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up host: %w", err), h.Close())
	}
	return h, nil
}

func parsePeers(what string, texts []string) (out []peer.AddrInfo, err error) {
	for _, text := range texts {
		info, err := peer.AddrInfoFromString(text)
		if err != nil || len(info.Addrs) == 0 {
			return nil, fmt.Errorf("parse %s address %q: want a multiaddr that ends in /p2p/ and a peer ID", what, text)
		}
		out = append(out, *info)
	}
	return out, nil
}

// maxCards bounds how many peers are remembered by what they say of themselves.
const maxCards = 1 << 16

// followCards keeps what peers say of themselves, until the host is closed.
func (h *Host) followCards() error {
	sub, err := h.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	go func() {
		for e := range sub.Out() {
			seen := e.(event.EvtPeerIdentificationCompleted)
			c := card{agent: seen.AgentVersion}
			for _, p := range seen.Protocols {
				c.protocols = append(c.protocols, string(p))
			}
			h.mu.Lock()
			if len(h.cards) < maxCards || h.peers[seen.Peer] {
				h.cards[seen.Peer] = c
			}
			h.mu.Unlock()
		}
	}()
	return nil
}

// ID is the peer ID of the host, in base58.
func (h *Host) ID() string { return h.host.ID().String() }

// Addresses are where the host is reached, as multiaddrs that end in /p2p/ID.
func (h *Host) Addresses() (out []string) {
	for _, a := range h.host.Addrs() {
		out = append(out, a.String()+"/p2p/"+h.ID())
	}
	return out
}

// Join connects to the peers that the configuration names. It fails when one
// of Connect can't be reached, or when none of Bootstrap takes us into the DHT.
func (h *Host) Join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Patience)
	defer cancel()
	for _, p := range h.connect {
		h.host.ConnManager().Protect(p.ID, "asked for")
		if err := h.host.Connect(ctx, p); err != nil {
			return fmt.Errorf("connect to %s: %w", p.ID, err)
		}
	}
	if h.kad == nil {
		return nil
	}
	var failed []error
	for _, p := range h.bootstrap {
		if err := h.host.Connect(ctx, p); err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) == len(h.bootstrap) {
		return fmt.Errorf("join the DHT: %w", errors.Join(failed...))
	}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for h.kad.RoutingTable().Size() == 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("join the DHT: none of %d entry points speaks %s", len(h.bootstrap), h.cfg.Protocol)
		case <-poll.C:
		}
	}
	return nil
}

// Plant makes a fresh block and announces it in the DHT, if there is one.
func (h *Host) Plant(ctx context.Context) (Block, error) {
	data := make([]byte, h.cfg.Size)
	_, _ = rand.Read(data) // never fails
	hash, err := multihash.Sum(data, multihash.SHA2_256, -1)
	if err != nil {
		return Block{}, fmt.Errorf("hash planted block: %w", err)
	}
	id := cid.NewCidV1(cid.Raw, hash)
	block, err := blocks.NewBlockWithCid(data, id)
	if err != nil {
		return Block{}, fmt.Errorf("make planted block: %w", err)
	}
	h.mu.Lock()
	h.planted[id] = block
	h.mu.Unlock()
	if h.kad != nil {
		ctx, cancel := context.WithTimeout(ctx, h.cfg.Patience)
		defer cancel()
		if err := h.kad.Provide(ctx, id, true); err != nil {
			return Block{}, fmt.Errorf("announce planted block in the DHT: %w", err)
		}
	}
	return Block{id.String(), data}, nil
}

// Visits lists who asked for planted blocks so far, and how many more peers
// came than are recorded.
func (h *Host) Visits() (visits []Visit, missed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for a, v := range h.visits {
		visit := *v
		if c, ok := h.cards[a.peer]; ok {
			visit.Agent, visit.Protocols = c.agent, c.protocols
		}
		visits = append(visits, visit)
	}
	return visits, h.missed
}

// Close ends every connection.
func (h *Host) Close() error {
	var err error
	if h.kad != nil {
		err = h.kad.Close()
	}
	return errors.Join(err, h.host.Close())
}
