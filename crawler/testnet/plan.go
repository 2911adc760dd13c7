package testnet

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Plan is a network with known truth. It never changes once made; all of it
// may be read by many at once.
type Plan struct {
	Network    string
	K          int
	Seed       uint64
	Size       Size
	Nodes      []Node // living ones first, then the dead
	Bootstraps []int  // numbers of nodes that are always up, a persona each

	personas []Persona
	slots    int
	slot     func(Node) int
	order    []uint32 // numbers by key
	places   []uint64 // first 64 bits of every node's key, by number
}

// MaxBootstraps is the number of bootstrap nodes in a plan that is large enough.
const MaxBootstraps = 3

// New plans a network. The same arguments give the same plan.
func New(pop Population, size Size, seed uint64) (*Plan, error) {
	if err := size.check(); err != nil {
		return nil, err
	}
	if size.Port == 0 {
		size.Port = pop.Port
	}
	p := &Plan{Network: pop.Network, K: pop.K, Seed: seed, Size: size, slots: pop.Slots, slot: pop.Slot}
	p.personas = slices.Clone(pop.Personas)
	dead := int(math.Round(float64(size.Nodes) * size.Dead / (1 - size.Dead)))
	p.Nodes = make([]Node, 0, size.Nodes+dead)
	used := make([]int, len(p.personas))
	for i, count := range apportion(p.personas, size.Nodes) {
		p.add(i, count, &used[i], false)
	}
	for i, count := range apportion(p.personas, dead) {
		p.add(i, count, &used[i], true)
	}
	for i := range p.personas {
		if per := &p.personas[i]; used[i] > per.capacity() {
			return nil, fmt.Errorf("plan network: %s has room for %d nodes, not %d: ask for fewer nodes", per.Land.Prefix, per.capacity(), used[i])
		}
	}
	p.chooseBootstraps()
	p.chooseReal(pop)
	for i := range p.Nodes {
		n := &p.Nodes[i]
		if n.Real && pop.RealAgent != nil {
			n.Agent = *pop.RealAgent
		}
		n.Key, n.ID = pop.Identity(seed, i)
		n.Address = netip.AddrPortFrom(n.Address.Addr(), size.Port+uint16(pop.Slot(*n)))
	}
	return p, p.sort()
}

func (s Size) check() error {
	switch {
	case s.Nodes < 1 || s.Nodes > 4_000_000:
		return fmt.Errorf("plan network: %d nodes: ask for 1 to 4,000,000", s.Nodes)
	case s.Real < 0 || s.Real > s.Nodes:
		return fmt.Errorf("plan network: %d real nodes of %d: ask for at most as many", s.Real, s.Nodes)
	case !(s.Dead >= 0 && s.Dead <= 0.9):
		return fmt.Errorf("plan network: share of dead entries %g: ask for 0 to 0.9", s.Dead)
	case s.Horizon <= 0 || s.Horizon > forever/4:
		return fmt.Errorf("plan network: horizon %s: ask for a positive time", s.Horizon)
	}
	return nil
}

// apportion splits n by share with largest remainders; earlier personas win
// ties.
func apportion(personas []Persona, n int) []int {
	total := 0.0
	for _, p := range personas {
		total += p.Share
	}
	counts := make([]int, len(personas))
	rest := n
	remainder := make([]float64, len(personas))
	order := make([]int, len(personas))
	for i, p := range personas {
		exact := float64(n) * p.Share / total
		counts[i] = int(exact)
		remainder[i] = exact - float64(counts[i])
		rest -= counts[i]
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainder[b], remainder[a]) })
	for _, i := range order[:rest] {
		counts[i]++
	}
	return counts
}

// add appends count nodes of a persona. Each node's draws depend on seed and
// number alone.
func (p *Plan) add(persona, count int, used *int, dead bool) {
	per := &p.personas[persona]
	for range count {
		number := len(p.Nodes)
		rng := rand.New(rand.NewPCG(p.Seed, uint64(number)))
		n := Node{Number: number, Persona: per}
		if *used < per.capacity() {
			n.Address = netip.AddrPortFrom(per.address(*used), 0)
		}
		*used++
		n.Agent = pickAgent(per.Agents, rng.Float64())
		switch {
		case !dead:
			n.Sessions = per.Churn.sessions(rng, p.Size.Horizon)
		case number%2 == 0:
			n.Life = Refused
		default:
			n.Life = Silent
		}
		p.Nodes = append(p.Nodes, n)
	}
}

func pickAgent(agents []Agent, u float64) Agent {
	total := 0.0
	for _, a := range agents {
		total += a.Weight
	}
	u *= total
	for _, a := range agents {
		if u -= a.Weight; u < 0 {
			return a
		}
	}
	return agents[len(agents)-1]
}

// chooseBootstraps takes the first node of each persona that is always up. A
// plan too small to have one keeps its first node up instead.
func (p *Plan) chooseBootstraps() {
	seen := map[*Persona]bool{}
	for i := range p.Nodes[:p.Size.Nodes] {
		n := &p.Nodes[i]
		c := n.Persona.Churn
		if c.Online != 0 || c.Arrival != 0 || seen[n.Persona] {
			continue
		}
		seen[n.Persona] = true
		if p.Bootstraps = append(p.Bootstraps, i); len(p.Bootstraps) == MaxBootstraps {
			return
		}
	}
	if len(p.Bootstraps) == 0 {
		p.Nodes[0].Sessions = []Session{{-p.Size.Horizon, forever}}
		p.Bootstraps = []int{0}
	}
}

// chooseReal spreads the real nodes over all living ones but the bootstraps,
// unless all are real.
func (p *Plan) chooseReal(pop Population) {
	living, count := p.Nodes[:p.Size.Nodes], p.Size.Real
	if pop.AllReal {
		for i := range living {
			living[i].Real = true
		}
		return
	}
	for i := range count {
		for j := i * len(living) / count; j < len(living); j++ {
			if n := &living[j]; !n.Real && !slices.Contains(p.Bootstraps, j) {
				n.Real = true
				break
			}
		}
	}
}

func (p *Plan) sort() error {
	p.order = make([]uint32, len(p.Nodes))
	p.places = make([]uint64, len(p.Nodes))
	for i := range p.Nodes {
		p.order[i] = uint32(i)
		p.places[i] = place(p.Nodes[i].Key)
	}
	slices.SortFunc(p.order, func(a, b uint32) int { return cmp.Compare(p.places[a], p.places[b]) })
	for i := 1; i < len(p.order); i++ {
		if p.places[p.order[i-1]] == p.places[p.order[i]] {
			return errors.New("plan network: two keys share their first 64 bits: use another seed")
		}
	}
	return nil
}

func place(k Key) uint64 { return binary.BigEndian.Uint64(k[:8]) }

// OnPort is the same plan on other ports.
func (p *Plan) OnPort(first uint16) *Plan {
	moved := *p
	moved.Size.Port = first
	moved.Nodes = slices.Clone(p.Nodes)
	for i := range moved.Nodes {
		n := &moved.Nodes[i]
		n.Address = netip.AddrPortFrom(n.Address.Addr(), first+uint16(p.slot(*n)))
	}
	return &moved
}

// AliveAt lists the nodes that are planned to be up at t, by number.
func (p *Plan) AliveAt(t time.Duration) []Node {
	var alive []Node
	for i := range p.Nodes {
		if p.Nodes[i].UpAt(t) {
			alive = append(alive, p.Nodes[i])
		}
	}
	return alive
}
