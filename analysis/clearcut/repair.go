package clearcut

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// Repaired is what is left after one round of repair, in which every survivor
// mends its table at the same time, from the tables as they were. It drops the
// entries that do not answer. For each bucket that lost one, it asks for a
// random key of that bucket: those of its living entries that are closest to
// the key, one after the other, alpha at most, until the bucket holds k again.
// From the k entries that each of them names it takes those that belong to the
// bucket and answer, the closest to the key first.
func (r *Remains) Repaired(ctx context.Context, seed uint64) (*Remains, error) {
	const share = 256 // survivors at once
	parts := make([]tables, (len(r.survivors)+share-1)/share)
	err := parallel(ctx, len(parts), func() func(int) {
		m := &mender{Remains: r, seed: seed}
		return func(part int) {
			for _, peer := range r.survivors[part*share : min((part+1)*share, len(r.survivors))] {
				m.mend(peer)
				parts[part].entries = append(parts[part].entries, m.table...)
				parts[part].first = append(parts[part].first, len(m.table))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	fixed := *r
	fixed.tables = tables{first: make([]int, 1, len(r.alive)+1)}
	next := 0 // of the survivors
	for peer := range r.alive {
		size := 0
		if r.alive[peer] {
			size = parts[next/share].first[next%share]
			next++
		}
		fixed.tables.first = append(fixed.tables.first, fixed.tables.first[peer]+size)
	}
	fixed.tables.entries = make([]uint32, 0, fixed.tables.first[len(r.alive)])
	for _, p := range parts {
		fixed.tables.entries = append(fixed.tables.entries, p.entries...)
	}
	return &fixed, nil
}

// mender mends one table after the other; its buffers are used again.
type mender struct {
	*Remains
	seed   uint64
	living []uint32 // entries that answer
	table  []uint32 // the mended table
	asked  []uint32
	named  []uint32
}

// mend puts the mended table of a survivor into m.table.
func (m *mender) mend(peer uint32) {
	recorded := m.tables.of(peer)
	m.living = m.living[:0]
	for _, entry := range recorded {
		if m.alive[entry] {
			m.living = append(m.living, entry)
		}
	}
	m.table = append(m.table[:0], m.living...)
	before, left := recorded, m.living
	for bit := 63; bit >= 0 && len(before) > len(left); bit-- {
		var lost, kept []uint32
		lost, before = m.split(before, peer, bit)
		kept, left = m.split(left, peer, bit)
		if len(lost) > len(kept) && len(kept) < m.graph.network.K {
			m.refill(peer, bit, kept)
		}
	}
	slices.Sort(m.table)
}

// split parts a table at a bit of the peer's key: the bucket beyond it, and
// the rest.
func (m *mender) split(table []uint32, peer uint32, bit int) (bucket, rest []uint32) {
	cut := m.graph.cut(table, bit)
	if m.graph.places[peer]>>bit&1 == 1 {
		return table[:cut], table[cut:]
	}
	return table[cut:], table[:cut]
}

// refill adds peers to the bucket at a bit, of which some entries are kept.
func (m *mender) refill(peer uint32, bit int, kept []uint32) {
	places := m.graph.places
	first := bucketKey(places[peer], bit, 0)
	key := bucketKey(places[peer], bit, mix(m.seed^mix(uint64(peer)<<6|uint64(bit))))
	start, room := len(m.table), m.graph.network.K-len(kept)
	m.asked = m.graph.appendClosest(m.asked[:0], m.living, key, m.graph.network.Alpha)
	slices.SortFunc(m.asked, func(a, b uint32) int { return cmp.Compare(places[a]^key, places[b]^key) })
	for _, neighbour := range m.asked {
		// Whoever is in the bucket is closer to its keys than all others.
		inside := m.graph.within(m.tables.of(neighbour), first, bit)
		m.named = m.graph.appendClosest(m.named[:0], inside, key, m.graph.network.K)
		m.named = slices.DeleteFunc(m.named, func(p uint32) bool {
			return !m.alive[p] || slices.Contains(kept, p) || slices.Contains(m.table[start:], p)
		})
		if len(inside) > m.graph.network.K { // else they still ascend
			slices.Sort(m.named)
		}
		m.table = m.graph.appendClosest(m.table, m.named, key, room-(len(m.table)-start))
		if len(m.table)-start == room {
			return
		}
	}
}

// within are those of ranks whose keys share all bits above bit and that one
// with the first key of a subtree.
func (g *Graph) within(ranks []uint32, first uint64, bit int) []uint32 {
	from, last := g.from(ranks, first), first|(1<<bit-1)
	if last == math.MaxUint64 {
		return ranks[from:]
	}
	return ranks[from : from+g.from(ranks[from:], last+1)]
}

// from is the first of ranks whose key is not below a key.
func (g *Graph) from(ranks []uint32, key uint64) int {
	lo, hi := 0, len(ranks)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if g.places[ranks[mid]] < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// bucketKey is a key of the bucket at a bit: the peer's own bits above, that
// bit flipped, random ones below.
func bucketKey(own uint64, bit int, random uint64) uint64 {
	low := uint64(1)<<bit - 1
	return (own^(low+1))&^low | random&low
}

// mix is the finaliser of SplitMix64 (Steele et al. 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
