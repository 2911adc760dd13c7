package ipfs

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	kbucket "github.com/libp2p/go-libp2p-kbucket"
)

const (
	deepest     = 15  // longest prefix, in bits, that a target shares with the owner: kbucket knows preimages of 16 bits
	maxRequests = 256 // to one peer, however its table is built
	maxFlight   = 16  // requests under way at once
)

// dump reads the routing table of the peer whose key begins with owner, by as few requests
// as prove that nothing was left out.
//
// A reply names the k peers of the table nearest to the target. In Kademlia a
// bucket holds at most k peers, those that share exactly c bits with the
// owner, so a request for a key that shares c bits shows bucket c whole. The
// first request asks for the deepest prefix: it shows the k peers nearest to
// the owner, hence all buckets beyond that of the farthest one shown. The
// second round asks for that bucket and each before it. Peers whose addresses
// the owner does not know are never named, so a reply of fewer than k proves
// nothing by itself.
//
// js-libp2p keeps many buckets of k where others keep one. To notice, the
// second round looks into bucket 0 from its other half too: when that shows
// new peers, every bucket that filled a reply is split until no reply is
// filled by its own part alone.
//
// ask sends one request for each target and returns as many replies as came,
// in order; with fewer than asked for it returns an error. What came before an
// error is kept, and the dump is then partial.
func dump(ctx context.Context, owner uint16, ask func(context.Context, []Peer) ([]reply, error)) (peers []Peer, partial bool, err error) {
	t := table{owner: owner, ask: ask, low: deepest + 1, seen: make(map[Peer]bool, 64)}
	err = t.read(ctx)
	return t.peers, t.cut || err != nil, err
}

type table struct {
	owner uint16 // first bits of the owner's key
	ask   func(context.Context, []Peer) ([]reply, error)
	peers []Peer
	seen  map[Peer]bool
	low   int // fewest bits that a peer named so far shares with the owner, more than deepest without any
	asked int
	cut   bool
}

// region is all keys that begin with the first bits of prefix.
type region struct {
	prefix uint16
	bits   int
}

func (r region) holds(key uint16) bool { return (r.prefix^key)>>(16-r.bits) == 0 }

// exceeded says whether a reply to a key in r went beyond r: then it showed all
// that lies in r, which is nearer.
func (r region) exceeded(shown []uint16) bool {
	return slices.ContainsFunc(shown, func(key uint16) bool { return !r.holds(key) })
}

// bucket is the region of the keys that share exactly c bits with the owner.
// The rest of the prefix mirrors the owner's own, so that every crawl asks for
// the same keys.
func (t *table) bucket(c int) region { return region{t.owner ^ 0x8000>>c, c + 1} }

func (t *table) read(ctx context.Context) error {
	if _, err := t.round(ctx, []region{t.bucket(deepest)}); err != nil {
		return err
	}
	low := t.low
	if low > deepest { // nobody: is the table empty, or are those nearest to its owner without addresses?
		shown, err := t.round(ctx, []region{t.bucket(0)})
		if err != nil || len(shown[0]) == 0 {
			return err
		}
		low = deepest - 1
	}
	low = min(low, deepest-1)
	var regions []region
	for c := range low + 1 {
		regions = append(regions, t.bucket(c))
	}
	other := regions[0]
	other.prefix ^= 0x4000
	if low > 0 { // bucket 0 is full, or nearly
		regions = append(regions, other)
	}
	shown, err := t.round(ctx, regions)
	if err != nil || low == 0 && regions[0].exceeded(shown[0]) {
		return err
	}
	if low == 0 {
		again, err := t.round(ctx, []region{other})
		if err != nil {
			return err
		}
		shown = append(shown, again...)
	}
	if !wider(other, shown[0], shown[low+1]) {
		return nil
	}
	regions = regions[:low+1]
	return t.split(ctx, regions, shown)
}

// wider says whether two replies for the same bucket show more of it than one
// reply can hold.
func wider(bucket region, one, two []uint16) bool {
	for _, key := range two {
		if bucket.holds(key) && !slices.Contains(one, key) {
			return true
		}
	}
	return false
}

// split halves the regions that filled their replies, until each shows a peer
// from outside: then it showed all of its own before.
func (t *table) split(ctx context.Context, regions []region, shown [][]uint16) error {
	for len(regions) > 0 {
		var halves []region
		for i, r := range regions {
			if r.exceeded(shown[i]) || len(shown[i]) == 0 || r.bits == 16 {
				continue
			}
			bit := uint16(0x8000) >> r.bits
			halves = append(halves, region{r.prefix &^ bit, r.bits + 1}, region{r.prefix | bit, r.bits + 1})
		}
		if t.asked+len(halves) > maxRequests {
			t.cut = true
			return nil
		}
		var err error
		if shown, err = t.round(ctx, halves); err != nil {
			return err
		}
		regions = halves
	}
	return nil
}

// round asks for a key in each region, and returns what each reply showed: the
// first bits of the peers' keys.
func (t *table) round(ctx context.Context, regions []region) (shown [][]uint16, err error) {
	for flight := range slices.Chunk(regions, maxFlight) {
		targets := make([]Peer, len(flight))
		for i, r := range flight {
			if targets[i], err = keyWith(r.prefix); err != nil {
				return shown, err
			}
		}
		t.asked += len(targets)
		replies, err := t.ask(ctx, targets)
		for _, r := range replies {
			shown = append(shown, t.note(r))
		}
		if err != nil {
			return shown, err
		}
	}
	return shown, nil
}

func (t *table) note(r reply) []uint16 {
	t.cut = t.cut || r.cut
	keys := make([]uint16, len(r.peers))
	for i, n := range r.peers {
		keys[i] = n.key
		if t.seen[n.peer] {
			continue
		}
		t.seen[n.peer] = true
		t.peers = append(t.peers, n.peer)
		t.low = min(t.low, bits.LeadingZeros16(t.owner^n.key))
	}
	return keys
}

// keyWith returns a peer ID whose Kademlia key begins with these 16 bits.
func keyWith(prefix uint16) (Peer, error) {
	neighbour := make(kbucket.ID, 32) // differs from the key in bit 15, and agrees in those before
	binary.BigEndian.PutUint16(neighbour, prefix^1)
	target, err := kbucket.GenRandPeerIDWithCPL(neighbour, deepest)
	if err != nil {
		return "", fmt.Errorf("find a key that begins with %016b: %w", prefix, err)
	}
	return target, nil
}

// without removes the peers in drop from list.
func without(list []Peer, drop ...Peer) []Peer {
	return slices.DeleteFunc(list, func(p Peer) bool { return slices.Contains(drop, p) })
}
