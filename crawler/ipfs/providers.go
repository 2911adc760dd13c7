package ipfs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"canopy/crawler/ipfs/endpoint"
	"canopy/crawler/observation"
)

// Bounds of one search, so that endless invented peers and providers end it.
const (
	searchAlpha  = 10   // peers asked at once
	searchPeers  = 400  // asked in all
	searchKnown  = 1024 // candidates kept, the closest ones
	maxProviders = 4096 // kept in all
)

// asking is how far a candidate of a search is.
type asking uint8

const (
	unasked asking = iota
	underway
	answered
	silent
)

// near is a peer that a search knows.
type near struct {
	peer     Peer
	distance [sha256.Size]byte
	depth    uint32 // requests one after the other until it was heard of
	state    asking
}

// gathering is one search for who provides a key, by Kademlia's iteration: ask
// the closest that were not asked, until the k closest of those that did not
// stay silent have answered.
type gathering struct {
	w       *Walker
	s       *walk
	key     []byte
	target  [sha256.Size]byte
	began   time.Time
	took    time.Duration
	entries map[Peer]bool
	order   []*near // closest first
	known   map[Peer]bool
	found   map[Peer]netip.Addr // who provides it, and where if that may be kept
	asked   int
	second  bool // silent ones were given their second chance
	search  observation.Search
}

func newGathering(w *Walker, key []byte) *gathering {
	s := newWalk(w, nil)
	s.once = true
	return &gathering{
		w: w, s: s, key: key, target: sha256.Sum256(key), began: time.Now(), entries: map[Peer]bool{}, known: map[Peer]bool{},
		found: map[Peer]netip.Addr{}, search: observation.Search{K: uint32(w.cfg.K)},
	}
}

// add takes in a candidate if it is new and close enough. Entry points are
// asked however far away they are.
func (g *gathering) add(p Peer, depth uint32) {
	if g.known[p] || p == g.w.identity.self {
		return
	}
	n := &near{peer: p, depth: depth, distance: sha256.Sum256([]byte(p))}
	for i := range n.distance {
		n.distance[i] ^= g.target[i]
	}
	i, _ := slices.BinarySearchFunc(g.order, n, func(a, b *near) int { return bytes.Compare(a.distance[:], b.distance[:]) })
	if i >= searchKnown {
		return
	}
	g.known[p] = true
	g.order = slices.Insert(g.order, i, n)
	if len(g.order) > searchKnown {
		delete(g.known, g.order[searchKnown].peer)
		g.order = g.order[:searchKnown]
	}
}

// next is whom to ask: entry points first, then the closest that was not asked
// among the k closest that did not stay silent.
func (g *gathering) next() *near {
	for _, n := range g.order {
		if n.state == unasked && g.entries[n.peer] {
			return n
		}
	}
	count := 0
	for _, n := range g.order {
		switch {
		case count == g.w.cfg.K:
			return nil
		case n.state == unasked:
			return n
		case n.state != silent:
			count++
		}
	}
	return nil
}

// secondChance lets silent peers be asked again that are closer than the k-th
// that answered, once.
func (g *gathering) secondChance() (any bool) {
	if g.second {
		return false
	}
	g.second = true
	count := 0
	for _, n := range g.order {
		switch {
		case count == g.w.cfg.K:
			return any
		case n.state == silent:
			n.state, any = unasked, true
		case n.state == answered:
			count++
		}
	}
	return any
}

// outcome is what came of asking one peer.
type outcome struct {
	from *near
	v    *visit
	said said
	err  error
}

// run asks until the k closest have answered. Entry points that are silent till
// then hold nobody up.
func (g *gathering) run(ctx context.Context) (failed error) {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	outcomes := make(chan outcome)
	for under := 0; ; {
		for under < searchAlpha && ctx.Err() == nil && failed == nil && g.asked < searchPeers {
			n := g.next()
			if n == nil {
				break
			}
			under++
			g.asked++
			n.state = underway
			go func() {
				v, said, err := g.ask(asking, n.peer)
				outcomes <- outcome{n, v, said, err}
			}()
		}
		over := failed != nil || ctx.Err() != nil || under == 0 || g.settled()
		if over && failed == nil && ctx.Err() == nil && g.asked < searchPeers && g.secondChance() {
			continue
		}
		if over {
			g.took = time.Since(g.began)
			g.search.Cut = g.search.Cut || g.asked >= searchPeers && g.next() != nil
			stop()
			for range under {
				g.search.Queries += (<-outcomes).v.result.Visit.Queries
			}
			return failed
		}
		o := <-outcomes
		under--
		if o.err != nil {
			failed = o.err
		}
		g.take(o)
	}
}

