package address

import (
	"errors"
	"math"

	"github.com/oschwald/maxminddb-golang/v2"
)

// mostShared is how many times the nodes of a search tree its networks may be.
// A tree has one network more than nodes; files of IPv6 lead to the nodes of
// IPv4 from a few more places.
const mostShared = 16

var errNoTree = errors.New("its search tree leads in circles, or to more networks than a file of its size can have")

// checkTree refuses a file whose search tree is none: nodes that share others
// again and again lead to more networks than could ever be read.
func checkTree(raw []byte, m maxminddb.Metadata) error {
	size := m.RecordSize / 4 // bytes of a node, which holds two records
	if m.NodeCount > math.MaxUint32 || size == 0 || uint64(m.NodeCount) > uint64(len(raw))/uint64(size) {
		return errNoTree
	}
	t := searchTree{nodes: raw[:m.NodeCount*size], size: size, networks: make([]uint32, m.NodeCount)}
	if n, ok := t.below(0, 0); !ok || uint64(n) > mostShared*uint64(m.NodeCount+1) {
		return errNoTree
	}
	return nil
}

// searchTree counts the networks that each node leads to.
type searchTree struct {
	nodes    []byte
	size     uint
	networks []uint32 // of each node, 0 where they have not been counted
}

// below is how many networks a record leads to, MaxUint32 for as many or more.
// It is false for records that lead further than an address has bits.
func (t *searchTree) below(record uint32, depth int) (n uint32, ok bool) {
	if uint64(record) >= uint64(len(t.networks)) {
		return 1, true
	}
	if depth >= 128 {
		return 0, false
	}
	if n = t.networks[record]; n > 0 {
		return n, true
	}
	left, right := t.children(uint(record))
	a, ok := t.below(left, depth+1)
	if !ok {
		return 0, false
	}
	b, ok := t.below(right, depth+1)
	if n = a + b; n < a {
		n = math.MaxUint32
	}
	t.networks[record] = n
	return n, ok
}

// children are the two records of a node.
func (t *searchTree) children(node uint) (left, right uint32) {
	b := t.nodes[node*t.size:]
	big := func(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
	switch t.size {
	case 6:
		return big(b), big(b[3:])
	case 7:
		return uint32(b[3]&0xf0)<<20 | big(b), uint32(b[3]&0x0f)<<24 | big(b[4:])
	default:
		return big(b)<<8 | uint32(b[3]), big(b[4:])<<8 | uint32(b[7])
	}
}
