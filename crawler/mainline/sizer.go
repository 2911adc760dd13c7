package mainline

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// aims is how often a lookup is aimed near a marked node, ever nearer, until
// the node is among those that the lookup should find.
const aims = 4

// scouts are the lookups that tell how far from a node to aim.
const scouts = 8

// Measure looks up random targets, and aims lookups near every marked node to
// see how many of the living lookups find. It returns what the record keeps,
// without the crawl's ID, also when ctx ended before all was done.
func (s *Sizer) Measure(ctx context.Context) ([]observation.Lookup, []observation.Mark, error) {
	if s.asker == nil {
		return nil, nil, fmt.Errorf("measure size: no nodes were marked")
	}
	done := make([]observation.Lookup, s.opt.Lookups)
	first := min(len(done), scouts)
	s.each("look up random keys", first, func(i int) { done[i] = s.measure(ctx, uint32(i)) })
	s.mean = meanDistance(done[:first])
	// The rest is done in random order, so that whatever trouble there is for a
	// while meets lookups of both kinds alike.
	rest, aimed := len(done)-first, len(s.marks)
	if s.mean == 0 {
		aimed = 0
	}
	order := rand.Perm(rest + aimed)
	s.each("look up random keys and marked nodes", len(order), func(i int) {
		if n := order[i]; n < rest {
			done[first+n] = s.measure(ctx, uint32(first+n))
		} else {
			s.aim(ctx, &s.marks[n-rest])
		}
	})
	lookups := slices.DeleteFunc(done, func(l observation.Lookup) bool { return l.K == 0 }) // cut short
	return lookups, s.marks, nil
}

// measure looks up one random target. A lookup that ctx cut short is none.
func (s *Sizer) measure(ctx context.Context, number uint32) observation.Lookup {
	target := randomID()
	l := s.look(ctx, target, replyNodes)
	if ctx.Err() != nil {
		return observation.Lookup{}
	}
	closest := l.closest()
	r := observation.Lookup{
		Network: Network().Name, Number: number, Target: target.String(), K: replyNodes, Found: uint8(len(closest)), Queries: uint32(l.queries),
	}
	if len(closest) > 0 {
		r.Distance = share(closest[len(closest)-1].ID, target)
	}
	return r
}

// meanDistance is that of the lookups which found all nodes they looked for.
func meanDistance(lookups []observation.Lookup) float64 {
	sum, n := 0.0, 0
	for _, l := range lookups {
		if l.Found == l.K {
			sum, n = sum+l.Distance, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// aim tells whether a lookup finds a marked node that is one of the k closest
// to its target, at any rank: the target lies as far from the node as the
// nodes lie that lookups of random targets count.
func (s *Sizer) aim(ctx context.Context, m *observation.Mark) {
	id, err := krpc.ParseID(m.PeerID)
	if err != nil || !m.Named {
		return
	}
	other := func(i *krpc.ID) bool { return *i != id && s.ours(i) }
	for reach := s.mean; !m.LookedUp && ctx.Err() == nil; reach /= aims {
		target := away(id, reach*rand.Float64())
		l := s.asker.lookup(ctx, target, replyNodes, other, s.starts(target))
		c, known := l.named(id)
		closest := l.closest()
		due := len(closest) < replyNodes || share(closest[len(closest)-1].ID, target) >= share(id, target)
		if ctx.Err() == nil && due {
			m.LookedUp, m.Lookup = true, known && c.state == answered
		}
	}
}

// away returns an ID at the given distance from id, a share of the key space.
func away(id krpc.ID, distance float64) krpc.ID {
	rest := uint64(math.Ldexp(distance, 64))
	for i := range 8 {
		id[i] ^= byte(rest >> (56 - 8*i))
	}
	return id
}
