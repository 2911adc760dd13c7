package clearcut

import (
	"cmp"
	"context"
	"math/bits"
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
	if len(m.living) == len(recorded) || len(m.living) == 0 {
		return
	}
	before, left := recorded, m.living
	for bit := 63; bit >= 0 && len(before) > len(left); bit-- {
		var lost, kept []uint32
		lost, before = m.split(before, peer, bit)
		kept, left = m.split(left, peer, bit)
		if room := m.graph.network.K - len(kept); len(lost) > len(kept) && room > 0 {
			m.refill(peer, bit, room)
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

// refill adds up to room peers to the bucket at a bit.
func (m *mender) refill(peer uint32, bit, room int) {
	own := m.graph.places[peer]
	key := bucketKey(own, bit, mix(m.seed^mix(uint64(peer)<<6|uint64(bit))))
	byDistance := func(a, b uint32) int {
		return cmp.Or(cmp.Compare(m.graph.places[a]^key, m.graph.places[b]^key), cmp.Compare(a, b))
	}
	m.asked = m.graph.appendClosest(m.asked[:0], m.living, key, m.graph.network.Alpha)
	slices.SortFunc(m.asked, byDistance)
	for _, neighbour := range m.asked {
		m.named = m.graph.appendClosest(m.named[:0], m.tables.of(neighbour), key, m.graph.network.K)
		slices.SortFunc(m.named, byDistance)
		for _, other := range m.named {
			if !m.alive[other] || bits.LeadingZeros64(m.graph.places[other]^own) != 63-bit || slices.Contains(m.table, other) {
				continue
			}
			if m.table = append(m.table, other); room == 1 {
				return
			}
			room--
		}
	}
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
