package mainline

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// A peer that invents neighbours can name one address under endless IDs. The
// pace protects that address, and what follows protects the walk: only a few
// visits to one address hold slots at the same time, the others are parked,
// the longer the more there are, and after Config.MaxPerAddress no more are
// taken at all, nor after Config.MaxPerBlock to one /24. In IPv6 a /64 counts as
// one address, since whoever has one address has them all, and a /56 as a
// block. Addresses are counted by their hash in tables of fixed
// size; when two share a cell, both merely wait a little longer.

const (
	crowdCells  = 1 << 14
	visitCells  = 1 << 20
	maxTogether = 32 // visits to one address that hold slots at the same time
	longestPark = 30 * time.Second
	parkFactor  = 64 // peers parked at most, for each slot
)

// crowd counts the visits to one address.
type crowd struct{ inside, parked int32 }

// cell is where an address is counted in a table of n cells, a power of two.
func cell(p Peer, n int) int {
	count := p.addr[:]
	if p.family() == ipv6 {
		count = count[:8]
	}
	return int(maphash.Bytes(seed, count)) & (n - 1)
}

// blockCell is where the block of an address is counted.
func blockCell(p Peer, n int) int {
	count := p.addr[:15]
	if p.family() == ipv6 {
		count = count[:7]
	}
	return int(maphash.Bytes(seed, count)) & (n - 1)
}

// fill begins visits while there is room: first those that were parked.
func (l *loop) fill() {
	for l.underway < l.window && !l.free.empty() && l.putOff < patience {
		p, parked := l.parked.pop(l.now)
		if !parked {
			var more bool
			if p, more = l.target(); !more {
				return
			}
		}
		c := &l.crowds[cell(p, crowdCells)]
		if parked {
			c.parked--
		}
		if wait := l.admit(p, c); wait > 0 {
			c.parked++
			l.putOff++
			l.parked.push(l.now+wait, p)
			continue
		}
		i := l.free.take()
		l.visits[i].begin(p, l.mode, randomID)
		l.visits[i].plan.within(l.cfg.Zone)
		l.active++
		c.inside++
		l.ask(i)
	}
}

// admit books the first query to p, or tells how long to park it.
func (l *loop) admit(p Peer, c *crowd) time.Duration {
	wait := 4 * tick
	if c.inside < maxTogether {
		wait = l.leave(p.Addr().Addr())
	}
	return min(wait*time.Duration(1+c.parked), longestPark)
}

// leave books one query to addr, or tells when to ask again.
func (l *loop) leave(addr netip.Addr) time.Duration {
	if l.cfg.Pacer == nil {
		return 0
	}
	return l.cfg.Pacer.Take(addr, l.began.Add(l.now))
}

// target takes the next peer that was never looked at, unless too many are
// parked already.
func (l *loop) target() (Peer, bool) {
	if len(l.parked) >= parkFactor*len(l.visits) {
		return Peer{}, false
	}
	if len(l.pending) == 0 {
		select {
		case batch, ok := <-l.targets:
			if !ok {
				l.targets = nil
			}
			l.pending = batch
		default:
		}
	}
	if len(l.pending) == 0 {
		return Peer{}, false
	}
	p := l.pending[0]
	l.pending = l.pending[1:]
	return p, true
}

// census counts visits by address and by block over one walk.
type census struct {
	addresses, blocks    []uint16
	perAddress, perBlock int
}

func newCensus(cfg *Config) *census {
	return &census{make([]uint16, visitCells), make([]uint16, visitCells), cfg.MaxPerAddress, cfg.MaxPerBlock}
}

// admits counts one more visit to p, and tells whether it is within bounds.
func (c *census) admits(p Peer) bool {
	address, block := &c.addresses[cell(p, visitCells)], &c.blocks[blockCell(p, visitCells)]
	if int(*address) >= c.perAddress || int(*block) >= c.perBlock {
		return false
	}
	*address++
	*block++
	return true
}
