package mainline

import (
	"hash/maphash"
	"slices"
)

// maxHeard bounds what one peer may name in one visit: five times the largest
// routing table known, libtorrent's of some 400 nodes.
const maxHeard = 2048

// heard is the set of peers named in one visit, in order. It keeps its memory
// between visits.
type heard struct {
	peers []Peer
	index []uint16 // open addressing; position in peers plus 1, 0 for none
	full  bool     // something was left out
}

var seed = maphash.MakeSeed()

// reset empties the set.
func (h *heard) reset() {
	h.peers = h.peers[:0]
	clear(h.index)
	h.full = false
}

// add puts p into the set and reports whether it is new.
func (h *heard) add(p Peer) bool {
	if 2*len(h.peers) >= len(h.index) {
		h.grow()
	}
	i := h.slot(p)
	if h.index[i] != 0 {
		return false
	}
	if len(h.peers) == maxHeard {
		h.full = true
		return false
	}
	h.peers = append(h.peers, p)
	h.index[i] = uint16(len(h.peers))
	return true
}

// slot returns where p stands, or where it may be put.
func (h *heard) slot(p Peer) int {
	mask := len(h.index) - 1
	i := int(maphash.Comparable(seed, p)) & mask
	for h.index[i] != 0 && h.peers[h.index[i]-1] != p {
		i = (i + 1) & mask
	}
	return i
}

func (h *heard) grow() {
	h.index = make([]uint16, max(64, 2*len(h.index)))
	for n, p := range h.peers {
		h.index[h.slot(p)] = uint16(n + 1)
	}
}

// take returns the peers as a slice of its own.
func (h *heard) take() []Peer {
	if len(h.peers) == 0 {
		return nil
	}
	return slices.Clone(h.peers)
}
