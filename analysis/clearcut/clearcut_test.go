package clearcut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// small is a network of k 2 and alpha 1.
var small = Network{Name: "small", Title: "Small", K: 2, Alpha: 1, IDBits: 64, Distance: "xor", KeyDerivation: "hex"}

// at is a key whose first byte is b.
func at(b byte) (k Key) {
	k[0] = b
	return k
}

// graph makes peers that are up, at the first bytes given, with their tables.
func graph(t testing.TB, network Network, places []byte, tables ...[]uint32) *Graph {
	t.Helper()
	peers := make([]Peer, len(places))
	for i, b := range places {
		peers[i] = Peer{ID: fmt.Sprintf("peer%d", i), Key: at(b), Up: true, Hosting: "hosting"}
	}
	g, err := New(network, peers, func(i int) []uint32 { return tables[i] }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mark(g *Graph, numbers ...int) []bool {
	removed := make([]bool, len(g.Peers()))
	for _, n := range numbers {
		removed[n] = true
	}
	return removed
}

// A chain: each knows the next only. From the first, the last is found in as
// many requests as there are links, and a cut anywhere ends the way.
func TestChainByHand(t *testing.T) {
	g := graph(t, small, []byte{0x00, 0x80, 0xc0, 0xe0, 0xf0}, []uint32{1}, []uint32{2}, []uint32{3}, []uint32{4}, nil)
	whole := g.Without(mark(g))
	if got, want := whole.Lookup(0, at(0xff)), (Trace{Found: true, Recall: 1, Hops: 4, Messages: 4}); got != want {
		t.Errorf("along the chain: %+v, want %+v", got, want)
	}
	cut := g.Without(mark(g, 3))
	if got, want := cut.Lookup(0, at(0xff)), (Trace{Recall: 0.5, Messages: 3}); got != want {
		t.Errorf("with a link removed: %+v, want %+v", got, want) // 0xf0 lies behind the dead 0xe0; 0xc0 is the second closest and is found
	}
	if got := cut.Component(); got != 0.75 {
		t.Errorf("largest component %v, want 3 of 4", got)
	}
	if got := whole.Component(); got != 1 {
		t.Errorf("largest component %v, want all", got)
	}
}

// Dead entries cost a message each and hide nobody else.
func TestDeadEntriesCostMessages(t *testing.T) {
	peers := []Peer{{Key: at(0x00), Up: true}, {Key: at(0xff)}, {Key: at(0xfe), Up: true}, {Key: at(0xf0), Up: true}}
	tables := [][]uint32{{1, 2}, nil, {1, 3}, nil}
	g, err := New(small, peers, func(i int) []uint32 { return tables[i] }, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := g.Without(mark(g)).Lookup(0, at(0xff))
	if want := (Trace{Found: true, Recall: 1, Hops: 1, Messages: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if g.Living() != 3 || g.Edges() != 4 || math.Abs(g.dead()-0.5) > 1e-12 {
		t.Errorf("%d living, %d edges, %v dead", g.Living(), g.Edges(), g.dead())
	}
}

// Peer 0 loses both peers of its far bucket. Its near neighbour 1 knows others
// there, so that one round of repair brings them in; without 1 none does.
func TestRepairByHand(t *testing.T) {
	places := []byte{0x00, 0x10, 0x80, 0x90, 0xa0, 0xb0}
	g := graph(t, small, places, []uint32{1, 2, 3}, []uint32{0, 4, 5}, nil, nil, nil, nil)
	r := g.Without(mark(g, 2, 3))
	fixed, err := r.Repaired(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := fixed.tables.of(0); !reflect.DeepEqual(got, []uint32{1, 4, 5}) {
		t.Errorf("repaired table %v, want 1, 4 and 5", got)
	}
	if got := fixed.tables.of(1); !reflect.DeepEqual(got, []uint32{0, 4, 5}) {
		t.Errorf("a table that lost nobody became %v", got)
	}
	// A lookup begins with the k closest of the origin's table; both are dead.
	if got, want := r.Lookup(0, at(0xaf)), (Trace{Messages: 2}); got != want {
		t.Errorf("before repair %+v, want %+v", got, want)
	}
	if got, want := fixed.Lookup(0, at(0xaf)), (Trace{Found: true, Recall: 1, Hops: 1, Messages: 2}); got != want {
		t.Errorf("after repair %+v, want %+v", got, want)
	}
	alone, err := g.Without(mark(g, 1, 2, 3)).Repaired(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := alone.tables.of(0); len(got) != 0 {
		t.Errorf("with nobody to ask the table became %v", got)
	}
}

// random is a network of random keys in which everybody knows k of each
// bucket, some entries dead.
func random(t testing.TB, network Network, living, dead int, seed uint64) *Graph {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	peers := make([]Peer, living+dead)
	for i := range peers {
		binary.BigEndian.PutUint64(peers[i].Key[:], rng.Uint64())
		peers[i].ID, peers[i].Up = fmt.Sprint(i), i < living
		peers[i].Organisation = fmt.Sprint("org ", i%7)
	}
	all, err := New(network, peers, func(int) []uint32 { return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	ranks := make([]uint32, len(peers))
	for i := range ranks {
		ranks[i] = uint32(i)
	}
	full, err := New(network, all.peers, func(peer int) (table []uint32) {
		rest := ranks
		for bit := 63; bit >= 0 && len(rest) > 1; bit-- {
			cut := all.cut(rest, bit)
			bucket := rest[cut:]
			if rest = rest[:cut]; all.places[peer]>>bit&1 == 1 {
				bucket, rest = rest, bucket
			}
			for range min(network.K, len(bucket)) {
				table = append(table, bucket[rng.IntN(len(bucket))])
			}
		}
		return table
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// The closest of a table are those that a sort by distance puts first.
func TestClosestAgreesWithSorting(t *testing.T) {
	g := random(t, small, 300, 0, 1)
	rng := rand.New(rand.NewPCG(2, 0))
	for range 300 {
		key, n := rng.Uint64(), 1+rng.IntN(30)
		got := map[uint32]bool{}
		worst := uint64(0)
		for _, peer := range g.appendClosest(nil, g.up, key, n) {
			got[peer] = true
			worst = max(worst, g.places[peer]^key)
		}
		for _, peer := range g.up {
			if !got[peer] && g.places[peer]^key < worst {
				t.Fatalf("peer %d is closer to %x than one of the %d taken", peer, key, n)
			}
		}
		if len(got) != n {
			t.Fatalf("%d peers for %d", len(got), n)
		}
	}
}

// The exact share of keys lost is what a large sample of keys shows.
func TestRecordsLostAgreesWithSampling(t *testing.T) {
	network := small
	network.K = 4
	g := random(t, network, 200, 50, 3)
	for _, share := range []int{40, 100, 150} {
		r := g.Without(g.draw(share, uint64(share)))
		const keys = 200_000
		rng := rand.New(rand.NewPCG(4, 0))
		lost := 0
		for range keys {
			gone := 0
			for _, peer := range g.appendClosest(nil, g.up, rng.Uint64(), network.K) {
				if !r.alive[peer] {
					gone++
				}
			}
			if gone == network.K {
				lost++
			}
		}
		exact, seen := r.RecordsLost(), float64(lost)/keys
		if slack := 5*math.Sqrt(seen*(1-seen)/keys) + 1e-4; math.Abs(exact-seen) > slack {
			t.Errorf("%d of 200 removed: %.4f of keys lost, a sample says %.4f", share, exact, seen)
		}
	}
}

// In a network with full tables lookups succeed; random removal of a part of it
// leaves that so after repair, and the records lost are about f^k.
func TestHealthyNetworkStands(t *testing.T) {
	network := small
	network.K, network.Alpha = 8, 3
	g := random(t, network, 600, 100, 5)
	whole, err := g.Cut(t.Context(), mark(g), Options{Lookups: 1000})
	if err != nil {
		t.Fatal(err)
	}
	half, err := g.RandomCut(t.Context(), 300, Options{Lookups: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if whole.Recorded.Success.Value < 0.98 || whole.RecordsLost.Value != 0 || whole.Share.Value != 0 || whole.Expected != 0 {
		t.Errorf("nothing removed: %+v", whole)
	}
	if half.Share.Value != 0.5 || half.Survivors != 300 || half.Expected != math.Pow(0.5, 8) {
		t.Errorf("half removed: %+v", half)
	}
	if half.RecordsLost.Value > 0.02 || half.RecordsLost.Value < 0.0005 {
		t.Errorf("half removed: %v of records lost, expected about %v", half.RecordsLost.Value, half.Expected)
	}
	if half.Repaired.Success.Value < half.Recorded.Success.Value {
		t.Errorf("repair did not help: %v, before %v", half.Repaired.Success.Value, half.Recorded.Success.Value)
	}
	if half.Recorded.Messages.Value <= half.Repaired.Messages.Value {
		t.Errorf("dead entries cost nothing: %v messages, after repair %v", half.Recorded.Messages.Value, half.Repaired.Messages.Value)
	}
}

func TestEqualSeedsGiveEqualFigures(t *testing.T) {
	g := random(t, small, 100, 20, 6)
	scenario := Scenario{Remove: Removal{Largest: 3, By: ByOrganisation}, Lookups: 300, Repetitions: 3, Seed: 9}
	first, err := g.Run(t.Context(), scenario)
	if err != nil {
		t.Fatal(err)
	}
	again, err := g.Run(t.Context(), first.Scenario)
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("two runs differ: %v", err)
	}
	scenario.Seed++
	if other, err := g.Run(t.Context(), scenario); err != nil || reflect.DeepEqual(first.Steps, other.Steps) {
		t.Errorf("another seed gave the same figures: %v", err)
	}
	if len(first.Steps) != 3 || first.Steps[2].Cut.Share.Value <= first.Steps[1].Cut.Share.Value {
		t.Errorf("steps do not grow: %+v", first.Steps)
	}
}

func TestNothingLeftIsAnError(t *testing.T) {
	everything := Scenario{Remove: Removal{Hosting: []string{"HOSTING"}}, Lookups: 10}
	for name, g := range map[string]*Graph{
		"empty":        graph(t, small, nil),
		"one peer":     graph(t, small, []byte{1}, nil),
		"one operator": graph(t, small, []byte{1, 2, 3}, []uint32{1}, []uint32{2}, []uint32{0}),
	} {
		res, err := g.Run(t.Context(), everything)
		if !errors.Is(err, ErrTooFew) {
			t.Errorf("%s: %v, want an error that says that too few are left", name, err)
		}
		if name == "one operator" && res.Before.Recorded.Success.Value != 1 {
			t.Errorf("before everything left: %+v", res.Before.Recorded)
		}
	}
	g := graph(t, small, []byte{1, 2, 3}, nil, nil, nil)
	if _, err := g.Run(t.Context(), Scenario{Remove: Removal{Largest: 5, By: ByHosting}}); !errors.Is(err, ErrTooFew) {
		t.Errorf("the largest holds everything: %v", err)
	}
	if _, err := g.Run(t.Context(), Scenario{Remove: Removal{Random: 0.9}}); !errors.Is(err, ErrTooFew) {
		t.Errorf("all drawn at random: %v", err)
	}
}

// Survivors that know nobody find nobody: no hops are stated, and nothing is
// no number.
func TestNobodyKnowsAnybody(t *testing.T) {
	g := graph(t, small, []byte{1, 2, 3}, nil, nil, nil)
	c, err := g.Cut(t.Context(), mark(g), Options{Lookups: 50})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Recorded
	if s.Success.Value != 0 || s.Success.Lower != 0 || s.Success.Upper <= 0 || s.Hops != nil || s.Messages.Value != 0 || math.Abs(s.Component.Value-1.0/3) > 1e-12 {
		t.Errorf("%+v", s)
	}
}
