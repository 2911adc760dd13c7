package population

import (
	"cmp"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sort"
)

// model is a network in memory: the first 64 bits of the IDs of nodes that are
// up, ascending, each of which stays unfound with probability missing whenever
// somebody looks for it.
type model struct {
	ids     []uint64
	missing float64
	rng     *rand.Rand
}

func newModel(rng *rand.Rand, nodes int, missing float64) *model {
	m := &model{ids: make([]uint64, nodes), missing: missing, rng: rng}
	for i := range m.ids {
		m.ids[i] = rng.Uint64()
	}
	slices.Sort(m.ids)
	return m
}

func (m *model) found() bool { return m.rng.Float64() >= m.missing }

// within are the nodes in the zone of the given bits that holds id.
func (m *model) within(id uint64, bits int) []uint64 {
	low := ^uint64(0) >> bits
	first, last := id&^low, id|low
	i := sort.Search(len(m.ids), func(i int) bool { return m.ids[i] >= first })
	j := i + sort.Search(len(m.ids)-i, func(j int) bool { return m.ids[i+j] > last })
	return m.ids[i:j]
}

// lookup is the distance of the k-th closest node that is found, as a share of
// the key space; false if there are too few.
func (m *model) lookup(k int) (float64, bool) {
	target := m.rng.Uint64()
	shared := max(0, bits.Len(uint(len(m.ids)))-bits.Len(uint(8*k))-1)
	near := slices.Clone(m.within(target, shared))
	slices.SortFunc(near, func(a, b uint64) int { return cmp.Compare(a^target, b^target) })
	for _, id := range near {
		if !m.found() {
			continue
		}
		if k--; k == 0 {
			return math.Ldexp(float64(id^target), -64), true
		}
	}
	return 0, false
}

// survey is what is looked at.
type survey struct{ bits, planted, confirmed, lookups, k int }

// walk makes the evidence of one survey of a random zone.
func (m *model) walk(s survey) Evidence {
	zone := m.within(m.rng.Uint64(), s.bits)
	e := Evidence{Bits: s.bits, Marks: Marks{Planted: s.planted}, Distances: &Distances{K: s.k}, Pair: &Pair{}}
	for range s.planted {
		if m.found() {
			e.Marks.PlantedFound++
		}
	}
	known := min(s.confirmed, len(zone)) // the order of nodes says nothing of who is found
	e.Marks.Confirmed = known
	for i := range zone {
		first, second := m.found(), m.found()
		if first {
			e.Found++
			e.Pair.First++
			if i < known {
				e.Marks.ConfirmedFound++
			}
		}
		if second {
			e.Pair.Second++
		}
		if first && second {
			e.Pair.Both++
		}
	}
	for range s.lookups {
		if r, ok := m.lookup(s.k); ok {
			e.Distances.Lookups++
			e.Distances.Sum += r
		} else {
			e.Distances.Short++
		}
	}
	e.Distances.Marks = Marks{Planted: e.Marks.Total()}
	for range e.Marks.Total() {
		if m.found() {
			e.Distances.Marks.PlantedFound++
		}
	}
	return e
}

// record sums up how estimates did.
type record struct {
	runs, covered, absent int
	bias                  float64
}

func (r *record) add(a Answer, truth float64) {
	r.runs++
	if a.Estimate == nil {
		r.absent++
		return
	}
	r.bias += a.Estimate.Value/truth - 1
	if a.Estimate.Lower <= truth && truth <= a.Estimate.Upper {
		r.covered++
	}
}

func (r *record) coverage() float64 { return 100 * float64(r.covered) / float64(r.runs-r.absent) }
func (r *record) meanBias() float64 { return 100 * r.bias / float64(r.runs-r.absent) }

// outcome is how every estimate did over many networks.
type outcome struct {
	corrected, distances, floor record
	naive, agreed               float64 // mean error of the naive count; share of networks whose estimates agree
	runs                        int
}

func (o *outcome) add(s Size, truth float64) {
	o.corrected.add(s.Corrected, truth)
	o.distances.add(s.Distances, truth)
	o.floor.add(s.Floor, truth)
	o.naive += 100 * (s.Naive/truth - 1)
	if s.Agreement.Agree {
		o.agreed++
	}
	o.runs++
}
