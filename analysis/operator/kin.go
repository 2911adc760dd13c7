package operator

import (
	"cmp"
	"iter"
	"slices"
)

// kin are peers on the same land that meet the same conditions of the rules,
// so that one verdict holds for all.
type kin struct {
	traits  Traits // of one of them
	group   Group  // without a verdict
	members []uint64
}

// likeness is what kin have in common. A verdict depends on the crowd around a
// peer only through how many of the rules' steps it takes.
type likeness struct {
	agents       int32 // lists of patterns that the agent fits
	place, known int32
	named        bool // it announces an agent
	siblings, share, together, ports,
	here, hereShare uint16
}

// steps are the numbers that the rules ask of the crowd around a peer.
type steps struct {
	siblings, together, ports, here []int
	share, hereShare                []float64
	agents                          [][]string
}

func (r *Rules) steps() (s steps) {
	for _, rule := range r.rules {
		s.siblings = append(s.siblings, rule.when.MinSiblings, rule.when.MaxSiblings+1)
		s.together, s.ports, s.here = append(s.together, rule.when.MinTogether), append(s.ports, rule.when.MinPorts), append(s.here, rule.when.MinAgentHere)
		s.share, s.hereShare = append(s.share, rule.when.SiblingsShare), append(s.hereShare, rule.when.AgentShare)
		s.agents = append(s.agents, rule.when.Agents)
	}
	for _, e := range r.registry {
		s.agents = append(s.agents, e.Signals.Agents)
	}
	s.agents = slices.DeleteFunc(s.agents, func(patterns []string) bool { return len(patterns) == 0 })
	return s
}

// taken is how many steps are as high as n or lower.
func taken(steps []int, n int) (count uint16) {
	for _, s := range steps {
		if n >= s {
			count++
		}
	}
	return count
}

// takenOf is how many shares of all n is at least.
func takenOf(shares []float64, n, all int) (count uint16) {
	for _, s := range shares {
		if float64(n) >= s*float64(all) {
			count++
		}
	}
	return count
}

// fitting numbers agents by the lists of patterns that they fit.
func (s steps) fitting(agents []string) []int32 {
	var lists list[string]
	fit := make([]int32, len(agents))
	fits := make([]byte, len(s.agents))
	for i, agent := range agents {
		for j, patterns := range s.agents {
			fits[j] = '0'
			if matchAny(patterns, agent) {
				fits[j] = '1'
			}
		}
		fit[i] = lists.number(string(fits))
	}
	return fit
}

// kin puts peers together that one verdict holds for. totals are the peers of
// each crawl. It changes the order of peers.
func (p *peers) kin(r *Rules, totals []int) iter.Seq[*kin] {
	p.countAgents()
	slices.SortFunc(p.all, func(a, b peer) int {
		return cmp.Or(cmp.Compare(a.net, b.net), cmp.Compare(a.agent, b.agent), slices.Compare(p.sets(a), p.sets(b)), cmp.Compare(a.unit, b.unit))
	})
	s := r.steps()
	fit := s.fitting(p.agents.values)
	at := map[likeness]*kin{}
	var all []*kin
	for block := range runs(p.all, func(a, b peer) bool { return a.net == b.net }) {
		neighbourhood := p.atOnce(block)
		for siblings := range runs(block, func(a, b peer) bool { return a.agent == b.agent }) {
			most, ports := p.atOnce(siblings), pattern(unusual(siblings))
			for same := range runs(siblings, func(a, b peer) bool { return slices.Equal(p.sets(a), p.sets(b)) }) {
				for _, one := range same {
					t := p.traits(r, one)
					if one.net != 0 {
						t.Siblings, t.Neighbourhood, t.Ports, t.Together = most, neighbourhood, ports, p.together(same)
					}
					key := s.likeness(t)
					key.agents, key.place, key.known = fit[one.agent], one.place, one.known
					k, ok := at[key]
					if !ok {
						k = &kin{traits: t, group: Group{Hosting: cmp.Or(t.Hosting, "unknown"), ASN: t.ASN, Organisation: t.Organisation, Country: t.Country, Counts: make([]int, p.crawls)}}
						at[key], all = k, append(all, k)
					}
					p.add(k, one, totals)
				}
			}
		}
	}
	return slices.Values(all)
}

