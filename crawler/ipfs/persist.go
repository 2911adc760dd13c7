package ipfs

import (
	"context"
	"time"
)

// A peer may have very many addresses, most of them dead: each restart behind
// an address translation can leave one. All are dialled before it is said that
// the peer is not there. But a liar can invent as many, for as many peers as it
// likes, so that beyond the first few addresses a visit goes on only in one of
// few places, in the first pass only if one is free, and all such visits
// together for a bounded time: ten minutes with every place taken all the time.
const (
	firstDials    = 16               // addresses dialled in a visit before it needs such a place
	persistent    = 64               // places
	persistFor    = 90 * time.Second // after which no further address is dialled in one visit
	persistBudget = persistent * 10 * time.Minute
)

// persist dials the rest of a peer's addresses, if it may go on with that now.
// What it does not come to is left for the second visit.
func (v *visit) persist(ctx context.Context, rest []candidate) error {
	load := v.s.w.load
	if !load.budgeted(0) {
		return nil
	}
	if v.again {
		if !enter(ctx, load.persisting) {
			return nil
		}
	} else {
		select {
		case load.persisting <- struct{}{}:
		default:
			return nil
		}
	}
	began := time.Now()
	defer func() {
		load.budgeted(time.Since(began))
		leave(load.persisting)
	}()
	if !load.budgeted(0) || !enter(ctx, load.sockets) {
		return nil
	}
	defer leave(load.sockets)
	limit := v.patience()
	limit.begin = persistFor
	return v.dial(ctx, v.take(rest), limit)
}

// budgeted notes time that a visit spent on the rest of a peer's addresses, and
// says whether there is some left.
func (l *load) budgeted(spent time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.persisted += spent
	return l.persisted < persistBudget
}
