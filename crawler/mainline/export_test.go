package mainline

import (
	"net"

	"canopy/crawler/mainline/krpc"
)

// Wrapped returns cfg with something around the sockets of our own nodes.
func (c Config) Wrapped(wrap func(net.PacketConn) net.PacketConn) Config {
	c.wrap = wrap
	return c
}

// Questions are those of one visit that reads a table, for walkers of tests.
type Questions struct {
	peer  Peer
	plan  plan
	heard heard
}

// AskTable begins with the first one to p.
func AskTable(p Peer) *Questions {
	q := &Questions{peer: p}
	q.plan.begin(modeTables, p.ID, randomID)
	return q
}

// Target is what to ask for now, unless the table was read.
func (q *Questions) Target() (target krpc.ID, more bool) { return q.plan.target, !q.plan.over }

// Took takes in the nodes of the reply, and the version of who sent it.
func (q *Questions) Took(named []Peer, version []byte) {
	q.plan.roomy = roomy(version)
	var found [families]summary
	for f := range found {
		found[f].shared = 8 * krpc.IDLen
	}
	for _, p := range named {
		s := &found[p.family()]
		s.nodes++
		s.shared = min(s.shared, sharedBits(&q.plan.target, &p.ID))
		if p != q.peer && q.heard.add(p) {
			s.fresh++
		}
	}
	q.plan.took(&found)
}

// Table is what was named.
func (q *Questions) Table() []Peer { return q.heard.take() }
