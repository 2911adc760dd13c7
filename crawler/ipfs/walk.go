package ipfs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"canopy/crawler/observation"
)

// waitingVisits bounds the visits that wait for their turn with the pacer or
// for a descriptor: a host with hundreds of peers must not hold up the others.
const waitingVisits = 4096

// walk is one Walk under way.
type walk struct {
	w      *Walker
	places chan struct{} // one for each visit that is under way
	queue  chan struct{} // one for each visit that was begun
}

func newWalk(w *Walker) *walk {
	return &walk{w: w, places: make(chan struct{}, w.cfg.Visits), queue: make(chan struct{}, waitingVisits)}
}

func (s *walk) run(ctx context.Context, targets <-chan []Peer, results chan<- []observation.Result[Peer]) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	outer := ctx
	var visits sync.WaitGroup
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go s.w.load.watch(watch)
	for open := true; open; {
		select {
		case <-ctx.Done():
			open = false
		case batch, ok := <-targets:
			open = ok
			for _, p := range batch {
				if !enter(ctx, s.queue) {
					break
				}
				visits.Go(func() {
					defer leave(s.queue)
					s.deliver(ctx, p, results, fail)
				})
			}
		}
	}
	visits.Wait()
	var broken *brokenError
	if errors.As(context.Cause(outer), &broken) {
		return broken
	}
	return nil
}

func (s *walk) deliver(ctx context.Context, p Peer, results chan<- []observation.Result[Peer], fail context.CancelCauseFunc) {
	r, ok, err := s.visit(ctx, p)
	if err != nil {
		fail(&brokenError{err})
	}
	if !ok {
		return
	}
	s.w.cfg.Logger.Debug("visit", "peer", r.Visit.PeerID, "outcome", r.Visit.Outcome, "address", r.Visit.Address, "detail", r.Visit.Detail)
	select {
	case results <- []observation.Result[Peer]{r}:
	case <-ctx.Done():
	}
}

// brokenError ends a walk that cannot measure any more.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func leave(places chan struct{}) { <-places }

const (
	shortageWait  = 100 * time.Millisecond
	shortageTries = 100 // in all some minutes: then nothing of ours will end it
)

// contact dials the candidates and talks to the peer, and settles the visit.
// A shortage of our own is waited out.
func (s *walk) contact(ctx context.Context, v *visit, list []candidate) error {
	if len(list) == 0 || !s.pace(ctx, v, list[0]) || !enter(ctx, s.places) {
		return nil
	}
	defer leave(s.places)
	if !s.w.load.enterSocket(ctx) {
		return nil
	}
	defer s.w.load.leaveSocket()
	for try := 1; ; try++ {
		short, err := s.once(ctx, v, list)
		if !short || ctx.Err() != nil {
			return nil
		}
		if try == shortageTries {
			return fmt.Errorf("dial peers: %w: allow more open files (ulimit -n) or lower the number of visits", err)
		}
		s.w.load.starve()
		s.w.cfg.Logger.Warn("wait for a free descriptor or port", "error", err)
		if !sleep(ctx, min(time.Duration(try)*shortageWait, 3*time.Second)) {
			return nil
		}
	}
}

// once makes one try. It returns true and why when our own limits stood in the
// way and nobody answered.
func (s *walk) once(ctx context.Context, v *visit, list []candidate) (short bool, err error) {
	release := s.w.load.acquire(ctx)
	if release == nil {
		return false, nil
	}
	defer release()
	patience := s.w.load.afterFunc(idlePatience, release)
	defer patience.Stop()
	l, failed := s.w.dialer.race(ctx, v.peer, list, v.booked)
	if l != nil {
		v.talk(ctx, l)
		return false, nil
	}
	for _, a := range failed {
		if ours(a.err) {
			return true, a.err
		}
	}
	v.failed = append(v.failed, failed...)
	v.settle(judge(v.failed))
	return false, nil
}

// idlePatience is how long a visit counts as active: one that takes longer is
// waiting for its peer and leaves its place to others.
const idlePatience = 500 * time.Millisecond

// pace waits until the host of c may be contacted.
func (s *walk) pace(ctx context.Context, v *visit, c candidate) bool {
	host := c.addr.Addr()
	for !v.booked[host] {
		wait := s.w.cfg.Pacer.Take(host, time.Now())
		if wait <= 0 {
			v.booked[host] = true
		} else if !sleep(ctx, wait) {
			return false
		}
	}
	return true
}

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
