package mainline

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"

	"canopy/crawler/mainline/krpc"
)

// guests are nodes that are not in the plan and asked planned ones, each of
// which names those that it met, as a real one does that has room for them.
type guests struct {
	mu  sync.RWMutex
	met map[uint32][]krpc.Node // by the number of the node that met them
}

// mostGuests bounds what one node remembers.
const mostGuests = 64

// meet makes a node remember who asked it. Read-only nodes enter no table
// (BEP 43).
func (g *guests) meet(number int, m *krpc.Message, from netip.AddrPort) {
	if m.ReadOnly || !m.Has(krpc.FieldID) {
		return
	}
	guest := krpc.Node{ID: m.ID, Addr: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.met == nil {
		g.met = map[uint32][]krpc.Node{}
	}
	if known := g.met[uint32(number)]; len(known) < mostGuests && !slices.Contains(known, guest) {
		g.met[uint32(number)] = append(known, guest)
	}
}

// closest puts the guests of a node among the compact nodes of one family that
// it names, k at most, closest to goal first.
func (g *guests) closest(nodes []byte, number int, goal krpc.ID, k int, six bool) []byte {
	g.mu.RLock()
	met := slices.Clone(g.met[uint32(number)])
	g.mu.RUnlock()
	met = slices.DeleteFunc(met, func(n krpc.Node) bool { return n.Addr.Addr().Is6() != six })
	if len(met) == 0 {
		return nodes
	}
	for _, n := range listed(nodes, six) {
		if !slices.Contains(met, n) {
			met = append(met, n)
		}
	}
	distance := func(id krpc.ID) []byte {
		for i := range id {
			id[i] ^= goal[i]
		}
		return id[:]
	}
	slices.SortFunc(met, func(a, b krpc.Node) int { return bytes.Compare(distance(a.ID), distance(b.ID)) })
	nodes = nodes[:0]
	for _, n := range met[:min(k, len(met))] {
		nodes = krpc.AppendNode(nodes, n)
	}
	return nodes
}

// listed reads compact nodes of one family.
func listed(b []byte, six bool) (nodes []krpc.Node) {
	if six {
		for i := range krpc.Nodes6(b).Len() {
			nodes = append(nodes, krpc.Nodes6(b).At(i))
		}
		return nodes
	}
	for i := range krpc.Nodes(b).Len() {
		nodes = append(nodes, krpc.Nodes(b).At(i))
	}
	return nodes
}
