package clearcut

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The kinds of holders of peers.
const (
	ByOperator     = "operator" // who runs it, by name
	ByOrganisation = "organisation"
	ByCountry      = "country"
	ByHosting      = "hosting"
)

// Kinds lists the kinds of holders.
func Kinds() []string { return []string{ByOperator, ByOrganisation, ByCountry, ByHosting} }

// holder is who holds the peer, empty when nobody is known.
func (p *Peer) holder(kind string) string {
	switch kind {
	case ByOrganisation:
		return p.Organisation
	case ByCountry:
		return p.Country
	case ByHosting:
		return p.Hosting
	}
	return p.Holder
}

// Holder is one of those who hold living peers.
type Holder struct {
	Name  string `json:"name"`
	Peers int    `json:"peers"` // living ones
}

// Holders counts the living peers of each holder of a kind, the largest first.
func (g *Graph) Holders(kind string) []Holder {
	counts := map[string]int{}
	for _, i := range g.up {
		if name := g.peers[i].holder(kind); name != "" {
			counts[name]++
		}
	}
	list := make([]Holder, 0, len(counts))
	for name, n := range counts {
		list = append(list, Holder{name, n})
	}
	slices.SortFunc(list, func(a, b Holder) int { return cmp.Or(cmp.Compare(b.Peers, a.Peers), cmp.Compare(a.Name, b.Name)) })
	return list
}

// wanted is a list of names of one kind of holder.
type wanted struct {
	kind  string
	names []string
	also  func(*Peer) string // another trait that a name may be
}

func (r Removal) wanted() []wanted {
	return []wanted{
		{ByOperator, r.Operators, func(p *Peer) string { return p.Operator }},
		{ByOrganisation, r.Organisations, nil},
		{ByCountry, r.Countries, nil},
		{ByHosting, r.Hosting, nil},
	}
}

// mark marks all peers of the names that a removal lists, living or not.
// Capitals do not matter. A name that nobody has is an error that says which
// are like it.
func (g *Graph) mark(r Removal) (removed []bool, names []string, err error) {
	removed = make([]bool, len(g.peers))
	for _, w := range r.wanted() {
		for _, name := range w.names {
			found := false
			for _, i := range g.up {
				p := &g.peers[i]
				if strings.EqualFold(p.holder(w.kind), name) || w.also != nil && strings.EqualFold(w.also(p), name) {
					removed[i], found = true, true
				}
			}
			if !found {
				return nil, nil, g.unknown(w.kind, name)
			}
			names = append(names, name)
		}
	}
	return removed, names, nil
}

// unknown says that nobody has a name, and who is like it.
func (g *Graph) unknown(kind, name string) error {
	var names []string
	for _, h := range g.Holders(kind) {
		names = append(names, h.Name)
	}
	if len(names) == 0 {
		return fmt.Errorf("no living peer of the crawl has a known %s", kind)
	}
	for i, n := range names {
		names[i] = fmt.Sprintf("%q", n)
	}
	return fmt.Errorf("no living peer of the crawl has the %s %q; nearest are %s", kind, name, strings.Join(nearest(name, names), ", "))
}
