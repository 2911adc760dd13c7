package clearcut

import (
	"cmp"
	"math"
	"slices"
)

// Trace is how one lookup went.
type Trace struct {
	Found    bool    // it found the closest living peer to the key
	Recall   float64 // share of the k closest living peers that it found
	Hops     int     // requests, one after the other, that led to the closest one and to its answer; 0 unless Found
	Messages int     // requests sent, those to dead peers included
}

// Lookup looks for a key from a survivor, given by its number in the graph: it
// may not be among those removed. See docs/clearcut.md for each step.
func (r *Remains) Lookup(origin uint32, key Key) Trace {
	return newSeeker(r).seek(origin, key.place())
}

type progress uint8

const (
	heard progress = iota
	answered
	silent
)

// candidate is a peer that a lookup heard of.
type candidate struct {
	distance uint64
	peer     uint32
	hops     uint16 // requests until it answers, its own included
	state    progress
}

// seeker runs lookups one after the other; its buffers are used again.
type seeker struct {
	*Remains
	lookup    uint32   // number of the lookup that is under way
	met       []uint32 // by peer: the last lookup that heard of it
	shortlist []candidate
	named     []candidate
	buffer    []uint32
	distances []uint64
}

func newSeeker(r *Remains) *seeker {
	return &seeker{Remains: r, met: make([]uint32, len(r.graph.peers))}
}

// seek runs one lookup: in each round it asks those alpha of the k closest
// candidates that were not asked yet, drops who is silent, and ends when all k
// have answered.
func (s *seeker) seek(origin uint32, key uint64) Trace {
	s.begin(origin, key)
	messages := 0
	for {
		s.named = s.named[:0]
		asked := 0
		for i := range s.shortlist[:min(len(s.shortlist), s.graph.network.K)] {
			if asked == s.graph.network.Alpha {
				break
			}
			if c := &s.shortlist[i]; c.state == heard {
				asked++
				s.ask(c, key)
			}
		}
		if asked == 0 {
			return s.judge(origin, key, messages)
		}
		messages += asked
		s.shortlist = slices.DeleteFunc(s.shortlist, func(c candidate) bool { return c.state == silent })
		for _, c := range s.named {
			s.insert(c)
		}
	}
}

// begin takes the candidates that the origin's own table holds.
func (s *seeker) begin(origin uint32, key uint64) {
	if s.lookup == math.MaxUint32 {
		clear(s.met)
		s.lookup = 0
	}
	s.lookup++
	s.met[origin] = s.lookup
	s.shortlist, s.named = s.shortlist[:0], s.named[:0]
	s.take(s.tables.of(origin), key, 1)
	for _, c := range s.named {
		s.insert(c)
	}
}

func (s *seeker) ask(c *candidate, key uint64) {
	if !s.alive[c.peer] {
		c.state = silent
		return
	}
	c.state = answered
	s.take(s.tables.of(c.peer), key, c.hops+1)
}

// take hears of the k closest of a table.
func (s *seeker) take(table []uint32, key uint64, hops uint16) {
	s.buffer = s.graph.appendClosest(s.buffer[:0], table, key, s.graph.network.K)
	for _, peer := range s.buffer {
		if s.met[peer] != s.lookup {
			s.met[peer] = s.lookup
			s.named = append(s.named, candidate{distance: s.graph.places[peer] ^ key, peer: peer, hops: hops})
		}
	}
}

// insert keeps the candidates in the order of their distance.
func (s *seeker) insert(c candidate) {
	at, _ := slices.BinarySearchFunc(s.shortlist, c, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.peer, b.peer))
	})
	s.shortlist = slices.Insert(s.shortlist, at, c)
}

// judge compares what was found with the living peers that are closest in
// truth, the origin left out.
func (s *seeker) judge(origin uint32, key uint64, messages int) Trace {
	k := s.graph.network.K
	t := Trace{Messages: messages}
	s.distances = s.distances[:0]
	s.buffer = s.graph.appendClosest(s.buffer[:0], s.survivors, key, k+1)
	for _, peer := range s.buffer {
		if peer != origin {
			s.distances = append(s.distances, s.graph.places[peer]^key)
		}
	}
	slices.Sort(s.distances)
	truth := s.distances[:min(k, len(s.distances))]
	if len(truth) == 0 || len(s.shortlist) == 0 {
		return t
	}
	if best := s.shortlist[0]; best.distance == truth[0] {
		t.Found, t.Hops = true, int(best.hops)
	}
	hit := 0
	for _, c := range s.shortlist[:min(k, len(s.shortlist))] {
		if c.distance <= truth[len(truth)-1] {
			hit++
		}
	}
	t.Recall = min(1, float64(hit)/float64(len(truth)))
	return t
}
