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
	index []uint32 // open addressing; 16 bits of the hash, then the position in peers plus 1; 0 for none
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
	i, mark := h.slot(p)
	if h.index[i] != 0 {
		return false
	}
	if len(h.peers) == maxHeard {
		h.full = true
		return false
	}
	h.peers = append(h.peers, p)
	h.index[i] = mark | uint32(len(h.peers))
	return true
}

// slot returns where p stands, or where it may be put, and the mark of its
// hash, which spares most looks at other peers.
func (h *heard) slot(p Peer) (i int, mark uint32) {
	sum := maphash.Comparable(seed, p)
	mark = uint32(sum>>32) &^ 0xffff
	mask := len(h.index) - 1
	for i = int(sum) & mask; h.index[i] != 0; i = (i + 1) & mask {
		if e := h.index[i]; e&^0xffff == mark && h.peers[e&0xffff-1] == p {
			break
		}
	}
	return i, mark
}

func (h *heard) grow() {
	h.index = make([]uint32, max(64, 2*len(h.index)))
	for n, p := range h.peers {
		i, mark := h.slot(p)
		h.index[i] = mark | uint32(n+1)
	}
}

// take returns the peers as a slice of its own.
func (h *heard) take() []Peer {
	if len(h.peers) == 0 {
		return nil
	}
	return slices.Clone(h.peers)
}
