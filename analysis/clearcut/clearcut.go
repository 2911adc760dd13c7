// Package clearcut asks what of a network stands when an operator leaves. It
// takes the routing graph that one crawl recorded, removes the peers of named
// operators, organisations, countries or hosting classes, of the largest
// holders one by one, or at random, and runs iterative lookups from survivors
// to random keys: first on the tables as recorded, stale entries and all, then
// after one round of repair.
//
// What is simulated is the lookup of Maymounkov & Mazières (Kademlia, 2002)
// with the network's own k and alpha. How each step is defined stands in
// docs/clearcut.md.
package clearcut

import (
	"cmp"
	"fmt"
	"slices"
)

// Network is what a crawl's settings tell of its network.
type Network struct {
	Name          string `json:"name"`
	Title         string `json:"title"`
	K             int    `json:"k"`     // size of a bucket and of an answer
	Alpha         int    `json:"alpha"` // parallel requests of one lookup
	IDBits        int    `json:"id_bits"`
	Distance      string `json:"distance"`
	KeyDerivation string `json:"key_derivation"` // how a peer ID gives a key
}

// check says why lookups can't be simulated.
func (n Network) check() error {
	switch {
	case n.Distance != "xor":
		return fmt.Errorf("the crawl describes a network of distance %q: lookups are known for xor only", n.Distance)
	case n.K < 1 || n.K > 1024 || n.Alpha < 1 || n.Alpha > 1024:
		return fmt.Errorf("the crawl describes a network of k %d and alpha %d: want 1 to 1024", n.K, n.Alpha)
	}
	return nil
}

// Peer is one peer of the graph: who runs it, and on whose land it stands.
type Peer struct {
	ID           string
	Key          Key
	Up           bool   // it answered; others are entries of tables only
	Operator     string // kind of operator: community, commercial, institutional, unknown
	Holder       string // who runs it by name, empty when nobody is named
	Organisation string // of the AS, empty when unknown
	Country      string
	Hosting      string
}

// Graph is the routing graph of one crawl. It never changes once made and may
// be used by many at once.
//
// Peers are numbered in the order of their keys. The first 64 bits of keys
// decide distances: of peers closer to each other than 2^-64 of the key space
// all count as equally close.
type Graph struct {
	network Network
	peers   []Peer
	places  []uint64 // first 64 bits of each peer's key, ascending
	up      []uint32 // peers that answered, ascending
	tables  tables
	entries []EntryPoint
}

// tables are routing tables, one behind the other; entries ascend within each.
type tables struct {
	first   []int // of each peer's entries, and the end
	entries []uint32
}

func (t *tables) of(peer uint32) []uint32 { return t.entries[t.first[peer]:t.first[peer+1]] }

// EntryPoint is where newcomers enter, as the crawl was told.
type EntryPoint struct {
	Address string
	Peers   []int // at this address, as indices into the peers that the graph was made of; empty when it is not known who that is
}

// New makes a graph. table returns who is in the table of a peer, both as
// indices into peers; it is called once for each peer, in order.
func New(network Network, peers []Peer, table func(peer int) []uint32, entries []EntryPoint) (*Graph, error) {
	if err := network.check(); err != nil {
		return nil, fmt.Errorf("make routing graph: %w", err)
	}
	order := make([]uint32, len(peers))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(slices.Compare(peers[a].Key[:], peers[b].Key[:]), cmp.Compare(a, b))
	})
	g := &Graph{network: network, peers: make([]Peer, len(peers)), places: make([]uint64, len(peers))}
	rank := make([]uint32, len(peers))
	for at, i := range order {
		rank[i] = uint32(at)
		g.peers[at], g.places[at] = peers[i], peers[i].Key.place()
		if peers[i].Up {
			g.up = append(g.up, uint32(at))
		}
	}
	if err := g.fill(rank, order, table); err != nil {
		return nil, fmt.Errorf("make routing graph: %w", err)
	}
	for _, e := range entries {
		known := EntryPoint{Address: e.Address}
		for _, i := range e.Peers {
			known.Peers = append(known.Peers, int(rank[i]))
		}
		g.entries = append(g.entries, known)
	}
	return g, nil
}

// fill takes the tables: ascending, each entry once, nobody in its own.
func (g *Graph) fill(rank, order []uint32, table func(int) []uint32) error {
	read := tables{first: make([]int, len(rank)+1)} // in the order that was given
	for i := range rank {
		for _, entry := range table(i) {
			if int(entry) >= len(rank) {
				return fmt.Errorf("table of peer %d names peer %d of %d", i, entry, len(rank))
			}
			if int(entry) != i {
				read.entries = append(read.entries, rank[entry])
			}
		}
		own := read.entries[read.first[i]:]
		slices.Sort(own)
		read.entries = read.entries[:read.first[i]+len(slices.Compact(own))]
		read.first[i+1] = len(read.entries)
	}
	g.tables = tables{first: make([]int, 1, len(rank)+1), entries: make([]uint32, 0, len(read.entries))}
	for _, i := range order {
		g.tables.entries = append(g.tables.entries, read.of(i)...)
		g.tables.first = append(g.tables.first, len(g.tables.entries))
	}
	return nil
}

// Peers lists the peers in the order of their keys, which is their number in
// the graph. The slice belongs to the graph.
func (g *Graph) Peers() []Peer { return g.peers }

// Living is the number of peers that answered.
func (g *Graph) Living() int { return len(g.up) }

// Edges is the number of table entries.
func (g *Graph) Edges() int { return len(g.tables.entries) }

// appendClosest appends to dst the n of ranks that are closest to key, in no
// order. ranks ascend. Those that share a longer prefix with the key are
// closer, so each bit cuts the rest in two, and the nearer part goes first.
func (g *Graph) appendClosest(dst, ranks []uint32, key uint64, n int) []uint32 {
	for bit := 63; bit >= 0 && len(ranks) > n; bit-- {
		cut := g.cut(ranks, bit)
		near, far := ranks[:cut], ranks[cut:]
		if key>>bit&1 == 1 {
			near, far = far, near
		}
		if len(near) >= n {
			ranks = near
			continue
		}
		dst = append(dst, near...)
		n -= len(near)
		ranks = far
	}
	return append(dst, ranks[:min(n, len(ranks))]...)
}

// cut is the first of ranks whose key has the bit set; all higher bits of
// ranks are equal.
func (g *Graph) cut(ranks []uint32, bit int) int {
	lo, hi := 0, len(ranks)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if g.places[ranks[mid]]>>bit&1 == 1 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}
