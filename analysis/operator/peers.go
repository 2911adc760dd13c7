package operator

import (
	"context"
	"iter"
	"math/bits"

	"canopy/analysis"
	"canopy/crawler/identifier"
)

// peer is one that answered, as it was when it answered last. Names are
// places in the lists of [peers].
type peer struct {
	net                 uint64 // hash of its /24 or /56, 0 when not known
	unit                uint64 // hash of its ID
	agent, place, known int32
	first               int32  // of its words in peers.up
	here, anywhere      int32  // peers of its agent in its AS, and in the network, at most at once
	port                uint16 // 0 if it is a usual one
}

// place is whose land a peer stands on.
type place struct {
	asn                            uint32
	organisation, country, hosting string
}

// known is what the registry may know of a peer.
type known struct {
	id, protocol string
	block        uint32 // from 2; its prefix
}

// peers are those that answered in some crawls of one network. A large network
// has millions, so that what many have in common is kept once.
type peers struct {
	all    []peer
	crawls int
	up     []uint64 // bit sets of crawls, as many words for each peer
	agents list[string]
	places list[place]
	knowns list[known]
	counts []int // room to count in, of a crawl each
}

// list numbers different values.
type list[T comparable] struct {
	values []T
	at     map[T]int32
}

func (l *list[T]) number(v T) int32 {
	n, ok := l.at[v]
	if !ok {
		if l.at == nil {
			l.at = map[T]int32{}
		}
		n = int32(len(l.values))
		l.at[v], l.values = n, append(l.values, v)
	}
	return n
}

// read reads the peers that answered in the given crawls of one network.
func (r *Rules) read(ctx context.Context, q analysis.Querier, network string, crawls []string) (*peers, error) {
	p := &peers{crawls: len(crawls), counts: make([]int, len(crawls))}
	if len(crawls) == 0 {
		return p, nil
	}
	query, args := r.traitsQuery(network, crawls)
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	registered := r.peerIDs()
	for rows.Next() {
		var one peer
		var sets []uint64
		var agent string
		var on place
		var k known
		if err := rows.Scan(&sets, &agent, &on.asn, &on.organisation, &on.country, &on.hosting, &one.net, &one.port, &k.id, &k.block, &k.protocol, &one.unit); err != nil {
			return nil, err
		}
		if k.id = identifier.Recorded(k.id); !registered[k.id] {
			k.id = ""
		}
		one.first = int32(len(p.up))
		one.agent, one.place, one.known = p.agents.number(agent), p.places.number(on), p.knowns.number(k)
		p.all, p.up = append(p.all, one), append(p.up, sets...)
	}
	return p, rows.Err()
}

// sets are the crawls in which a peer answered, 64 in each word.
func (p *peers) sets(one peer) []uint64 {
	return p.up[one.first:][:(p.crawls+word-1)/word]
}

// seen yields the crawls in which a peer answered, from 0.
func (p *peers) seen(one peer) iter.Seq[int] {
	return func(yield func(int) bool) {
		for w, set := range p.sets(one) {
			for ; set != 0; set &= set - 1 {
				if !yield(w*word + bits.TrailingZeros64(set)) {
					return
				}
			}
		}
	}
}

// totals are the peers of each crawl.
func (p *peers) totals() []int {
	totals := make([]int, p.crawls)
	for _, one := range p.all {
		for t := range p.seen(one) {
			totals[t]++
		}
	}
	return totals
}

// atOnce is how many of some peers one crawl met, at most.
func (p *peers) atOnce(some []peer) int {
	if len(some) < 2 {
		return len(some)
	}
	clear(p.counts)
	most := 0
	for _, one := range some {
		for t := range p.seen(one) {
			p.counts[t]++
			most = max(most, p.counts[t])
		}
	}
	return most
}
