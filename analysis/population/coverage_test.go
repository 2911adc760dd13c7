package population

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// The coverage itself, from counts drawn as a network would give them: 200 networks tell it to 1.5 points only, the
// 20,000 here to 0.15.
func TestCoverageOfTheZone(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	draw := func(n int, p float64) int { return int(distuv.Binomial{N: float64(n), P: p, Src: rng}.Rand()) }
	var corrected, floor record
	for range 20_000 {
		nodes := int(math.Exp(math.Log(1e4) + rng.Float64()*math.Log(1e7/1e4)))
		answers, bits := 1-0.3*rng.Float64(), max(2, int(math.Log2(float64(nodes)/2000)))
		zone := draw(nodes, math.Ldexp(1, -bits))
		confirmed := draw(50, answers)
		corrected.add(Corrected(bits, confirmed+draw(zone-50, answers), Marks{50, draw(50, answers), 50, confirmed}), float64(nodes))
		first := draw(zone, answers)
		both := draw(first, answers)
		floor.add(Recaptured(bits, Pair{First: first, Both: both, Second: both + draw(zone-first, answers)}), float64(nodes))
	}
	for name, r := range map[string]record{"corrected": corrected, "floor": floor} {
		t.Logf("%s: coverage %.2f %%, mean bias %.2f %%", name, r.coverage(), r.meanBias())
		if c := r.coverage(); r.absent > 0 || c < 94 || c > 96 || math.Abs(r.meanBias()) > 0.2 {
			t.Errorf("%s: coverage %.2f %%, mean bias %.2f %%, %d absent; want 95 %% within 1", name, c, r.meanBias(), r.absent)
		}
	}
}
