package ipfs

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"canopy/crawler/ipfs/endpoint"
)

// Bounds of the address book. What peers name costs memory for the length of a
// crawl, and none of it can be believed. What may be dialled is told apart
// first, so that nothing else takes its room.
const (
	maxDialable     = 256 // addresses kept of one peer that may be dialled, names among them
	maxNamed        = 128 // of these, how many one mention may fill, so that one liar cannot fill them all
	maxOthers       = 64  // kept of one peer for the record only
	maxAddressBytes = endpoint.MaxBytes
	maxPeers        = 4 << 20 // later ones are visited without addresses
)

// policy says of an address of a peer whether it may be dialled.
type policy func(multiaddr.Multiaddr, Peer) bool

// book remembers the addresses of every peer that was named, in the binary
// multiaddr form in which they came: most are never looked at again.
type book struct {
	may   policy
	mu    sync.Mutex
	peers map[Peer]*entry
	full  map[Peer]bool // peers for which there was no room, the first of them
	cut   int           // addresses that may be dialled, each time that one was named for which there was no room
	lost  int           // the same of other addresses
	over  int           // peers with addresses to dial that were cut
}

// entry is what is known of one peer.
type entry struct {
	id     mention
	dial   []string // may be dialled
	others []string // for the record only
	cut    int      // times that an address to dial was named for which there was no room
	lost   int      // the same of other addresses
	tried  int      // how many addresses the last visit knew
	seen   bool     // visited
	again  bool     // another visit may do better than the last one
}

func newBook(may policy) *book {
	return &book{may: may, peers: make(map[Peer]*entry), full: make(map[Peer]bool)}
}

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
			if len(b.full) < maxPeers {
				b.full[p] = true
			}
			return e.id, true
		}
		b.peers[p] = e
	}
	room := min(maxDialable, len(e.dial)+maxNamed)
	for _, a := range addrs {
		if len(a) > 0 && !slices.Contains(e.dial, string(a)) && !slices.Contains(e.others, string(a)) {
			b.keep(e, a, room)
		}
	}
	return e.id, true
}

// keep puts a new address into e, unless there is no room left for its kind.
func (b *book) keep(e *entry, a []byte, room int) {
	m, err := multiaddr.NewMultiaddrBytes(a)
	dial := len(a) <= maxAddressBytes && err == nil && b.may(m, e.id.peer)
	switch {
	case dial && len(e.dial) < room:
		e.dial = append(e.dial, string(a))
	case dial:
		if e.cut == 0 {
			b.over++
		}
		e.cut++
		b.cut++
	case len(e.others) < maxOthers && len(a) <= maxAddressBytes:
		e.others = append(e.others, string(a))
	default:
		e.lost++
		b.lost++
	}
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

// known is what is known of a peer for a visit.
type known struct {
	addrs     []string // those that may be dialled first
	cut, lost int      // as of an entry
	full      bool     // there was no room for the peer itself
}

// take returns what is known of p for a visit that starts now.
func (b *book) take(p Peer) known {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.peers[p]
	if e == nil {
		return known{full: b.full[p]}
	}
	e.tried = len(e.dial) + len(e.others)
	return known{addrs: slices.Concat(e.dial, e.others), cut: e.cut, lost: e.lost}
}

// late says whether p got addresses since the last take.
func (b *book) late(p Peer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.peers[p]
	return e != nil && len(e.dial)+len(e.others) > e.tried
}

// another notes whether one more visit of p may do better than the last.
func (b *book) another(p Peer, may bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.peers[p]; e != nil {
		e.again = may
	}
}

// wanted says whether p is worth another visit, whatever came of the last one.
func (b *book) wanted(p Peer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.peers[p]
	return e != nil && (e.again || len(e.dial)+len(e.others) > e.tried)
}

// health says what the book had no room for, in one sentence each. Peers
// without addresses may be alive.
func (b *book) health() (degraded bool, notes []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.full); n > 0 {
		degraded = true
		notes = append(notes, fmt.Sprintf("The address book was full at %d peers; %d or more further peers were visited without addresses.",
			maxPeers, n))
	}
	if b.cut > 0 {
		notes = append(notes, fmt.Sprintf("Of %d peers more addresses that may be dialled were named than are kept (%d, and %d of one mention): "+
			"%d mentions of further ones were left out.", b.over, maxDialable, maxNamed, b.cut))
	}
	if b.lost > 0 {
		notes = append(notes, fmt.Sprintf("%d mentions of addresses that can't be dialled were left out: %d are kept of one peer.",
			b.lost, maxOthers))
	}
	return degraded, notes
}
