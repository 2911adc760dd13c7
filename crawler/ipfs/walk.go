package ipfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"canopy/crawler/observation"
)

const (
	// waitingVisits bounds the visits that wait for the pacer: a host with
	// hundreds of peers must not hold up the others.
	waitingVisits = 4096
	// A shortage of our own is waited out. After some minutes without a
	// descriptor nothing of ours will end it; other shortages are given up
	// earlier, since an odd address can look like one.
	shortageWait    = 100 * time.Millisecond
	shortageTries   = 10
	descriptorTries = 100
)

// walk is one Walk under way.
type walk struct {
	w       *Walker
	once    bool // no second visits follow
	results chan<- []observation.Result[Peer]
	begun   chan struct{} // one for each visit
	dialing chan struct{} // one for each visit that is past the pacer
	fail    context.CancelCauseFunc
}

func newWalk(w *Walker, results chan<- []observation.Result[Peer]) *walk {
	return &walk{
		w: w, results: results,
		begun: make(chan struct{}, waitingVisits+w.cfg.Visits), dialing: make(chan struct{}, w.cfg.Visits),
	}
}

func (s *walk) run(ctx context.Context, targets <-chan []Peer) error {
	ctx, s.fail = context.WithCancelCause(ctx)
	defer s.fail(nil)
	go s.w.load.watch(ctx)
	var visits sync.WaitGroup
	for open := true; open; {
		select {
		case <-ctx.Done():
			open = false
		case batch, more := <-targets:
			open = more
			for _, p := range batch {
				at := s.admit(ctx)
				if at == nil {
					break
				}
				visits.Go(func() {
					defer leave(s.begun)
					defer at.leave()
					s.deliver(ctx, &visit{s: s, peer: p, place: at})
				})
			}
		}
	}
	visits.Wait()
	var broken *brokenError
	if errors.As(context.Cause(ctx), &broken) {
		return broken
	}
	return nil
}

// admit waits until another visit may begin, nil when ctx ends first.
func (s *walk) admit(ctx context.Context) *place {
	if !enter(ctx, s.begun) {
		return nil
	}
	return s.w.load.acquire(ctx)
}

func (s *walk) deliver(ctx context.Context, v *visit) {
	if err := v.run(ctx); err != nil {
		s.fail(&brokenError{err})
	}
	if ctx.Err() != nil {
		return
	}
	r := v.result
	s.w.cfg.Logger.Debug("visit", "peer", r.Visit.PeerID, "outcome", r.Visit.Outcome, "address", r.Visit.Address, "detail", r.Visit.Detail)
	select {
	case s.results <- []observation.Result[Peer]{r}:
	case <-ctx.Done():
	}
}

// brokenError ends a walk that cannot measure any more.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// contact dials the candidates and talks to the peer, and settles the visit
// unless ctx ends before.
func (v *visit) contact(ctx context.Context, list []candidate) error {
	if len(list) == 0 || !v.pace(ctx, list[0]) || !enter(ctx, v.s.dialing) {
		return nil
	}
	defer leave(v.s.dialing)
	load := v.s.w.load
	if !enter(ctx, load.sockets) {
		return nil
	}
	defer leave(load.sockets)
	return v.dial(ctx, list, v.patience())
}

// dial does what contact says once it is the visit's turn. Shortages of this
// machine are waited out.
func (v *visit) dial(ctx context.Context, list []candidate, limit patience) error {
	for try := 1; ; try++ {
		short := v.once(ctx, list, limit)
		if short == nil || ctx.Err() != nil {
			return nil
		}
		if !errors.Is(short, syscall.EMFILE) && !errors.Is(short, syscall.ENFILE) {
			if try == shortageTries {
				return nil
			}
		} else if try == descriptorTries {
			return fmt.Errorf("dial peers: %w: allow more open files (ulimit -n) or lower the number of visits", short)
		}
		v.s.w.load.starve()
		v.s.w.cfg.Logger.Warn("wait for a free descriptor or port", "error", short)
		if !sleep(ctx, min(time.Duration(try)*shortageWait, 3*time.Second)) {
			return nil
		}
	}
}

// once makes one try and settles the visit. When limits of this machine stood
// in the way and nobody answered, it returns that error.
func (v *visit) once(ctx context.Context, list []candidate, limit patience) (short error) {
	l, failed := v.s.w.dialer.race(ctx, v.peer, list, &v.booked, v.place, limit)
	if l != nil {
		v.alive, v.reached = true, true
		v.talk(ctx, l)
		return nil
	}
	v.failed = append(v.failed, failed...)
	v.alive = v.alive || slices.ContainsFunc(failed, stood)
	v.settle(judge(v.failed))
	for _, a := range failed {
		if ours(a) {
			return a.err
		}
	}
	return nil
}

// patience is how long the addresses may be silent in this visit. The two visits
// of a silent peer share the dial time-out: the first outlasts a lost SYN, which
// is sent again after 1 s, the second a SYN lost twice, sent again after 3 s.
// What is left makes up for what falls between the two. Who takes our connection
// in a last visit gets as long for the handshake as for a reply: js-libp2p too
// waits 10 s for it.
func (v *visit) patience() patience {
	all := v.s.w.cfg.DialTimeout
	handshake := max(all, v.s.w.cfg.RequestTimeout)
	switch {
	case v.s.once:
		return patience{answer: all, handshake: handshake}
	case v.again:
		return patience{answer: all * 7 / 12, handshake: handshake}
	default:
		return patience{answer: all / 3, handshake: all / 3}
	}
}

// pace waits until the host of c may be contacted.
func (v *visit) pace(ctx context.Context, c candidate) bool {
	for {
		wait := v.booked.book(v.s.w.cfg.Pacer, c.addr.Addr())
		if wait <= 0 {
			return true
		}
		v.place.leave()
		if !sleep(ctx, wait) {
			return false
		}
	}
}

func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func leave(places chan struct{}) { <-places }

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