// settled says whether the k closest of those that did not stay silent have all
// answered.
func (g *gathering) settled() bool {
	count := 0
	for _, n := range g.order {
		switch {
		case n.state == silent:
		case n.state != answered:
			return false
		default:
			if count++; count == g.w.cfg.K {
				return true
			}
		}
	}
	return false
}

func (g *gathering) take(o outcome) {
	visit := &o.v.result.Visit
	g.search.Queries += visit.Queries
	o.from.state = silent
	if visit.Outcome != observation.Answered {
		return
	}
	o.from.state = answered
	g.search.Cut = g.search.Cut || o.said.cut
	for _, p := range o.said.closer {
		g.add(p, o.from.depth+1)
	}
	providers := slices.DeleteFunc(o.said.providers, func(p peer.AddrInfo) bool { return p.ID == g.w.identity.self }) // we provide nothing
	if len(providers) == 0 {
		return
	}
	g.search.Namers++
	if g.search.First == 0 {
		g.search.First, g.search.Hops = time.Since(g.began), o.from.depth+1
	}
	for _, p := range providers {
		if _, known := g.found[p.ID]; !known && len(g.found) == maxProviders {
			g.search.Cut = true
			return
		}
		g.found[p.ID] = cmp.Or(g.found[p.ID], g.place(p))
	}
}

// place is an address of a provider that may be contacted, the first of those
// that it can be dialled at. None if there is none, or it opted out.
func (g *gathering) place(p peer.AddrInfo) netip.Addr {
	if g.w.cfg.Refuse(p.ID.String()) {
		return netip.Addr{}
	}
	for _, m := range p.Addrs {
		if e := endpoint.Read(m, string(p.ID)); e.Kind == endpoint.Direct && g.w.cfg.Allow(e.Addr.Addr()) {
			return e.Addr.Addr()
		}
	}
	return netip.Addr{}
}

func (g *gathering) holders() []observation.Holder {
	list := make([]observation.Holder, 0, len(g.found))
	for p, at := range g.found {
		if !g.w.cfg.Refuse(p.String()) {
			list = append(list, observation.Holder{PeerID: p.String(), Address: at})
		}
	}
	return list
}

// sum is what the search came to.
func (g *gathering) sum() observation.Search {
	s := g.search
	s.Took, s.Found = g.took, uint32(len(g.found))
	for _, n := range g.order {
		if n.state != answered {
			continue
		}
		if !g.entries[n.peer] {
			s.Answered++
		}
		if s.Closest < s.K {
			if s.Closest == 0 && s.First == 0 {
				s.Hops = n.depth + 1
			}
			s.Closest++
		}
	}
	return s
}

// ask dials a peer and asks it once. How that ended is in the visit; the error
// is a shortage of this machine, or why ctx ended.
func (g *gathering) ask(ctx context.Context, p Peer, more ...multiaddr.Multiaddr) (v *visit, s said, err error) {
	v = &visit{s: g.s, peer: p}
	v.learn()
	for _, m := range more {
		v.add(m)
	}
	err = v.meet(ctx, netip.AddrPort{}, v.patience(), func(l *link) { s = g.question(ctx, v, l) })
	return v, s, err
}

// question asks a peer over a connection.
func (g *gathering) question(ctx context.Context, v *visit, l *link) said {
	card, _ := v.identify(ctx, l)
	v.describe(card)
	visit := &v.result.Visit
	visit.Address, visit.Outcome = l.addr, observation.Answered
	s, err := v.getProviders(ctx, l, g.key)
	if err != nil {
		v.settle(attempt{candidate: l.candidate, outcome: outcomeOf(err), err: err})
		if visit.Outcome == observation.Reset && denies(card, g.w.cfg.Protocol) {
			visit.Outcome = observation.WrongProtocol
		}
	}
	return s
}
