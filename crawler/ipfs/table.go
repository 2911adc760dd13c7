package ipfs

import (
	"context"
	"slices"

	kbucket "github.com/libp2p/go-libp2p-kbucket"
)

// deepest is the longest common prefix, in bits, for which keys are known: the
// preimages of kbucket reach that far.
const deepest = 15

// dump reads the routing table of the peer with this key, by as few requests
// as prove that nothing was left out.
//
// A reply names the k peers of the table nearest to the target, and a bucket
// holds the peers that share exactly c bits with its owner. So a request for a
// key that shares c bits shows bucket c whole. The first request asks for the
// deepest prefix: it shows the k peers nearest to the owner, hence all buckets
// beyond that of the farthest one shown. The second round asks, in one flight,
// for that bucket and each before it. Peers whose addresses are unknown to the
// owner are never named, so a reply of fewer than k proves nothing by itself.
//
// ask sends one request for each target and returns as many replies as came,
// in order; with fewer than asked for it returns an error. What came before an
// error is kept.
func dump(ctx context.Context, owner kbucket.ID, ask func(context.Context, []Peer) ([]reply, error)) (peers []Peer, partial bool, err error) {
	t := table{owner: owner, ask: ask, seen: make(map[Peer]int)}
	if err = t.round(ctx, deepest, deepest); err != nil {
		return nil, false, err
	}
	low := t.lowest()
	if low > deepest { // nobody named: is the table empty, or full of peers without addresses?
		if err = t.round(ctx, 0, 0); err == nil && len(t.seen) > 0 {
			err = t.round(ctx, 1, deepest-1)
		}
	} else {
		err = t.round(ctx, 0, min(low, deepest-1))
	}
	return t.peers, t.cut || err != nil, err
}

type table struct {
	owner kbucket.ID
	ask   func(context.Context, []Peer) ([]reply, error)
	peers []Peer
	seen  map[Peer]int // bits shared with the owner
	cut   bool
}

// round asks for the prefixes from first to last.
func (t *table) round(ctx context.Context, first, last int) error {
	targets := make([]Peer, 0, last-first+1)
	for c := first; c <= last; c++ {
		target, err := kbucket.GenRandPeerIDWithCPL(t.owner, uint(c))
		if err != nil {
			return err
		}
		targets = append(targets, target)
	}
	replies, err := t.ask(ctx, targets)
	for _, r := range replies {
		t.cut = t.cut || r.cut
		for _, p := range r.peers {
			if _, known := t.seen[p]; !known {
				t.seen[p] = kbucket.CommonPrefixLen(t.owner, kbucket.ConvertPeerID(p))
				t.peers = append(t.peers, p)
			}
		}
	}
	return err
}

// lowest returns the fewest bits that a peer named so far shares with the
// owner, more than deepest if there is none.
func (t *table) lowest() int {
	low := deepest + 1
	for _, bits := range t.seen {
		low = min(low, bits)
	}
	return low
}

// without removes the peers in drop from list.
func without(list []Peer, drop ...Peer) []Peer {
	return slices.DeleteFunc(list, func(p Peer) bool { return slices.Contains(drop, p) })
}
