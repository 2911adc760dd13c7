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

// add counts one peer.
func (c *cells) add(t traits) {
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

// depth is how many fields of a peer are published; -1 if not even that it is
// there.
func (c *cells) depth(t traits) int {
	if !c.nodes[0].published {
		return -1
	}
	at := int32(0)
	for d, value := range t {
		next, ok := c.at[branch{at, value}]
		if !ok || !c.nodes[next].published {
			return d
		}
		at = next
	}
	return len(t)
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

// client is a program without its version: what stands before the first slash,
// and before a number after a space.
func client(agent string) string {
	name, _, _ := strings.Cut(agent, "/")
	if i := strings.LastIndex(name, " "); i > 0 && i+1 < len(name) && name[i+1] >= '0' && name[i+1] <= '9' {
		name = name[:i]
	}
	return strings.TrimSpace(name)
}
