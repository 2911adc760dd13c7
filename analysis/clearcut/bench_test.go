package clearcut

import "testing"

// BenchmarkCurve is twenty points of 10,000 lookups each, before and after
// repair, on 25,000 living peers with full tables of k 20 and a fifth of their
// entries dead: ten removals of ever more organisations, and as many random
// ones.
func BenchmarkCurve(b *testing.B) {
	network := Network{Name: "large", K: 20, Alpha: 10, IDBits: 256, Distance: "xor", KeyDerivation: "hex"}
	g := random(b, network, 25_000, 6_000, 1)
	for i := range g.peers { // an unequal world: 70 % to ten holders
		g.peers[i].Organisation = ""
		if n := i * 7919 % 100; n < 70 {
			g.peers[i].Organisation = string(rune('a' + n/7))
		}
	}
	for b.Loop() {
		if _, err := g.Run(b.Context(), Scenario{Remove: Removal{Largest: 10, By: ByOrganisation}, Lookups: 10_000, Repetitions: 5}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(g.Edges())/float64(len(g.peers)), "entries/peer")
}

func BenchmarkLookups(b *testing.B) {
	network := Network{Name: "large", K: 20, Alpha: 10, IDBits: 256, Distance: "xor", KeyDerivation: "hex"}
	g := random(b, network, 25_000, 6_000, 1)
	r := g.Without(make([]bool, len(g.peers)))
	for b.Loop() {
		if _, err := r.search(b.Context(), 10_000, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRepair(b *testing.B) {
	network := Network{Name: "large", K: 20, Alpha: 10, IDBits: 256, Distance: "xor", KeyDerivation: "hex"}
	g := random(b, network, 25_000, 6_000, 1)
	r := g.Without(g.draw(8_000, 1))
	for b.Loop() {
		if _, err := r.Repaired(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
}
