package ipfs

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/transport"

	"canopy/crawler/observation"
)

const (
	stagger      = 250 * time.Millisecond  // until the next address is tried beside a silent one (RFC 8305)
	openStagger  = time.Second             // the same once a transport stands and only the handshake is missing
	refusalGrace = 1500 * time.Millisecond // for QUIC on a host that refuses TCP
	spread       = 4 * time.Second         // in which all addresses are dialled, however many of them are silent
	openSpread   = 16 * time.Second        // the same where transports stand and handshakes do not
	busyHosts    = 8                       // of those that are to be left alone for a while, looked at before we wait
)

// link is an open connection to the peer that was asked for.
type link struct {
	transport.CapableConn
	candidate
	took time.Duration // from the dial to the secured connection
}

// race dials candidates in order, each when those before it failed or kept us
// waiting, until the first connection stands. Each host that is dialled was
// booked with the pacer before; one that must be left alone for a while lets
// others go first. The visit's own descriptor serves one attempt over TCP or
// WebSocket; another beside it needs one more, and without one waits for its
// turn.
type race struct {
	d      *dialer
	peer   Peer
	list   []candidate
	booked *bookings
	place  *place
	limit  patience
	began  time.Time

	next    int
	running map[int]context.CancelCauseFunc
	sockets int // descriptors that attempts hold, the visit's own included
	refused map[netip.Addr]bool
	timer   *time.Timer
	events  chan progress
	failed  []attempt
}

// progress is news of one attempt: its transport stands, or it ended.
type progress struct {
	i    int
	conn transport.CapableConn
	err  error // nil with a nil conn: the transport stands
	took time.Duration
}

// patience is how long the candidates of a race may be silent.
type patience struct {
	answer    time.Duration // all of them together, or half of it each where that is later
	handshake time.Duration // one whose transport stands: somebody is there, if slow
	begin     time.Duration // after which no further one is dialled; zero: never
}

// race returns the first connection that stands, or how each candidate failed.
// Attempts that lose are cancelled and waited for.
func (d *dialer) race(ctx context.Context, p Peer, list []candidate, booked *bookings, at *place, limit patience) (*link, []attempt) {
	r := &race{
		d: d, peer: p, list: list, booked: booked, place: at, limit: limit, began: time.Now(),
		running: make(map[int]context.CancelCauseFunc), refused: make(map[netip.Addr]bool),
		timer: time.NewTimer(0), events: make(chan progress, 2*len(list)), // no attempt ever blocks
	}
	at.progress(dialPatience)
	ctx, cancel := context.WithCancel(ctx)
	won := r.run(ctx)
	cancel()
	for len(r.running) > 0 {
		e := <-r.events
		if e.conn != nil {
			_ = e.conn.Close()
		}
		if e.conn != nil || e.err != nil {
			r.ended(e.i)
		}
	}
	return won, r.failed
}

func (r *race) run(ctx context.Context) *link {
	defer r.timer.Stop()
	for r.next < len(r.list) || len(r.running) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-r.timer.C:
			r.start(ctx)
		case e := <-r.events:
			if e.conn == nil && e.err == nil {
				r.place.progress(talkPatience)
				r.timer.Reset(r.d.load.stretch(min(openStagger, openSpread/time.Duration(len(r.list)))))
				continue
			}
			r.ended(e.i)
			if e.conn != nil {
				r.place.progress(talkPatience)
				return &link{e.conn, r.list[e.i], e.took}
			}
			r.fail(e)
		}
	}
	return nil
}

// ended frees what an attempt held.
func (r *race) ended(i int) {
	r.running[i](nil)
	delete(r.running, i)
	if r.list[i].transport != QUIC {
		if r.sockets--; r.sockets > 0 {
			leave(r.d.load.sockets)
		}
	}
}

// fail notes a failed attempt, and goes on with the next address at once when
// no other is under way.
func (r *race) fail(e progress) {
	c := r.list[e.i]
	a := attempt{candidate: c, outcome: outcomeOf(e.err), err: e.err}
	r.failed = append(r.failed, a)
	if a.outcome == observation.Refused && c.transport == TCP {
		r.refused[c.addr.Addr()] = true
		for i, cancel := range r.running {
			if r.list[i].transport == QUIC && r.list[i].addr.Addr() == c.addr.Addr() {
				r.d.load.afterFunc(refusalGrace, func() { cancel(context.DeadlineExceeded) })
			}
		}
	}
	if len(r.running) == 0 {
		r.timer.Reset(0)
	}
}

// pick moves the next address whose host may be contacted now to the front of
// those that are to come, and books the dial. Otherwise it returns how long to
// wait, or less than zero when there is nothing to wait for.
func (r *race) pick() (wait time.Duration) {
	wait = -1
	var busy []netip.Addr
	for at := r.next; at < len(r.list) && len(busy) < busyHosts; at++ {
		c := r.list[at]
		if slices.Contains(busy, c.addr.Addr()) {
			continue
		}
		next := r.booked.book(r.d.cfg.Pacer, c.addr.Addr())
		if next <= 0 {
			copy(r.list[r.next+1:at+1], r.list[r.next:at])
			r.list[r.next] = c
			return 0
		}
		busy = append(busy, c.addr.Addr())
		if wait < 0 || next < wait {
			wait = next
		}
	}
	return wait
}

// start dials the next address, unless the pacer wants all that are to come
// left alone for a while.
func (r *race) start(ctx context.Context) {
	if r.limit.begin > 0 && time.Since(r.began) > r.limit.begin {
		r.list = r.list[:r.next]
	}
	if wait := r.pick(); wait > 0 {
		r.timer.Reset(wait)
		return
	} else if wait < 0 {
		return
	}
	i, c := r.next, r.list[r.next]
	host := c.addr.Addr()
	if c.transport != QUIC {
		if r.sockets > 0 && !r.d.load.trySocket() {
			r.timer.Reset(stagger)
			return
		}
		r.sockets++
	}
	r.booked.spend(host)
	r.next++
	r.timer.Reset(r.d.load.stretch(min(stagger, spread/time.Duration(len(r.list)))))
	limit := max(r.limit.answer-time.Since(r.began), r.limit.answer/2)
	if c.transport == QUIC && r.refused[host] {
		limit = min(limit, refusalGrace)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r.running[i] = cancel
	silence := r.d.load.afterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	go func() {
		defer silence.Stop()
		dialed := time.Now()
		conn, err := r.d.open(ctx, r.peer, c, func() {
			silence.Reset(r.d.load.stretch(r.limit.handshake))
			r.events <- progress{i: i}
		})
		if err != nil && ctx.Err() != nil {
			err = &silentError{context.Cause(ctx), errors.As(err, new(*handshakeError))}
		}
		r.events <- progress{i, conn, err, time.Since(dialed)}
	}()
}

// silentError is an attempt that ended with its time-out.
type silentError struct {
	cause error
	open  bool // the transport stood
}

func (e *silentError) Unwrap() error { return e.cause }

func (e *silentError) Error() string {
	if e.open {
		return "connected, then silence in the handshake"
	}
	return "no answer"
}

// stood says whether the transport of a failed attempt stood.
func stood(a attempt) bool {
	var silent *silentError
	return errors.As(a.err, &silent) && silent.open || errors.As(a.err, new(*handshakeError))
}
