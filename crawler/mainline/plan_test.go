package mainline

import (
	"crypto/sha1"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"canopy/crawler/mainline/krpc"
)

func idOf(n int) krpc.ID { return sha1.Sum(binary.BigEndian.AppendUint32(nil, uint32(n))) }

// modelTable is a routing table in memory: buckets by shared bits.
type modelTable struct {
	own     krpc.ID
	buckets [160][]krpc.ID
}

// newTable fills a table from n nodes; room says how many bucket j holds.
func newTable(n int, room func(j int) int) *modelTable {
	t := &modelTable{own: idOf(-1)}
	for i := range n {
		id := idOf(i)
		if j := sharedBits(&t.own, &id); len(t.buckets[j]) < room(j) {
			t.buckets[j] = append(t.buckets[j], id)
		}
	}
	return t
}

func (t *modelTable) size() (n int) {
	for _, b := range t.buckets {
		n += len(b)
	}
	return n
}

func nearest(ids []krpc.ID, target krpc.ID, n int) []krpc.ID {
	slices.SortFunc(ids, func(a, b krpc.ID) int {
		for i := range a {
			if x, y := a[i]^target[i], b[i]^target[i]; x != y {
				return int(x) - int(y)
			}
		}
		return 0
	})
	return ids[:min(n, len(ids))]
}

// sorted answers with the n closest of the whole table, in no order.
func (t *modelTable) sorted(n int) func(krpc.ID) []krpc.ID {
	return func(target krpc.ID) []krpc.ID {
		found := nearest(slices.Concat(t.buckets[:]...), target, n)
		rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
		return found
	}
}

// byBucket answers as anacrolix/dht does: the target's bucket, then shallower
// ones, in no order.
func (t *modelTable) byBucket(target krpc.ID) (found []krpc.ID) {
	for j := min(sharedBits(&t.own, &target), 159); j >= 0 && len(found) < 8; j-- {
		b := slices.Clone(t.buckets[j])
		rand.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
		found = append(found, b...)
	}
	return found[:min(8, len(found))]
}

// neighbouring answers as jech/dht does: the 8 closest of the target's bucket
// and of the two beside it.
func (t *modelTable) neighbouring(target krpc.ID) (found []krpc.ID) {
	last := 159
	for last > 0 && len(t.buckets[last]) == 0 {
		last--
	}
	j := min(sharedBits(&t.own, &target), last)
	for k := max(j-1, 0); k <= min(j+1, last); k++ {
		found = append(found, t.buckets[k]...)
	}
	return nearest(found, target, 8)
}

// read runs a plan against a table and returns how many nodes it found.
func (t *modelTable) read(m mode, roomy bool, answer func(krpc.ID) []krpc.ID) (found, queries int, cut bool) {
	var p plan
	p.begin(m, t.own, randomID)
	p.roomy = roomy
	seen := map[krpc.ID]bool{}
	for !p.over {
		reply := [families]summary{{shared: 160}, {shared: 160}}
		for _, id := range answer(p.target) {
			reply[ipv4].nodes++
			reply[ipv4].shared = min(reply[ipv4].shared, sharedBits(&p.target, &id))
			if !seen[id] {
				seen[id] = true
				reply[ipv4].fresh++
			}
		}
		p.took(&reply)
	}
	return len(seen), p.asked, p.cut
}

func kademlia(int) int { return 8 }

// libtorrent holds 128, 64, 32 and 16 nodes in its first buckets.
func libtorrent(j int) int { return max(8, 128>>j) }

// TestPlanReadsTables: whatever a client's buckets and manners, nothing of its
// table is missed, and not many more questions are asked than needed.
func TestPlanReadsTables(t *testing.T) {
	for _, nodes := range []int{0, 1, 7, 8, 9, 40, 200, 3000, 50000} {
		small, large := newTable(nodes, kademlia), newTable(nodes, libtorrent)
		for _, c := range []struct {
			name   string
			table  *modelTable
			roomy  bool
			answer func(krpc.ID) []krpc.ID
			most   int // questions, beside one for every 4 entries
		}{
			{"Kademlia", small, false, small.sorted(8), 8},
			{"Kademlia, replies of 20", small, false, small.sorted(20), 8},
			{"anacrolix", small, true, small.byBucket, 12},
			{"jech, small buckets", small, true, small.neighbouring, 12},
			{"libtorrent", large, true, large.sorted(8), 12},
			{"jech", large, true, large.neighbouring, 12},
		} {
			found, queries, cut := c.table.read(modeTables, c.roomy, c.answer)
			if found != c.table.size() || cut {
				t.Errorf("%s, %d nodes: found %d of %d in %d queries, cut %v", c.name, nodes, found, c.table.size(), queries, cut)
			}
			if most := c.most + c.table.size()/4; queries > most {
				t.Errorf("%s, %d nodes: %d queries for a table of %d, want at most %d", c.name, nodes, queries, c.table.size(), most)
			}
		}
	}
}

// TestPlanSurvey asks twice, whatever comes.
func TestPlanSurvey(t *testing.T) {
	for _, nodes := range []int{0, 5, 3000} {
		table := newTable(nodes, kademlia)
		if _, queries, _ := table.read(modeSurvey, false, table.sorted(8)); queries != 2 {
			t.Errorf("%d nodes: %d queries", nodes, queries)
		}
	}
}

// TestPlanEnds: the worst that a peer can say ends too.
func TestPlanEnds(t *testing.T) {
	n := 0
	table := newTable(0, kademlia)
	for name, answer := range map[string]func(krpc.ID) []krpc.ID{
		"always new, close to the target": func(target krpc.ID) (ids []krpc.ID) {
			for range 8 {
				n++
				id := target
				binary.BigEndian.PutUint32(id[16:], uint32(n))
				ids = append(ids, id)
			}
			return ids
		},
		"always the target": func(target krpc.ID) []krpc.ID { return slices.Repeat([]krpc.ID{target}, 8) },
		"always new, anywhere": func(krpc.ID) (ids []krpc.ID) {
			for range 8 {
				n++
				ids = append(ids, idOf(n))
			}
			return ids
		},
	} {
		if _, queries, _ := table.read(modeTables, true, answer); queries > maxQueries {
			t.Errorf("%s: %d queries", name, queries)
		}
	}
}

func TestFarEnd(t *testing.T) {
	id := idOf(1)
	for _, n := range []int{0, 1, 7, 8, 9, 100, 159, 160} {
		far := farEnd(id, n)
		if got := sharedBits(&id, &far); got != n {
			t.Errorf("the far end of %d bits shares %d", n, got)
		}
		if farEnd(far, n) != id {
			t.Errorf("turned over twice after %d bits it is another ID", n)
		}
	}
}
