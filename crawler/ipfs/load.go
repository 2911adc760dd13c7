package ipfs

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"canopy/crawler/observation"
)

const (
	tick         = 20 * time.Millisecond  // how often the scheduler is tested
	easyLag      = 5 * time.Millisecond   // a tick that comes this late is normal
	hardLag      = 40 * time.Millisecond  // one that comes later than this shows that we are behind
	firstActive  = 32                     // peers talked to at once before anything was measured
	leastActive  = 8                      // and at the very least
	refusalDelay = 150 * time.Millisecond // before a QUIC dial asks whether the port is closed
	maxStretch   = 8                      // most that load may lengthen a time-out
)

// load follows how well this machine keeps up and says how much may be under
// way. It tells two things apart: visits, bounded by descriptors, most of which
// wait for peers that are gone; and active visits, those that make progress
// and so use the processor, bounded by how late the scheduler runs us.
type load struct {
	mu       sync.Mutex
	active   int
	limit    int
	most     int
	waiting  []*place
	lag      time.Duration // smoothed lateness of the tick
	worst    time.Duration // the same, slow to forget
	peak     time.Duration // the most ever
	doubtful map[Peer]bool // silent while we were behind
	noRoute6 map[Peer]bool // peers to whose IPv6 addresses there was no route
	route6   bool          // somebody answered over IPv6
	passed   map[Peer]bool // peers with addresses of other transports only
	open     map[Peer]bool // peers that did not answer and have addresses that were not dialled
	starved  int           // dials that our own limits prevented
	sockets  chan struct{} // one for each descriptor in use

	persisting chan struct{} // one for each visit that dials the rest of very many addresses
	persisted  time.Duration // how long that took, of all visits together
}

func newLoad(visits int) *load {
	return &load{
		limit: min(firstActive, visits), most: min(visits, 512), doubtful: make(map[Peer]bool), noRoute6: make(map[Peer]bool), passed: make(map[Peer]bool),
		open: make(map[Peer]bool), persisting: make(chan struct{}, persistent), sockets: make(chan struct{}, spareDescriptors()),
	}
}

// watch measures until ctx ends.
func (l *load) watch(ctx context.Context) {
	t := time.NewTimer(tick)
	defer t.Stop()
	for due := time.Now().Add(tick); ; due = time.Now().Add(tick) {
		t.Reset(tick)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.measured(time.Since(due))
		}
	}
}

// measured adapts the number of active visits to one measurement: up by one
// while the scheduler is prompt and all are in use, down by a quarter when it
// is late.
func (l *load) measured(late time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lag += (max(late, 0) - l.lag) / 8
	l.worst = max(l.lag, l.worst-l.worst/256) // halved in some four seconds, about as long as a dial lasts
	l.peak = max(l.peak, l.lag)
	switch {
	case late > hardLag:
		l.limit = max(l.limit-l.limit/4, min(leastActive, l.most))
	case late < easyLag && l.active >= l.limit && l.limit < l.most:
		l.limit++
	}
	l.admit()
}

// stretch lengthens a time-out by how late this machine runs us: a wait that
// we could not attend to is not the peer's silence.
func (l *load) stretch(d time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return d * time.Duration(1000*l.factor()) / 1000
}

// factor is 1 while the scheduler is behind by less than what matters to a wait
// of seconds, and grows to maxStretch as that becomes hundreds of milliseconds.
func (l *load) factor() float64 {
	return min(maxStretch, 1+float64(max(0, l.worst-hardLag/2))/float64(hardLag))
}

func (l *load) afterFunc(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(l.stretch(d), f)
}

// ended notes how a visit went. A peer that was silent while we were so far
// behind that no longer time-out could make up for it is in doubt until it
// answers. One that had shown a sign of life and then was too slow, or hung up
// on us because we were, is in doubt already when we were plainly behind.
func (l *load) ended(p Peer, o observation.Outcome, addr netip.AddrPort, alive bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.doubtful, p)
	delete(l.noRoute6, p)
	if o != observation.NoAddress {
		delete(l.passed, p)
	}
	switch {
	case o == observation.Timeout && l.factor() >= maxStretch,
		alive && l.worst > hardLag && (o == observation.Timeout || o == observation.Reset):
		l.doubtful[p] = true
	case o == observation.Unreachable && addr.Addr().Is6():
		l.noRoute6[p] = true
	case o == observation.Answered && addr.Addr().Is6():
		l.route6 = true
	}
}

// passedOver notes a peer none of whose addresses is of a transport that is
// dialled.
func (l *load) passedOver(p Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passed[p] = true
}

// untold notes whether it was left open where a peer is, for it did not answer
// and not all of its addresses were dialled.
func (l *load) untold(p Peer, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, p)
	if open {
		l.open[p] = true
	}
}

// starve notes a dial that our own limits prevented.
func (l *load) starve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.starved++
}

func (l *load) health() (degraded bool, notes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.doubtful); n > 0 {
		notes = append(notes, fmt.Sprintf(
			"%d peers did not answer while this machine was overloaded (scheduled up to %s late) and may be alive", n, l.peak.Round(time.Millisecond)))
		degraded = true
	}
	if l.starved > 0 {
		notes = append(notes, fmt.Sprintf("%d dials had to wait for a free file descriptor or port of this machine", l.starved))
	}
	if n := len(l.noRoute6); n > 0 && !l.route6 {
		notes = append(notes, fmt.Sprintf("%d peers are known by IPv6 addresses only, and this machine has no IPv6 route", n))
	}
	if n := len(l.passed); n > 0 {
		notes = append(notes, fmt.Sprintf("%d peers have only addresses that are not dialled (WebTransport, WebRTC)", n))
	}
	if n := len(l.open); n > 0 {
		notes = append(notes, fmt.Sprintf(
			"%d peers answered at none of the addresses that were dialled and have more than could be: they are unclassified and may be alive", n))
	}
	return degraded, notes
}

// reserve is how many descriptors are left to the rest of the program.
const reserve = 48

// spareDescriptors returns how many descriptors the walk may hold at once:
// what the limit of this process leaves, counted when the walk begins.
func spareDescriptors() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return reserve
	}
	used, _ := os.ReadDir("/dev/fd") // none where the system has no such directory
	return max(int(min(r.Cur, 1<<16))-len(used)-reserve, 4)
}

// trySocket takes a descriptor if one is free.
func (l *load) trySocket() bool {
	select {
	case l.sockets <- struct{}{}:
		return true
	default:
		return false
	}
}
