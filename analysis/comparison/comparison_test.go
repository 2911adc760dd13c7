package comparison

import (
	"math"
	"math/rand/v2"
	"testing"

	"canopy/analysis"
)

func wilson(p float64, n float64) analysis.Estimate {
	const z = 1.959963984540054
	mid, half := (p+z*z/2/n)/(1+z*z/n), z*math.Sqrt(p*(1-p)/n+z*z/4/n/n)/(1+z*z/n)
	return analysis.Estimate{Value: p, Lower: mid - half, Upper: mid + half, Level: 0.95, N: int(n)}
}

// Two shares with a known difference: the interval holds it 95 times in 100.
func TestDifferenceCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	const runs, n = 2000, 400
	for _, truth := range [][2]float64{{0.3, 0.3}, {0.35, 0.25}, {0.04, 0.02}, {0.97, 0.99}} {
		held := 0
		for range runs {
			var hits [2]float64
			for i, p := range truth {
				for range n {
					if rng.Float64() < p {
						hits[i]++
					}
				}
			}
			d := Difference(wilson(hits[0]/n, n), wilson(hits[1]/n, n))
			if at := truth[0] - truth[1]; d.Lower <= at && at <= d.Upper {
				held++
			}
		}
		if share := float64(held) / runs; share < 0.93 || share > 0.98 {
			t.Errorf("%v: %.3f of the intervals hold the difference", truth, share)
		}
	}
}

func TestMeanCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	const runs = 2000
	for _, crawls := range []int{2, 5, 30} {
		held := 0
		for range runs {
			values := make([]float64, crawls)
			for i := range values {
				values[i] = 1000 + 50*rng.NormFloat64()
			}
			e, ok := Mean(values, "peers", "crawls")
			if !ok {
				t.Fatal("no mean")
			}
			if e.Lower <= 1000 && 1000 <= e.Upper {
				held++
			}
		}
		if share := float64(held) / runs; share < 0.935 || share > 0.965 {
			t.Errorf("%d crawls: %.3f of the intervals hold the mean", crawls, share)
		}
	}
	if _, ok := Mean([]float64{1000}, "peers", "crawls"); ok {
		t.Error("an interval from one crawl")
	}
}
