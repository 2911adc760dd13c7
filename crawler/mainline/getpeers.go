package mainline

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// around is how many nodes around an info-hash are asked: twice a bucket, since
// announcements scatter over more nodes than the closest eight (BEP 33).
const around = 2 * replyNodes

const (
	maxValues  = 2048    // endpoints that one node is believed to name
	maxSharers = 1 << 18 // endpoints kept in all
)

// gathering is one search for who has the content of an info-hash.
type gathering struct {
	*lookup
	c       *Checker
	began   time.Time
	took    time.Duration           // of the lookup itself
	depth   map[Peer]uint32         // requests one after the other until the node was heard of
	entries map[netip.AddrPort]bool // where it began: their answers are no proof of a network behind them
	holders map[netip.AddrPort]bool
	namers  []Peer
	seeds   filter
	loaders filter
	search  observation.Search
}

func newGathering(c *Checker, key krpc.ID) *gathering {
	return &gathering{
		lookup: &lookup{target: key, k: around, known: map[Peer]bool{}}, c: c, began: time.Now(),
		depth: map[Peer]uint32{}, entries: map[netip.AddrPort]bool{}, holders: map[netip.AddrPort]bool{},
		search: observation.Search{K: around},
	}
}

// reply is what one node said to a get_peers, or an entry point to a find_node.
type reply struct {
	from *candidate // nil: an entry point
	at   netip.AddrPort
	said said
	err  error
}

// hear takes in nodes that one names, who was heard of itself.
func (g *gathering) hear(from Peer, named ...Peer) {
	for _, p := range named {
		if _, heard := g.depth[p]; !heard && !g.c.cfg.Refuse(p.ID.String()) {
			g.depth[p] = g.depth[from] + 1
			g.add(p)
		}
	}
}

// run enters by all entry points at once, as clients do that join, and asks ever
// closer nodes, as lookup does, until the closest have answered. Entry points
// that are silent till then hold nobody up.
func (g *gathering) run(ctx context.Context, entries []netip.AddrPort) error {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	replies := make(chan reply)
	for _, at := range entries {
		g.entries[at] = true
		go func() {
			s, err := g.c.phone.call(asking, at, g.c.findNode(g.target))
			replies <- reply{at: at, said: s, err: err}
		}()
	}
	var failed error
	for waiting, under := len(entries), 0; ; {
		for failed == nil && ctx.Err() == nil && under < lookupAlpha && g.queries < lookupQueries {
			next := g.next()
			if next == nil {
				break
			}
			under++
			next.state = underway
			go func() {
				s, err := g.c.phone.call(asking, next.peer.Addr(), g.getPeers)
				replies <- reply{from: next, said: s, err: err}
			}()
		}
		over := failed != nil || ctx.Err() != nil || waiting+under == 0 || g.settled()
		if over && failed == nil && ctx.Err() == nil && g.queries < lookupQueries && g.secondChance() {
			continue
		}
		if over {
			g.took = time.Since(g.began)
			g.search.Cut = g.search.Cut || g.queries >= lookupQueries && g.next() != nil
			stop()
			for range waiting + under {
				g.search.Queries += (<-replies).said.sent
			}
			return failed
		}
		r := <-replies
		if r.from == nil {
			waiting--
		} else {
			under--
		}
		if r.err != nil {
			failed = r.err
		}
		g.answer(r)
	}
}

// settled says whether the closest of those that did not stay silent have all
// answered, as many as are looked for.
func (g *gathering) settled() bool {
	counted := counter{l: g.lookup}
	for _, c := range g.order {
		switch {
		case c.state == silent:
		case c.state != answered:
			return false
		case counted.add(c) && counted.n == g.k:
			return true
		}
	}
	return false
}

