package crawler

import (
	"net/netip"
	"sync"
	"time"
)

// Rate is a long-run rate with a burst on top. The zero value is no limit.
type Rate struct {
	PerSecond float64 `json:"per_second"`
	Burst     int     `json:"burst"`
}

// Pace limits what a walk sends, so that neither a busy host nor a victim that
// a lying peer points us at gets more than a trickle.
type Pace struct {
	PerAddress Rate `json:"per_address"`
	PerPrefix  Rate `json:"per_prefix"` // per /24 in IPv4, per /56 in IPv6
	Global     Rate `json:"global"`     // reached by doubling from slowStart every second
}

// DefaultPace is what a public network may be asked at: libtorrent bans an
// address for five minutes after some 50 messages in ten seconds.
func DefaultPace() Pace {
	return Pace{
		PerAddress: Rate{PerSecond: 2, Burst: 8},
		PerPrefix:  Rate{PerSecond: 64, Burst: 256},
		Global:     Rate{PerSecond: 5000, Burst: 500},
	}
}

const (
	slowStart = 500.0 // queries per second in the first second of a walk
	purgeFrom = 1 << 16
)

// Pacer books queries under a Pace. It keeps, for each address and prefix, the
// time at which its bucket is empty again (the generic cell rate algorithm),
// and forgets those whose time has passed. It is safe for concurrent use.
type Pacer struct {
	pace Pace

	mu       sync.Mutex
	started  time.Time
	global   int64
	address  map[[16]byte]int64 // theoretical arrival time in Unix nanoseconds
	prefix   map[[16]byte]int64
	purgeLen int
}

// NewPacer returns a pacer whose slow start begins with its first query.
func NewPacer(p Pace) *Pacer {
	return &Pacer{pace: p, address: map[[16]byte]int64{}, prefix: map[[16]byte]int64{}, purgeLen: purgeFrom}
}

// Take books one query to addr at time now and returns 0, or books nothing and
// returns how long to wait before asking again.
func (p *Pacer) Take(addr netip.Addr, now time.Time) time.Duration {
	addr = addr.Unmap()
	host, block := addr.As16(), prefixOf(addr).As16()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.IsZero() {
		p.started = now
	}
	t := now.UnixNano()
	global := p.ramp(now)
	wait := max(
		p.pace.PerAddress.wait(p.address[host], t),
		p.pace.PerPrefix.wait(p.prefix[block], t),
		global.wait(p.global, t),
	)
	if wait > 0 {
		return time.Duration(wait)
	}
	book(p.address, host, p.pace.PerAddress, t)
	book(p.prefix, block, p.pace.PerPrefix, t)
	p.global = global.next(p.global, t)
	if len(p.address)+len(p.prefix) > p.purgeLen {
		p.purge(t)
	}
	return 0
}

// ramp is the global rate allowed at time now.
func (p *Pacer) ramp(now time.Time) Rate {
	g := p.pace.Global
	if g.PerSecond <= slowStart {
		return g
	}
	if seconds := int(now.Sub(p.started) / time.Second); seconds < 20 {
		g.PerSecond = min(g.PerSecond, slowStart*float64(int(1)<<max(seconds, 0)))
	}
	return g
}

func (p *Pacer) purge(t int64) {
	for _, m := range []map[[16]byte]int64{p.address, p.prefix} {
		for k, empty := range m {
			if empty <= t {
				delete(m, k)
			}
		}
	}
	p.purgeLen = max(purgeFrom, 2*(len(p.address)+len(p.prefix)))
}

func book(m map[[16]byte]int64, key [16]byte, r Rate, t int64) {
	if r.PerSecond > 0 {
		m[key] = r.next(m[key], t)
	}
}

func (r Rate) interval() int64 { return int64(float64(time.Second) / r.PerSecond) }

// wait is how long until one more query fits into a bucket that is empty at
// time empty.
func (r Rate) wait(empty, t int64) int64 {
	if r.PerSecond <= 0 {
		return 0
	}
	return max(0, empty-int64(max(r.Burst, 1)-1)*r.interval()-t)
}

func (r Rate) next(empty, t int64) int64 {
	if r.PerSecond <= 0 {
		return 0
	}
	return max(empty, t) + r.interval()
}

func prefixOf(a netip.Addr) netip.Addr {
	bits := 24
	if a.Is6() {
		bits = 56
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return a
	}
	return p.Addr()
}
