package chdb

import (
	"context"
	"errors"
	"time"
)

// lanes keep a few clients with long queries from stopping the others. Every
// query begins in the fast lane. One that is still there when it should have
// ended moves to the slow lane; when that is full, it goes on only until
// another query wants its place.
type lanes struct {
	fast, slow chan struct{} // a token for each query in it
	wanted     chan struct{} // a newcomer sends, a query that is overdue receives, and ends
	waiting    chan struct{} // a token for each newcomer
}

const (
	fastQueries    = 4
	slowQueries    = 4
	waitingQueries = 64
	overdueAfter   = time.Second / 2
	patience       = 10 * time.Second // of newcomers
)

// errOvertaken ends a long query for the sake of others.
var errOvertaken = errors.New("overtaken")

func newLanes() *lanes {
	return &lanes{
		fast: make(chan struct{}, fastQueries), slow: make(chan struct{}, slowQueries),
		wanted: make(chan struct{}), waiting: make(chan struct{}, waitingQueries),
	}
}

// run calls f in a lane.
func (l *lanes) run(ctx context.Context, f func(ctx context.Context) error) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	done := make(chan struct{})
	left := make(chan struct{})
	go func() {
		defer close(left)
		l.watch(done, end)
	}()
	err := f(ctx)
	close(done)
	<-left
	if errors.Is(context.Cause(ctx), errOvertaken) && err != nil {
		return busy("as many long queries as may run at once are running, and others wait: ask for less, or come back later")
	}
	return err
}

func (l *lanes) enter(ctx context.Context) error {
	select {
	case l.waiting <- struct{}{}:
	default:
		return busy("%d queries wait already: come back later", waitingQueries)
	}
	defer func() { <-l.waiting }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	again := time.NewTicker(overdueAfter)
	defer again.Stop()
	for wanted := l.wanted; ; {
		select {
		case l.fast <- struct{}{}:
			return nil
		default:
		}
		select {
		case l.fast <- struct{}{}:
			return nil
		case wanted <- struct{}{}:
			wanted = nil // one query ends for one newcomer
		case <-again.C:
			wanted = l.wanted
		case <-timer.C:
			return busy("no query has ended for %s: come back later", patience)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch has a query's place in a lane until done is closed, and ends it if that
// place is wanted.
func (l *lanes) watch(done <-chan struct{}, end context.CancelCauseFunc) {
	lane := l.fast
	defer func() { <-lane }()
	overdue := time.NewTimer(overdueAfter)
	defer overdue.Stop()
	select {
	case <-done:
		return
	case <-overdue.C:
	}
	select {
	case l.slow <- struct{}{}: // rather than to end, if others want the place
		<-l.fast
		lane = l.slow
		<-done
		return
	default:
	}
	select {
	case l.slow <- struct{}{}:
		<-l.fast
		lane = l.slow
	case <-l.wanted:
		end(errOvertaken)
	case <-done:
		return
	}
	<-done
}
