package dataset

import (
	"math/rand/v2"
	"net/netip"
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
			depth, _ := c.depth(p)
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

// TestAlign checks that of a place all peers show the prefix or none does, and
// that those who show one, and those who do not beside them, are enough.
func TestAlign(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	shown := 0
	for range 300 {
		c := newCells()
		var peers []placed
		var all []traits
		for range 1 + random.IntN(300) {
			block := random.IntN(30)
			p := traits{levelHosting: int64(random.IntN(2)), levelAgent: int64(random.ExpFloat64() * 2), levelPrefix: int64(block / 10)}
			peers = append(peers, placed{c.add(p), netip.PrefixFrom(netip.AddrFrom4([4]byte{45, byte(block / 10), byte(block)}), blockBits4)})
			all = append(all, p)
		}
		c.close(Smallest)
		hidden := c.align(peers, Smallest)
		type cell struct {
			traits
			shows bool
		}
		sizes := map[cell]int{}
		for i, p := range peers {
			depth, _ := c.depth(all[i])
			shows := depth == len(levels) && !hidden[p.place]
			if !shows && !hidden[p.place] && c.nodes[0].published {
				t.Fatalf("a peer in %v does not show its prefix, others may", p.place)
			}
			if depth < levelPrefix {
				continue
			}
			if !shows {
				all[i][levelPrefix] = -1
			} else {
				shown++
			}
			sizes[cell{all[i], shows}]++
		}
		for cell, n := range sizes {
			if n < Smallest {
				t.Fatalf("%d peers are a cell: %v", n, cell)
			}
		}
	}
	if shown == 0 {
		t.Error("no prefix was ever shown: the plan is no test")
	}
}

func TestCellsPublishWhatIsLarge(t *testing.T) {
	c := newCells()
	for i := range 100 {
		c.add(traits{levelHosting: int64(i % 4), levelCountry: int64(i % 4)})
	}
	c.close(Smallest)
	for i := range 4 {
		if depth, _ := c.depth(traits{levelHosting: int64(i), levelCountry: int64(i)}); depth != len(levels) {
			t.Errorf("of a cell of 25 only %d of %d fields are published", depth, len(levels))
		}
	}
	if depth, _ := c.depth(traits{levelHosting: 7}); depth != 0 {
		t.Errorf("a cell without peers is published to depth %d", depth)
	}
}
