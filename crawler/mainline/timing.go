package mainline

import (
	"sync"
	"time"
)

// rtt estimates how long to wait for a reply from the round trips of the walk
// so far, in the manner of RFC 6298. A walk has thousands of samples in one
// round trip from as many hosts, so the gains are smaller than in TCP, as RFC
// 7323 (appendix G) advises.
type rtt struct {
	low, high      time.Duration
	smooth, spread time.Duration
}

const (
	smoothGain = 32
	spreadGain = 16
	firstWait  = 2 * time.Second
)

// sample takes in one round trip of a query that was sent once only (Karn).
func (r *rtt) sample(d time.Duration) {
	if r.smooth == 0 {
		r.smooth, r.spread = d, d/2
		return
	}
	r.spread += ((d - r.smooth).Abs() - r.spread) / spreadGain
	r.smooth += (d - r.smooth) / smoothGain
}

// timeout is how long to wait for a reply.
func (r *rtt) timeout() time.Duration {
	wait := firstWait
	if r.smooth != 0 {
		wait = r.smooth + 4*r.spread
	}
	return min(max(wait, r.low), r.high)
}

// pulse is an rtt that several lookups learn from and go by.
type pulse struct {
	mu  sync.Mutex
	rtt rtt
}

func newPulse(cfg *Config) *pulse { return &pulse{rtt: rtt{low: cfg.MinTimeout, high: cfg.MaxTimeout}} }

func (p *pulse) sample(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rtt.sample(d)
}

func (p *pulse) timeout() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rtt.timeout()
}

// soon is the time in which most replies come that come at all: a quarter of
// the time-out, or more where round trips are long.
func (p *pulse) soon() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.rtt.timeout()/4, min(p.rtt.smooth+2*p.rtt.spread, p.rtt.high))
}

// agenda holds what waits for a time: a binary heap, earliest first.
type agenda[T any] []appointment[T]

type appointment[T any] struct {
	at   time.Duration // since the walk began
	what T
}

func (a *agenda[T]) push(at time.Duration, what T) {
	h := append(*a, appointment[T]{at, what})
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].at <= h[i].at {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
	*a = h
}

// pop takes out the earliest that is due.
func (a *agenda[T]) pop(now time.Duration) (what T, ok bool) {
	h := *a
	if len(h) == 0 || h[0].at > now {
		return what, false
	}
	what = h[0].what
	h[0] = h[len(h)-1]
	h = h[:len(h)-1]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h[c].at < h[least].at {
				least = c
			}
		}
		if least == i {
			break
		}
		h[least], h[i] = h[i], h[least]
		i = least
	}
	*a = h
	return what, true
}
