package clearcut

import "slices"

// Remains is what is left of a graph after a removal: survivors, with the
// tables that they have. It never changes once made.
type Remains struct {
	graph     *Graph
	alive     []bool   // by peer
	survivors []uint32 // ascending
	tables    tables
}

// Without removes the peers that are marked, by number in the graph. The tables
// of survivors still name them.
func (g *Graph) Without(removed []bool) *Remains {
	r := &Remains{graph: g, alive: make([]bool, len(g.peers)), tables: g.tables}
	for _, peer := range g.up {
		if !removed[peer] {
			r.alive[peer] = true
			r.survivors = append(r.survivors, peer)
		}
	}
	return r
}

// Survivors lists the living peers that are left, by number in the graph. The
// slice belongs to the remains.
func (r *Remains) Survivors() []uint32 { return r.survivors }

// Component is the share of survivors in the largest set that table entries
// between survivors connect, in whichever direction.
func (r *Remains) Component() float64 {
	if len(r.survivors) == 0 {
		return 0
	}
	parent := make([]uint32, len(r.alive))
	for i := range parent {
		parent[i] = uint32(i)
	}
	root := func(p uint32) uint32 {
		for parent[p] != p {
			parent[p] = parent[parent[p]]
			p = parent[p]
		}
		return p
	}
	for _, peer := range r.survivors {
		a := root(peer)
		for _, entry := range r.tables.of(peer) {
			if r.alive[entry] {
				b := root(entry)
				parent[max(a, b)] = min(a, b)
				a = min(a, b)
			}
		}
	}
	sizes := make([]int, len(parent))
	for _, peer := range r.survivors {
		sizes[root(peer)]++
	}
	return float64(slices.Max(sizes)) / float64(len(r.survivors))
}

// RecordsLost is the share of all keys whose k closest living peers before the
// removal are all removed: what was kept there is gone. It is no sample, but
// the exact part of the key space.
func (r *Remains) RecordsLost() float64 {
	l := loss{graph: r.graph, gone: make([]int, 1, len(r.graph.up)+1)}
	for _, peer := range r.graph.up {
		gone := l.gone[len(l.gone)-1]
		if !r.alive[peer] {
			gone++
		}
		l.gone = append(l.gone, gone)
	}
	if len(r.graph.up) == 0 {
		return 0
	}
	return l.share(0, len(r.graph.up), 63, min(r.graph.network.K, len(r.graph.up)))
}

// loss counts removed peers among the living ones up to each.
type loss struct {
	graph *Graph
	gone  []int
}

// share is the part of the keys for which the n closest of the living peers
// from lo to before hi are all gone. The bits of those peers above bit are
// equal, and the key's bits from there on are random: half of the keys lie
// nearer to either half of the peers.
func (l loss) share(lo, hi, bit, n int) float64 {
	gone := l.gone[hi] - l.gone[lo]
	switch {
	case gone == hi-lo:
		return 1
	case gone < n:
		return 0
	case bit < 0:
		if l.gone[lo+n]-l.gone[lo] == n {
			return 1
		}
		return 0
	}
	mid := lo + l.graph.cut(l.graph.up[lo:hi], bit)
	return (l.half(lo, mid, mid, hi, bit, n) + l.half(mid, hi, lo, mid, bit, n)) / 2
}

// half is share for the keys that are nearer to the first of two ranges.
func (l loss) half(nearLo, nearHi, farLo, farHi, bit, n int) float64 {
	near := nearHi - nearLo
	switch {
	case near >= n:
		return l.share(nearLo, nearHi, bit-1, n)
	case l.gone[nearHi]-l.gone[nearLo] < near:
		return 0
	}
	return l.share(farLo, farHi, bit-1, n-near)
}
