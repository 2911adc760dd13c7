package clearcut

import (
	"net/netip"

	"canopy/analysis/operator"
)

// beside is who stands together: of one agent, in one block, in one AS. Parts
// that do not matter are zero.
type beside struct {
	agent string
	block netip.Prefix
	asn   uint32
	kind  uint8
}

// crowds are those that a peer belongs to: of its agent in its block, all in
// its block, of its agent in its AS, and of its agent anywhere.
func crowds(t operator.Traits) [4]beside {
	bits := 56
	if t.Address.Is4() {
		bits = 24
	}
	block, _ := t.Address.Prefix(bits) // zero where there is no address
	return [4]beside{{t.Agent, block, 0, 0}, {"", block, 0, 1}, {t.Agent, netip.Prefix{}, t.ASN, 2}, {t.Agent, netip.Prefix{}, 0, 3}}
}

// judge says who runs each peer that answered, by the rules and by who stands
// beside it in this crawl.
func (l *loader) judge() {
	counts := map[beside]int{}
	for i, t := range l.traits {
		if l.list[i].Up {
			for _, c := range crowds(t) {
				counts[c]++
			}
		}
	}
	for i, t := range l.traits {
		p := &l.list[i]
		if !p.Up {
			continue
		}
		c := crowds(t)
		t.Siblings, t.Neighbourhood, t.AgentHere, t.AgentAnywhere = counts[c[0]], counts[c[1]], counts[c[2]], counts[c[3]]
		v := l.rules.Judge(t)
		p.Operator, p.Holder = string(v.Operator), v.Name
	}
}
