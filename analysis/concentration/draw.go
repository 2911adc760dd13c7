package concentration

import (
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// few is the expected number of peers below which drawing them one by one
// costs less than one binomial number.
const few = 32

// drawer draws multinomial numbers: those of large holders as conditional
// binomial ones, the peers of all others one by one.
type drawer struct {
	shares []float64 // descending
	n      int
	large  int // holders that are drawn by binomial numbers
	small  alias
	counts []int
	drawn  []float64
}

func newDrawer(shares []float64, n int) *drawer {
	d := &drawer{shares: shares, n: n, counts: make([]int, len(shares)), drawn: make([]float64, 0, len(shares))}
	for d.large < len(shares) && shares[d.large]*float64(n) >= few {
		d.large++
	}
	d.small = newAlias(shares[d.large:])
	return d
}

// draw returns the shares of n draws, holders that drew nobody left out, the
// largest first. They are valid until the next draw.
func (d *drawer) draw(rng *rand.Rand) []float64 {
	clear(d.counts)
	left, mass := d.n, 1.0
	for i, s := range d.shares[:d.large] {
		k := left
		if i < len(d.shares)-1 && s < mass {
			k = int(distuv.Binomial{N: float64(left), P: s / mass, Src: rng}.Rand())
		}
		d.counts[i] = k
		if left, mass = left-k, mass-s; left <= 0 {
			break
		}
	}
	if d.large < len(d.shares) {
		for range left {
			d.counts[d.large+d.small.draw(rng)]++
		}
	}
	slices.Sort(d.counts)
	d.drawn = d.drawn[:0]
	for _, k := range slices.Backward(d.counts) {
		if k == 0 {
			break
		}
		d.drawn = append(d.drawn, float64(k)/float64(d.n))
	}
	return d.drawn
}

// alias draws one of many with given weights in constant time (Walker 1977,
// set up as by Vose 1991).
type alias struct {
	keep  []float64 // chance that a place stands for itself
	other []int     // whom it stands for otherwise
}

func newAlias(weights []float64) alias {
	a := alias{make([]float64, len(weights)), make([]int, len(weights))}
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	var poor, rich []int
	for i, w := range weights {
		a.keep[i], a.other[i] = w/sum*float64(len(weights)), i
		if a.keep[i] < 1 {
			poor = append(poor, i)
		} else {
			rich = append(rich, i)
		}
	}
	for len(poor) > 0 && len(rich) > 0 {
		p, r := poor[len(poor)-1], rich[len(rich)-1]
		poor, a.other[p] = poor[:len(poor)-1], r
		if a.keep[r] -= 1 - a.keep[p]; a.keep[r] < 1 {
			rich, poor = rich[:len(rich)-1], append(poor, r)
		}
	}
	for _, i := range append(poor, rich...) { // what rounding left
		a.keep[i] = 1
	}
	return a
}

func (a alias) draw(rng *rand.Rand) int {
	i := rng.IntN(len(a.keep))
	if rng.Float64() >= a.keep[i] {
		return a.other[i]
	}
	return i
}
