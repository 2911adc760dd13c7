package dataset

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// The fields that may tell who a peer is, in the order in which they are
// published: a field is withheld together with all that follow it. Every
// combination of them that is published holds at least [Smallest] peers.
var levels = [...]string{"hosting", "operator", "country", "asn", "organisation", "operator_name", "probability", "client", "agent", "prefix"}

// The places of fields in levels.
const (
	levelHosting = iota
	levelOperator
	levelCountry
	levelASN
	levelOrganisation
	levelName
	levelProbability
	levelClient
	levelAgent
	levelPrefix
)

// traits is what may tell who a peer is; each field is a number that stands for
// its value.
type traits [len(levels)]int64

// node is a cell: peers alike as far as its depth.
type node struct {
	children  []int32
	peers     int32 // that were seen last within it
	published bool
}

type branch struct {
	parent int32
	value  int64
}

// cells is the tree of all combinations of fields. It is filled first, then
// closed, and then safe for concurrent reading.
type cells struct {
	nodes   []node
	at      map[branch]int32
	strings map[string]int64
}

func newCells() *cells {
	return &cells{nodes: make([]node, 1), at: map[branch]int32{}, strings: map[string]int64{"": 0}}
}

// number stands for a string; unseen ones are -1 once the tree is closed.
func (c *cells) number(s string) int64 {
	if n, ok := c.strings[s]; ok {
		return n
	}
	return -1
}

// learn gives a string a number.
func (c *cells) learn(s string) int64 {
	n, ok := c.strings[s]
	if !ok {
		n = int64(len(c.strings))
		c.strings[strings.Clone(s)] = n
	}
	return n
}

// add counts one peer, and returns the cell of all its fields.
func (c *cells) add(t traits) (leaf int32) {
	at := int32(0)
	c.nodes[0].peers++
	for _, value := range t {
		next, ok := c.at[branch{at, value}]
		if !ok {
			next = int32(len(c.nodes))
			c.nodes = append(c.nodes, node{})
			c.nodes[at].children = append(c.nodes[at].children, next)
			c.at[branch{at, value}] = next
		}
		c.nodes[next].peers++
		at = next
	}
	return at
}

// close decides what is published. A cell is if it holds enough peers, its
// parent is, and those beside it that are not published hold together enough
// peers too, or none: else a difference would tell them. The smallest of its
// siblings are withheld until that is so.
func (c *cells) close(smallest int32) {
	c.nodes[0].published = c.nodes[0].peers >= smallest
	for i := range c.nodes { // a parent comes before its children
		if c.nodes[i].published {
			c.open(c.nodes[i].children, smallest)
		}
	}
}

func (c *cells) open(children []int32, smallest int32) {
	slices.SortFunc(children, func(a, b int32) int {
		return cmp.Or(cmp.Compare(c.nodes[a].peers, c.nodes[b].peers), cmp.Compare(a, b))
	})
	rest := int32(0)
	for _, child := range children {
		n := &c.nodes[child]
		if n.peers < smallest || rest > 0 && rest < smallest {
			rest += n.peers
			continue
		}
		n.published = true
	}
}

// depth is how many fields of a peer are published, -1 if not even that it is
// there, and the cell that they make.
func (c *cells) depth(t traits) (depth int, cell int32) {
	if !c.nodes[0].published {
		return -1, 0
	}
	for d, value := range t {
		next, ok := c.at[branch{cell, value}]
		if !ok || !c.nodes[next].published {
			return d, cell
		}
		cell = next
	}
	return len(t), cell
}

// placed is a peer that counts in a cell, and the place that pseudonyms tell it
// shares with others.
type placed struct {
	leaf  int32
	place netip.Prefix
}

// align withholds the prefix of everybody in a place where somebody's is, since
// the pseudonym of the place would tell it: of all peers, until the cells that
// are left hold enough. It returns the places whose prefix is withheld.
func (c *cells) align(peers []placed, smallest int32) map[netip.Prefix]bool {
	hidden := map[netip.Prefix]bool{}
	for {
		before := len(hidden)
		shown := map[int32]int32{}
		for _, p := range peers {
			if !c.nodes[p.leaf].published {
				hidden[p.place] = true
			}
		}
		for _, p := range peers {
			if c.nodes[p.leaf].published && !hidden[p.place] {
				shown[p.leaf]++
			}
		}
		changed := len(hidden) > before
		for i := range c.nodes {
			changed = c.narrow(c.nodes[i].children, shown, smallest) || changed
		}
		if !changed {
			return hidden
		}
	}
}

// narrow withholds, of the cells beside each other at the end of the tree,
// those of which too few peers are shown; where those that are not shown are
// too few, the smallest of the others too.
func (c *cells) narrow(cells []int32, shown map[int32]int32, smallest int32) (changed bool) {
	rest, least := int32(0), int32(-1)
	for _, leaf := range cells {
		n := &c.nodes[leaf]
		if len(n.children) > 0 {
			return changed
		}
		if n.published && shown[leaf] < smallest {
			n.published, changed = false, true
		}
		if !n.published {
			rest += n.peers
			continue
		}
		rest += n.peers - shown[leaf]
		if least < 0 || shown[leaf] < shown[least] {
			least = leaf
		}
	}
	if rest > 0 && rest < smallest && least >= 0 {
		c.nodes[least].published, changed = false, true
	}
	return changed
}

// locate tells where a peer stands, as far as pseudonyms tell whether others stand
// there and all of it lies in one truncated prefix: the announced block, or the
// /24 (/56 in IPv6) where that is wider or unknown.
func locate(a netip.Addr, announced string) netip.Prefix {
	if a = a.Unmap(); none(a) {
		return netip.Prefix{}
	}
	kept, block := keptBits6, blockBits6
	if a.Is4() {
		kept, block = keptBits4, blockBits4
	}
	if p, err := netip.ParsePrefix(announced); err == nil && p.Contains(a) && p.Bits() >= kept && p.Bits() < block {
		return p.Masked()
	}
	p, _ := a.Prefix(block)
	return p
}

// prefixNumber stands for a truncated prefix, 0 for none.
func prefixNumber(p netip.Prefix) int64 {
	if !p.IsValid() {
		return 0
	}
	if p.Addr().Is4() {
		b := p.Addr().As4()
		return 1<<40 | int64(b[0])<<8 | int64(b[1])
	}
	b := p.Addr().As16()
	return 1<<41 | int64(b[0])<<24 | int64(b[1])<<16 | int64(b[2])<<8 | int64(b[3])
}
