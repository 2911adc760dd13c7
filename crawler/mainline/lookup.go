package mainline

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"canopy/crawler/mainline/krpc"
)

const (
	lookupAlpha   = 8    // queries of one lookup under way at once that may still be answered soon
	lookupUnder   = 32   // queries of one lookup under way at once
	lookupQueries = 400  // of one lookup at most, so that endless invented nodes end it
	lookupKnown   = 1024 // candidates of one lookup, the closest ones
)

// asking is how far a candidate of a lookup is.
type asking uint8

const (
	unasked asking = iota
	underway
	answered
	silent
)

// candidate is a node that a lookup knows.
type candidate struct {
	peer     Peer
	distance krpc.ID
	state    asking
	again    bool // has its second chance
	slow     bool // under way for so long that others are asked beside it
}

// lookup is one search for the k nodes closest to a target, by Kademlia's
// iteration: always ask the closest that were not asked, until the k closest of
// those that did not stay silent have answered. Silent ones that are closer get
// a second chance at the end, as they do in a walk.
type lookup struct {
	target  krpc.ID
	k       int
	skip    func(*krpc.ID) bool // IDs that are asked but not counted, nil: none
	order   []*candidate        // closest first
	known   map[Peer]bool
	queries int
	second  bool // silent ones were given their second chance
}

// answer is what one candidate said.
type answer struct {
	from  *candidate
	named []Peer
	sent  int
	ok    bool
}

// lookup searches from the given nodes. It ends early when ctx does. Who does
// not answer soon holds nobody up: another is asked beside it.
func (a *asker) lookup(ctx context.Context, target krpc.ID, k int, skip func(*krpc.ID) bool, from []Peer) *lookup {
	l := &lookup{target: target, k: k, skip: skip, known: map[Peer]bool{}}
	for _, p := range from {
		l.add(p)
	}
	answers, slow := make(chan answer), make(chan *candidate, lookupUnder)
	for under, quick := 0, 0; ; {
		for quick < lookupAlpha && under < lookupUnder && ctx.Err() == nil && l.queries < lookupQueries {
			c := l.next()
			if c == nil {
				break
			}
			under, quick = under+1, quick+1
			c.state, c.slow = underway, false
			go a.pursue(ctx, c, target, answers, slow)
		}
		if under == 0 {
			if ctx.Err() != nil || l.queries >= lookupQueries || !l.secondChance() {
				return l
			}
			continue
		}
		select {
		case c := <-slow:
			if c.state == underway && !c.slow {
				c.slow, quick = true, quick-1
			}
		case r := <-answers:
			if under--; !r.from.slow {
				quick--
			}
			l.take(r)
		}
	}
}

// pursue asks one candidate, once, and twice where it has a second chance, and
// tells when it is slow.
func (a *asker) pursue(ctx context.Context, c *candidate, target krpc.ID, answers chan<- answer, slow chan<- *candidate) {
	late := time.AfterFunc(a.pulse.soon(), func() {
		select {
		case slow <- c:
		default: // then it just holds its place
		}
	})
	defer late.Stop()
	tries := 1
	if c.again {
		tries = maxSends
	}
	named, sent, ok := a.find(ctx, c.peer, target, tries)
	answers <- answer{c, named, sent, ok}
}

// add takes in a candidate if it is new and close enough.
func (l *lookup) add(p Peer) {
	if l.known[p] {
		return
	}
	c := &candidate{peer: p}
	for i := range c.distance {
		c.distance[i] = p.ID[i] ^ l.target[i]
	}
	i, _ := slices.BinarySearchFunc(l.order, c, func(a, b *candidate) int { return bytes.Compare(a.distance[:], b.distance[:]) })
	if i >= lookupKnown {
		return
	}
	l.known[p] = true
	l.order = slices.Insert(l.order, i, c)
	if len(l.order) > lookupKnown {
		last := l.order[lookupKnown]
		delete(l.known, last.peer)
		l.order = l.order[:lookupKnown]
	}
}

// next is the closest candidate to be asked, among the k closest that count
// and are not silent so far.
func (l *lookup) next() *candidate {
	counted := counter{l: l}
	for _, c := range l.order {
		switch {
		case counted.n >= l.k:
			return nil
		case c.state == unasked:
			return c
		case c.state != silent && !c.slow:
			counted.add(c)
		}
	}
	return nil
}

// counter counts candidates that it gets in the order of their distance, each
// ID once.
type counter struct {
	l    *lookup
	n    int
	last *candidate
}

func (n *counter) add(c *candidate) (counts bool) {
	if n.l.skipped(c) || n.last != nil && n.last.peer.ID == c.peer.ID {
		return false
	}
	n.n, n.last = n.n+1, c
	return true
}

func (l *lookup) skipped(c *candidate) bool { return l.skip != nil && l.skip(&c.peer.ID) }

func (l *lookup) take(a answer) {
	l.queries += a.sent
	a.from.state, a.from.slow = silent, false
	if !a.ok {
		return
	}
	a.from.state = answered
	for _, p := range a.named {
		l.add(p)
	}
}

// secondChance lets silent candidates be asked again that are closer than the
// k-th that answered, once. It reports whether there are any.
func (l *lookup) secondChance() (any bool) {
	if l.second {
		return false
	}
	l.second = true
	counted := counter{l: l}
	for _, c := range l.order {
		switch {
		case counted.n >= l.k:
			return any
		case c.state == silent:
			c.state, c.again, any = unasked, true, true
		case c.state == answered:
			counted.add(c)
		}
	}
	return any
}

// closest are the k closest nodes that answered and count, closest first, each
// ID once.
func (l *lookup) closest() []Peer {
	counted := counter{l: l}
	var peers []Peer
	for _, c := range l.order {
		if c.state == answered && counted.n < l.k && counted.add(c) {
			peers = append(peers, c.peer)
		}
	}
	return peers
}

// answered are all nodes that answered, closest first.
func (l *lookup) answered() []Peer {
	var peers []Peer
	for _, c := range l.order {
		if c.state == answered {
			peers = append(peers, c.peer)
		}
	}
	return peers
}

// named finds a node that the lookup heard of by its ID.
func (l *lookup) named(id krpc.ID) (c *candidate, ok bool) {
	for _, c := range l.order {
		if c.peer.ID == id {
			return c, true
		}
	}
	return nil, false
}

// share is the XOR distance of two IDs as a share of the key space.
func share(a, b krpc.ID) float64 {
	high := binary.BigEndian.Uint64(a[:]) ^ binary.BigEndian.Uint64(b[:])
	low := binary.BigEndian.Uint64(a[8:]) ^ binary.BigEndian.Uint64(b[8:])
	return math.Ldexp(float64(high), -64) + math.Ldexp(float64(low), -128)
}
