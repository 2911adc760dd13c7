package testnet

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sort"
	"time"
)

// View is the network at one instant: who is up, and what stands in whose
// routing table. Tables are computed when asked for, so that a view of a
// million nodes costs a few bytes a node. It may be read by many at once.
//
// Every bucket whose subtree holds a node that is up names at least one such
// node, and all of them when they are fewer than K. So from every node that is
// up each other one can be found, step by step nearer (Maymounkov & Mazières,
// Kademlia, 2002).
type View struct {
	Time  time.Duration
	plan  *Plan
	alive crowd
	gone  crowd // dead ones, and those that are away
}

// crowd is a set of nodes by place in the key space.
type crowd struct {
	numbers []uint32
	places  []uint64
}

func (c *crowd) add(number uint32, place uint64) {
	c.numbers = append(c.numbers, number)
	c.places = append(c.places, place)
}

// At is the network at t.
func (p *Plan) At(t time.Duration) *View {
	v := &View{Time: t, plan: p}
	for _, number := range p.order {
		if p.Nodes[number].UpAt(t) {
			v.alive.add(number, p.places[number])
		} else {
			v.gone.add(number, p.places[number])
		}
	}
	return v
}

// Alive lists the numbers of the nodes that are up, in the order of their
// keys. The slice belongs to the view.
func (v *View) Alive() []uint32 { return v.alive.numbers }

// Up says whether a node is up.
func (v *View) Up(number int) bool { return v.plan.Nodes[number].UpAt(v.Time) }

// Table lists the routing table of a node: numbers of nodes, nearest last.
func (v *View) Table(number int) []uint32 {
	var table []uint32
	for b := range v.depth(v.plan.places[number]) {
		table = v.appendBucket(table, number, b)
	}
	return table
}

// AppendClosest appends to dst the n entries of a node's table that are
// closest to target, closest first. It allocates only to grow dst, which
// should have room for a few buckets more than n entries.
func (v *View) AppendClosest(dst []uint32, number int, target Key, n int) []uint32 {
	own, want := v.plan.places[number], place(target)
	depth := v.depth(own)
	start := len(dst)
	shared := min(bits.LeadingZeros64(own^want), depth)
	if shared < depth {
		dst = v.appendBucket(dst, number, shared)
		v.sortByDistance(dst[start:], want)
	}
	if len(dst)-start < n {
		deeper := len(dst)
		for b := shared + 1; b < depth; b++ {
			dst = v.appendBucket(dst, number, b)
		}
		v.sortByDistance(dst[deeper:], want)
	}
	for b := shared - 1; b >= 0 && len(dst)-start < n; b-- {
		farther := len(dst)
		dst = v.appendBucket(dst, number, b)
		v.sortByDistance(dst[farther:], want)
	}
	return dst[:min(len(dst), start+n)]
}

func (v *View) sortByDistance(numbers []uint32, target uint64) {
	slices.SortFunc(numbers, func(a, b uint32) int {
		return cmp.Compare(v.plan.places[a]^target, v.plan.places[b]^target)
	})
}

// depth is the number of buckets of a node at the given place, the last of
// them not empty: one more than the longest prefix it shares with another.
func (v *View) depth(own uint64) int {
	depth := 0
	for _, c := range []*crowd{&v.alive, &v.gone} {
		i := sort.Search(len(c.places), func(i int) bool { return c.places[i] >= own })
		if i > 0 {
			depth = max(depth, 1+bits.LeadingZeros64(c.places[i-1]^own))
		}
		if i < len(c.places) && c.places[i] == own {
			i++
		}
		if i < len(c.places) {
			depth = max(depth, 1+bits.LeadingZeros64(c.places[i]^own))
		}
	}
	return depth
}

// appendBucket appends the entries of a node that share exactly bucket bits
// with it. Which ones is drawn by a hash of node and bucket, so that a small
// change of who is up changes few entries.
func (v *View) appendBucket(dst []uint32, number, bucket int) []uint32 {
	low := uint64(1)<<(63-bucket) - 1
	first := (v.plan.places[number] ^ (low + 1)) &^ low
	alive, gone := v.alive.within(first, first|low), v.gone.within(first, first|low)
	if len(alive.numbers) == 0 {
		return dst
	}
	state := v.plan.Seed ^ mix(uint64(number)<<6|uint64(bucket))
	up, stale := v.entries(len(alive.numbers), len(gone.numbers), state)
	dst = alive.draw(dst, up, state^1, low)
	return gone.draw(dst, stale, state^2, low)
}

// entries splits a bucket between nodes that are up and stale entries, so
// that stale ones are the planned share on average.
func (v *View) entries(alive, gone int, state uint64) (up, stale int) {
	up = min(alive, v.plan.K)
	share := v.plan.Size.Dead
	expected := float64(up) * share / (1 - share)
	if alive >= v.plan.K {
		expected = float64(v.plan.K) * share
	}
	fraction := float64(mix(state)>>11) / (1 << 53)
	stale = min(int(math.Floor(expected+fraction)), gone, v.plan.K-1)
	if alive < v.plan.K {
		return up, min(stale, v.plan.K-up)
	}
	return v.plan.K - stale, stale
}

// within is the part of a crowd whose places lie in [first, last].
func (c *crowd) within(first, last uint64) crowd {
	i := sort.Search(len(c.places), func(i int) bool { return c.places[i] >= first })
	j := i + sort.Search(len(c.places)-i, func(j int) bool { return c.places[i+j] > last })
	return crowd{c.numbers[i:j], c.places[i:j]}
}

// draw appends n distinct members: those that follow n random places in the
// subtree whose span is low+1.
func (c *crowd) draw(dst []uint32, n int, state, low uint64) []uint32 {
	if n >= len(c.numbers) {
		return append(dst, c.numbers...)
	}
	start := len(dst)
	for range n {
		state = mix(state)
		at := c.places[0]&^low | state&low
		i := sort.Search(len(c.places), func(i int) bool { return c.places[i] >= at })
		for i %= len(c.numbers); slices.Contains(dst[start:], c.numbers[i]); {
			i = (i + 1) % len(c.numbers)
		}
		dst = append(dst, c.numbers[i])
	}
	return dst
}

// mix is a round of SplitMix64 (Steele et al., OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
