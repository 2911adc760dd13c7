package mainline

import "slices"

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

// reset empties the set.
func (h *heard) reset() {
	h.peers = h.peers[:0]
	clear(h.index)
	h.full = false
}

// add puts p into the set and reports whether it is new and had room.
func (h *heard) add(p Peer) bool {
	s, known := h.find(&p)
	return !known && h.put(s, &p)
}

// spot is where a peer may be put that is not in the set.
type spot struct {
	at   int
	mark uint32
}

// find reports whether p is in the set, and where to put it if not, which must
// be done before anything else is.
func (h *heard) find(p *Peer) (s spot, known bool) {
	if 2*len(h.peers) >= len(h.index) {
		h.grow()
	}
	s = h.slot(p)
	return s, h.index[s.at] != 0
}

// put adds p where find said, and reports whether there was room.
func (h *heard) put(s spot, p *Peer) bool {
	if len(h.peers) == maxHeard {
		h.full = true
		return false
	}
	h.peers = append(h.peers, *p)
	h.index[s.at] = s.mark | uint32(len(h.peers))
	return true
}

// slot returns where p stands, or where it may be put, and the mark of its
// hash, which spares most looks at other peers.
func (h *heard) slot(p *Peer) spot {
	sum := p.hash()
	mark := uint32(sum>>32) &^ 0xffff
	mask := len(h.index) - 1
	i := int(sum) & mask
	for ; h.index[i] != 0; i = (i + 1) & mask {
		if e := h.index[i]; e&^0xffff == mark && h.peers[e&0xffff-1].is(p) {
			break
		}
	}
	return spot{i, mark}
}

func (h *heard) grow() {
	h.index = make([]uint32, max(64, 2*len(h.index)))
	for n := range h.peers {
		s := h.slot(&h.peers[n])
		h.index[s.at] = s.mark | uint32(n+1)
	}
}

// take returns the peers as a slice of its own.
func (h *heard) take() []Peer {
	if len(h.peers) == 0 {
		return nil
	}
	return slices.Clone(h.peers)
}
