package testnet

import (
	"math"
	"math/rand/v2"
	"time"
)

// WeibullShape is the shape of session lengths: many are short, a few very
// long. Measured networks lie between 0.34 and 0.59.
const WeibullShape = 0.4

// ShortestSession is the shortest planned session, and the shortest absence.
const ShortestSession = time.Minute

// forever is later than any horizon.
const forever = 100 * 365 * 24 * time.Hour

// maxSessions bounds the sessions of one node.
const maxSessions = 4096

// sessions plans the life of one node over the horizon. Nodes that come and
// go have done so for one horizon before the plan starts, so that the share
// that is up drifts little.
func (c Churn) sessions(rng *rand.Rand, horizon time.Duration) []Session {
	if c.Online == 0 {
		start := -horizon
		if c.Arrival > 0 {
			// Together, but not in the same instant.
			start = time.Duration(c.Arrival*float64(horizon)) + time.Duration(rng.Int64N(int64(10*time.Minute)))
		}
		return []Session{{start, forever}}
	}
	var all []Session
	t := -horizon
	if rng.Float64() < 0.5 {
		t += weibull(rng, c.Offline)
	}
	for t < horizon && len(all) < maxSessions {
		end := t + weibull(rng, c.Online)
		if end > 0 {
			all = append(all, Session{t, end})
		}
		t = end + weibull(rng, c.Offline)
	}
	if len(all) == 0 {
		start := time.Duration(rng.Int64N(int64(horizon)))
		all = []Session{{start, start + weibull(rng, c.Online)}}
	}
	return all
}

// weibull draws a length with the given median.
func weibull(rng *rand.Rand, median time.Duration) time.Duration {
	scale := float64(median) / math.Pow(math.Ln2, 1/WeibullShape)
	length := scale * math.Pow(rng.ExpFloat64(), 1/WeibullShape)
	return max(ShortestSession, time.Duration(min(length, float64(forever))))
}
