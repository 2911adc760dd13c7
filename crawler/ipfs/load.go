package ipfs

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"
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
	waiting  []chan struct{}
	lag      time.Duration // smoothed lateness of the tick
	peak     time.Duration
	doubtful map[Peer]bool // silent while we were behind
	starved  int           // dials that our own limits prevented
}

func newLoad(visits int) *load {
	return &load{limit: min(firstActive, visits), most: min(visits, 512), doubtful: make(map[Peer]bool)}
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
	l.peak = max(l.peak, late)
	switch {
	case late > hardLag:
		l.limit = max(l.limit-l.limit/4, min(leastActive, l.most))
	case late < easyLag && l.active >= l.limit && l.limit < l.most:
		l.limit++
	}
	l.admit()
}

func (l *load) admit() {
	for l.active < l.limit && len(l.waiting) > 0 {
		l.active++
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
	}
}

// acquire waits for a place among the active visits. The place that it returns
// may be given back more than once. It returns nil when ctx ends first.
func (l *load) acquire(ctx context.Context) (release func()) {
	admitted := make(chan struct{})
	l.mu.Lock()
	l.waiting = append(l.waiting, admitted)
	l.admit()
	l.mu.Unlock()
	release = sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.active--
		l.admit()
	})
	select {
	case <-admitted:
		return release
	case <-ctx.Done():
		go func() { // the walk ends: whoever admits us later gets the place back
			<-admitted
			release()
		}()
		return nil
	}
}

// stretch lengthens a time-out by how late this machine runs us: a wait that
// we could not attend to is not the peer's silence.
func (l *load) stretch(d time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return d * time.Duration(1000*l.factor()) / 1000
}

// factor is 1 on an idle machine and grows to maxStretch as the scheduler
// falls behind by hundreds of milliseconds.
func (l *load) factor() float64 {
	return min(maxStretch, 1+float64(max(0, l.lag-easyLag))/float64(hardLag))
}

func (l *load) afterFunc(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(l.stretch(d), f)
}

// ended notes how a visit went: a peer that was silent while we were behind is
// in doubt until it answers.
func (l *load) ended(p Peer, silent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if silent && l.lag > hardLag {
		l.doubtful[p] = true
	} else {
		delete(l.doubtful, p)
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
			"%d peers were silent while this machine was overloaded (scheduled up to %s late) and may be alive", n, l.peak.Round(time.Millisecond)))
		degraded = true
	}
	if l.starved > 0 {
		notes = append(notes, fmt.Sprintf("%d dials had to wait for a free file descriptor or port of this machine", l.starved))
	}
	return degraded, notes
}

// reserve is how many descriptors are left to everything that is not a visit.
const reserve = 64

// visitsFor returns how many visits the descriptors of this process allow, of
// want at most. A visit holds two at worst: a connection, and a socket that
// waits for an ICMP error.
func visitsFor(want int) int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return want
	}
	spare := max(int(min(r.Cur, 1<<20))-reserve, 8)
	return min(want, max(spare/3, 4))
}
