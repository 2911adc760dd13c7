package dataset

import (
	"math/rand/v2"
	"testing"
)

// TestCells checks what makes cells safe: every combination that is published
// holds enough peers, and so does what is withheld beside them.
func TestCells(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		c := newCells()
		var peers []traits
		for range 1 + random.IntN(200) {
			var p traits
			for i := range p {
				p[i] = int64(random.ExpFloat64() * float64(1+i))
			}
			peers = append(peers, p)
			c.add(p)
		}
		c.close(Smallest)
		sizes := map[traits]int{}
		for _, p := range peers {
			depth := c.depth(p)
			if depth < 0 {
				if len(peers) >= Smallest {
					t.Fatalf("%d peers are not published at all", len(peers))
				}
				continue
			}
			// What is withheld looks like a value of its own.
			for i := depth; i < len(p); i++ {
				p[i] = -1
			}
			sizes[p]++
		}
		for p, n := range sizes {
			if n < Smallest {
				t.Fatalf("a cell of %d is published: %v", n, p)
			}
		}
	}
}

func TestCellsPublishWhatIsLarge(t *testing.T) {
	c := newCells()
	for i := range 100 {
		c.add(traits{levelHosting: int64(i % 4), levelCountry: int64(i % 4)})
	}
	c.close(Smallest)
	for i := range 4 {
		if depth := c.depth(traits{levelHosting: int64(i), levelCountry: int64(i)}); depth != len(levels) {
			t.Errorf("of a cell of 25 only %d of %d fields are published", depth, len(levels))
		}
	}
	if depth := c.depth(traits{levelHosting: 7}); depth != 0 {
		t.Errorf("a cell without peers is published to depth %d", depth)
	}
}