func (s steps) likeness(t Traits) likeness {
	return likeness{
		named: t.Agent != "", siblings: taken(s.siblings, t.Siblings), share: takenOf(s.share, t.Siblings, t.Neighbourhood),
		together: taken(s.together, t.Together), ports: taken(s.ports, t.Ports),
		here: taken(s.here, t.AgentHere), hereShare: takenOf(s.hereShare, t.AgentHere, t.AgentAnywhere),
	}
}

// add counts a peer in.
func (p *peers) add(k *kin, one peer, totals []int) {
	a := 0.0
	for t := range p.seen(one) {
		k.group.Counts[t]++
		a += 1 / float64(totals[t])
	}
	k.group.Peers++
	k.group.Weight += a
	k.group.Squares += a * a
	k.members = append(k.members, one.unit)
}

// traits is what the record knows of a peer, but for the crowd in its block.
func (p *peers) traits(r *Rules, one peer) Traits {
	place, known := p.places.values[one.place], p.knowns.values[one.known]
	t := Traits{
		Agent: p.agents.values[one.agent], PeerID: known.id, ASN: place.asn, Organisation: place.organisation, Country: place.country, Hosting: place.hosting,
		AgentHere: int(one.here), AgentAnywhere: int(one.anywhere),
	}
	if known.block > 1 {
		t.Address = r.blocks()[known.block-2].Addr()
	}
	if known.protocol != "" {
		t.Protocols = []string{known.protocol}
	}
	return t
}

// countAgents counts for each peer those of its agent in its AS and anywhere.
func (p *peers) countAgents() {
	asn := func(one peer) uint32 { return p.places.values[one.place].asn }
	slices.SortFunc(p.all, func(a, b peer) int { return cmp.Or(cmp.Compare(a.agent, b.agent), cmp.Compare(asn(a), asn(b))) })
	for everywhere := range runs(p.all, func(a, b peer) bool { return a.agent == b.agent }) {
		anywhere := p.atOnce(everywhere)
		for some := range runs(everywhere, func(a, b peer) bool { return asn(a) == asn(b) }) {
			here := p.atOnce(some)
			for i := range some {
				some[i].here, some[i].anywhere = int32(here), int32(anywhere)
			}
		}
	}
}

// together is how many siblings came and went as one: they answered in the same
// crawls, of 3 or more, and not in all.
func (p *peers) together(same []peer) int {
	in := 0
	for range p.seen(same[0]) {
		in++
	}
	if p.crawls < 3 || in == p.crawls {
		return 0
	}
	return len(same)
}

// mostPorts is how many ports a pattern is looked for in.
const mostPorts = 256

// unusual are the unusual ports of siblings.
func unusual(siblings []peer) (ports []uint16) {
	for _, one := range siblings {
		if one.port != 0 && len(ports) < mostPorts {
			ports = append(ports, one.port)
		}
	}
	return ports
}

// pattern is how many of some ports are one, or follow each other without a
// gap, whichever is more. It changes their order.
func pattern(ports []uint16) (most int) {
	slices.Sort(ports)
	for same := range runs(ports, func(a, b uint16) bool { return a == b }) {
		most = max(most, len(same))
	}
	for row := range runs(slices.Compact(ports), func(a, b uint16) bool { return b == a+1 }) {
		most = max(most, len(row))
	}
	return most
}

// runs yields the parts of a list in which each is like the one before.
func runs[T any](list []T, alike func(a, b T) bool) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for start, end := 0, 0; start < len(list); start = end {
			for end = start + 1; end < len(list) && alike(list[end-1], list[end]); {
				end++
			}
			if !yield(list[start:end]) {
				return
			}
		}
	}
}
