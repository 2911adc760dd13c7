package mainline

import (
	"encoding/binary"
	"math/bits"

	"canopy/crawler/mainline/krpc"
)

// mode is how much a visit asks.
type mode uint8

const (
	modeSeed   mode = iota // one query, to learn the ID
	modeSurvey             // a few queries: who is there
	modeTables             // the whole routing table
)

const (
	replyNodes = 8   // nodes of a full reply (BEP 5)
	maxQueries = 160 // questions to one peer; a libtorrent table of 400 nodes takes 70
	roomyDepth = 4   // first buckets that hold more than 8 nodes in libtorrent and jech/dht: 128, 64, 32, 16

	// Levels without news after which a table has ended: beyond what the first
	// reply told of its depth, and when that told nothing, since some clients
	// answer from one bucket and the next only.
	tailLevels  = 1
	shortLevels = 3
)

// plan decides what to ask one peer next, from what it answered so far.
//
// The first question is about the peer's own ID: a full reply holds the whole
// table but for the first few buckets, down to that of the farthest node named. Then these
// buckets are read one by one: P's own ID with bit j flipped is closest to all
// that bucket j holds. A reply that is full and lies wholly inside the bucket
// may hide more: then the other end of the bucket is asked for (the same
// target with every further bit flipped, which turns the order around), and so
// on in each half. anacrolix/dht does not sort: it names the bucket of the
// target and then shallower ones, for which the same questions do.
type plan struct {
	mode   mode
	own    bool // the query under way is the first, about the peer's own ID
	probe  bool // the query under way is about open[len(open)-1]
	roomy  bool // a client whose first buckets are large
	over   bool
	cut    bool // ended by maxQueries
	depth  int  // bucket that is read next
	first  int  // bucket that is read first
	floor  int  // deepest bucket that must be read
	tail   int  // levels without news that end the table
	quiet  int  // levels without news
	asked  int
	self   krpc.ID
	target krpc.ID
	narrow [families]bool // a bucket with exactly 8 nodes was seen: deeper ones hold no more
	open   []stretch
}

// stretch is a prefix whose end near target was read and whose far end was not.
type stretch struct {
	target krpc.ID
	bits   uint8 // length of the prefix
	shared uint8 // bits that all nodes of the reply to target share with it
	family family
	bucket bool // a whole bucket, not a part of one
}

// summary is what plan needs to know of one family's nodes in a reply.
type summary struct {
	nodes  int
	fresh  int // not heard before
	shared int // bits that all of them share with the target
}

// begin starts a plan and sets the first target.
func (p *plan) begin(m mode, self krpc.ID, random func() krpc.ID) {
	*p = plan{mode: m, own: true, self: self, target: self, tail: tailLevels, open: p.open[:0]}
	if m == modeSeed {
		p.target = random()
	}
}

// within passes over the buckets outside of a zone.
func (p *plan) within(z Zone) { p.first, p.depth = z.Bits, z.Bits }

// took advances the plan by one reply. It sets the next target, or over.
func (p *plan) took(reply *[families]summary) {
	p.asked++
	switch {
	case p.mode == modeSeed:
		p.over = true
		return
	case p.mode == modeSurvey:
		p.survey(reply)
		return
	case p.own:
		p.own = false
		p.sound(reply)
	case p.probe:
		s := p.open[len(p.open)-1]
		p.open = p.open[:len(p.open)-1]
		p.split(s, reply[s.family])
	default:
		p.level(reply)
	}
	p.next()
}

// survey asks twice: who is near the peer, and who is on the far side of one
// of the prefixes of its ID, each peer another one, so that together they
// cover the whole space.
func (p *plan) survey(reply *[families]summary) {
	if p.asked >= 2 {
		p.over = true
		return
	}
	p.sound(reply)
	p.target = flip(p.self, p.first+int(p.self[krpc.IDLen-1])%(max(p.floor, p.first)+1-p.first))
}

// sound takes in the reply about the peer's own ID.
func (p *plan) sound(reply *[families]summary) {
	for _, s := range reply {
		if s.nodes >= replyNodes {
			p.floor = max(p.floor, min(s.shared, 8*krpc.IDLen-1))
		} else if s.nodes > 0 {
			p.tail = shortLevels
		}
	}
	if p.floor == 0 {
		p.tail = shortLevels
	}
}

// level takes in the reply about bucket p.depth.
func (p *plan) level(reply *[families]summary) {
	fresh := 0
	for f, s := range reply {
		fresh += s.fresh
		if s.nodes >= replyNodes && s.shared > p.depth && (!p.narrow[f] || p.roomy && p.depth < roomyDepth) {
			p.open = append(p.open, stretch{p.target, uint8(p.depth + 1), uint8(s.shared), family(f), true})
		}
	}
	switch {
	case fresh > 0:
		p.quiet = 0
	case p.depth > p.floor || p.floor == 0:
		p.quiet++
	}
	p.depth++
}

// split takes in the reply about the far end of a stretch, and opens the
// halves whose middle is still unread.
func (p *plan) split(s stretch, r summary) {
	if r.nodes < replyNodes || r.shared < int(s.bits) {
		return // it reached beyond the prefix: nothing is hidden
	}
	if r.fresh == 0 {
		p.narrow[s.family] = p.narrow[s.family] || s.bucket
		return
	}
	if int(s.bits)+1 >= 8*krpc.IDLen {
		return
	}
	if s.shared > s.bits {
		p.open = append(p.open, stretch{s.target, s.bits + 1, s.shared, s.family, false})
	}
	if r.shared > int(s.bits) {
		p.open = append(p.open, stretch{p.target, s.bits + 1, uint8(r.shared), s.family, false})
	}
}

// next sets the next target: open stretches first, then the next bucket.
func (p *plan) next() {
	p.probe = len(p.open) > 0
	switch {
	case !p.probe && (p.quiet >= p.tail || p.depth >= 8*krpc.IDLen):
		p.over = true
	case p.asked >= maxQueries:
		p.over, p.cut = true, true
	case p.probe:
		s := p.open[len(p.open)-1]
		p.target = farEnd(s.target, int(s.bits))
	default:
		p.target = flip(p.self, p.depth)
	}
}

// flip returns id with bit i turned over, counted from the first.
func flip(id krpc.ID, i int) krpc.ID {
	id[i/8] ^= 0x80 >> (i % 8)
	return id
}

// farEnd returns id with every bit after the first n turned over.
func farEnd(id krpc.ID, n int) krpc.ID {
	if n < 8*krpc.IDLen {
		id[n/8] ^= 0xff >> (n % 8)
	}
	for i := n/8 + 1; i < krpc.IDLen; i++ {
		id[i] ^= 0xff
	}
	return id
}

// sharedBits returns how many leading bits a and b have in common.
func sharedBits(a, b *krpc.ID) int {
	if x := binary.BigEndian.Uint64(a[:]) ^ binary.BigEndian.Uint64(b[:]); x != 0 { // nearly always
		return bits.LeadingZeros64(x)
	}
	for i := 8; i < len(a); i++ {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * krpc.IDLen
}
