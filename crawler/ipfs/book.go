package ipfs

import (
	"encoding/binary"
	"slices"
	"sync"

	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"

	"canopy/crawler/ipfs/endpoint"
)

// Bounds of the address book. What peers name costs memory for the length of a
// crawl, and none of it can be believed.
const (
	maxPeerAddresses = 64 // kept of one peer
	maxNamed         = 16 // taken from one mention of a peer, so that one liar cannot fill its entry
	maxAddressBytes  = endpoint.MaxBytes
	maxPeers         = 4 << 20 // later ones are visited without addresses
)

// book remembers the addresses of every peer that was named, in the binary
// multiaddr form in which they came: most are never looked at.
type book struct {
	mu    sync.Mutex
	peers map[Peer]*entry
}

type entry struct {
	id    mention
	addrs []string
	tried int  // how many of addrs the last visit knew
	seen  bool // visited
}

func newBook() *book { return &book{peers: make(map[Peer]*entry)} }

// learn merges addresses into the entry of the peer with this binary ID and
// returns the peer, or false when id is no peer ID.
func (b *book) learn(id []byte, addrs [][]byte) (mention, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.peers[Peer(id)]
	if e == nil {
		p, err := peer.IDFromBytes(id)
		if err != nil {
			return mention{}, false
		}
		e = &entry{id: mention{p, keyPrefix(p)}}
		if len(b.peers) >= maxPeers {
			return e.id, true
		}
		b.peers[p] = e
	}
	for _, a := range addrs[:min(len(addrs), maxNamed)] {
		if len(e.addrs) == maxPeerAddresses {
			break
		}
		if len(a) == 0 || len(a) > maxAddressBytes || slices.Contains(e.addrs, string(a)) {
			continue
		}
		e.addrs = append(e.addrs, string(a))
	}
	return e.id, true
}

// keyPrefix returns the first bits of the Kademlia key of p, which is the
// SHA-256 of its bytes.
func keyPrefix(p Peer) uint16 { return binary.BigEndian.Uint16(kbucket.ConvertPeerID(p)) }

// visited notes a visit of p and says whether it is not the first.
func (b *book) visited(p Peer) (again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.peers[p]; e != nil {
		again, e.seen = e.seen, true
	}
	return again
}

// take returns what is known of p for a visit that starts now.
func (b *book) take(p Peer) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.peers[p]
	if e == nil {
		return nil
	}
	e.tried = len(e.addrs)
	return slices.Clone(e.addrs)
}

// late says whether p got addresses since the last take.
func (b *book) late(p Peer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.peers[p]
	return e != nil && len(e.addrs) > e.tried
}