// welcome takes in what an entry point said. It may be an ordinary node, too,
// unless it answers with our own ID.
func (g *gathering) welcome(r reply) {
	g.search.Queries += r.said.sent
	switch r.said.outcome {
	case observation.Answered:
		g.hear(Peer{}, NewPeer(r.said.message.ID, r.at))
		fallthrough
	case observation.WrongIdentity:
		g.hear(Peer{}, g.c.named(r.said.message)...)
	}
}

func (g *gathering) getPeers(b, tid []byte) []byte {
	return g.c.phone.ask.AppendGetPeers(b, tid, &g.target, false)
}

// answer takes in what one node said. It counts only under the ID asked for.
func (g *gathering) answer(r reply) {
	if r.from == nil {
		g.welcome(r)
		return
	}
	g.queries += int(r.said.sent)
	r.from.state = silent
	m := r.said.message
	if r.said.outcome != observation.Answered || m.ID != r.from.peer.ID {
		return
	}
	r.from.state = answered
	g.hear(r.from.peer, g.c.named(m)...)
	if g.keep(m) {
		g.search.Namers++
		g.namers = append(g.namers, r.from.peer)
		if g.search.First == 0 {
			g.search.First, g.search.Hops = time.Since(g.began), g.depth[r.from.peer]+1
		}
	}
}

// keep keeps the endpoints that a node names, and reports whether it named any
// that may be kept.
func (g *gathering) keep(m *krpc.Message) (any bool) {
	values := m.Values
	for n := 0; ; {
		at, more := values.Next()
		switch {
		case !more:
			return any
		case !g.c.cfg.allowed(at):
		case n == maxValues || len(g.holders) == maxSharers && !g.holders[at]:
			g.search.Cut = true
			return true
		default:
			g.holders[at], any = true, true
			n++
		}
	}
}

// scrape asks those who named somebody, and the closest nodes, for their Bloom
// filters (BEP 33). It is a question of its own: asked for filters, libtorrent
// names no endpoints.
func (g *gathering) scrape(ctx context.Context) (failed error) {
	ask := g.namers
	for _, p := range g.closest() {
		if !slices.Contains(ask, p) {
			ask = append(ask, p)
		}
	}
	places, replies := make(chan struct{}, lookupAlpha), make(chan reply)
	for _, p := range ask {
		go func() {
			places <- struct{}{}
			defer func() { <-places }()
			s, err := g.c.phone.call(ctx, p.Addr(), func(b, tid []byte) []byte {
				return g.c.phone.ask.AppendGetPeers(b, tid, &g.target, true)
			})
			replies <- reply{from: &candidate{peer: p}, said: s, err: err}
		}()
	}
	for range ask {
		r := <-replies
		g.search.Queries += r.said.sent
		if r.err != nil {
			failed = r.err
		}
		if m := r.said.message; r.said.outcome == observation.Answered && m.ID == r.from.peer.ID && m.Has(krpc.FieldSeeds|krpc.FieldPeers) {
			g.join(m)
		}
	}
	return failed
}

// join adds the filters of one node, both or none.
func (g *gathering) join(m *krpc.Message) {
	seeds, leechers := g.seeds, g.loaders
	if !seeds.join(m.Seeds) || !leechers.join(m.Peers) {
		g.search.Full++
		return
	}
	g.seeds, g.loaders = seeds, leechers
	g.search.Filters++
}

// sum is what the search came to.
func (g *gathering) sum() observation.Search {
	s := g.search
	s.Took, s.Queries = g.took, s.Queries+uint32(g.queries)
	s.Found = uint32(len(g.holders))
	for _, p := range g.answered() {
		if !g.entries[p.Addr()] {
			s.Answered++
		}
	}
	closest := g.closest()
	s.Closest = uint32(len(closest))
	if s.First == 0 && len(closest) > 0 {
		s.Hops = g.depth[closest[0]] + 1
	}
	if s.Filters > 0 {
		s.Seeds, s.Leechers = g.seeds.size(), g.loaders.size()
	}
	return s
}
