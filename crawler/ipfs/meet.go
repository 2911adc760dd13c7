package ipfs

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// meet dials a peer once at all of its addresses, for a visit that is no part of
// a walk, and has talk talk to it. The address that is named comes first. How
// that ended is in the visit; the error is a shortage of this machine, or why
// ctx ended.
func (v *visit) meet(ctx context.Context, named netip.AddrPort, limit patience, talk func(*link)) error {
	w := v.s.w
	r := w.plan(ctx, v.peer, v.known)
	defer v.conclude(&r)
	if len(r.candidates) == 0 {
		v.unreachable(&r)
		return context.Cause(ctx)
	}
	if at := slices.IndexFunc(r.candidates, func(c candidate) bool { return c.addr == named }); at > 0 {
		first := r.candidates[at]
		r.candidates = slices.Insert(slices.Delete(r.candidates, at, at+1), 0, first)
	}
	if !v.pace(ctx, r.candidates[0]) || !enter(ctx, w.load.sockets) {
		return context.Cause(ctx)
	}
	defer leave(w.load.sockets)
	v.result.Visit.VisitedAt = time.Now()
	if err := v.greet(ctx, r.candidates, limit, talk); err != nil || v.reached {
		return err
	}
	return v.greet(ctx, w.fallBack(ctx, &r, v.peer, v.failed), limit, talk)
}

// greet dials candidates and talks to the peer where it is.
func (v *visit) greet(ctx context.Context, list []candidate, limit patience, talk func(*link)) error {
	if len(list) == 0 {
		return nil
	}
	v.offered = append(v.offered, list...)
	l, failed := v.s.w.dialer.race(ctx, v.peer, list, &v.booked, v.place, limit)
	v.failed = append(v.failed, failed...)
	if l == nil {
		v.settle(judge(v.failed))
		for _, a := range failed {
			if ours(a) && ctx.Err() == nil {
				return fmt.Errorf("dial %s: %w", v.peer, a.err)
			}
		}
		return context.Cause(ctx)
	}
	v.reached = true
	defer l.Close() //nolint:errcheck // nothing hangs on it
	if ctx.Err() == nil {
		defer context.AfterFunc(ctx, func() { _ = l.Close() })()
		go v.s.w.identity.serve(l, l.RemoteMultiaddr(), v.s.w.cfg.RequestTimeout)
		talk(l)
	}
	return context.Cause(ctx)
}
