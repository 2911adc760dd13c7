package ipfs

import (
	"context"
	"time"
)

// How long a visit counts as active without progress. Then it is waiting for
// its peer, which may be gone, and leaves its place to others.
const (
	dialPatience = 100 * time.Millisecond // for the first sign of life at an address
	talkPatience = 500 * time.Millisecond // for a peer that has shown one
)

// place is a visit's place among the active ones. It is given up after a while
// without progress, and taken again, beyond the limit if need be, when there is
// some: others then wait longer for theirs. The methods of a nil place do
// nothing.
type place struct {
	load     *load
	admitted chan struct{}
	held     bool // as the next, guarded by load.mu
	idle     *time.Timer
}

// acquire waits for a place among the active visits, nil when ctx ends first.
func (l *load) acquire(ctx context.Context) *place {
	p := &place{load: l, admitted: make(chan struct{})}
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	l.admit()
	l.mu.Unlock()
	select {
	case <-p.admitted:
		p.progress(dialPatience)
		return p
	case <-ctx.Done():
		go func() { // the walk ends: whoever admits us later gets the place back
			<-p.admitted
			p.leave()
		}()
		return nil
	}
}

// admit gives free places to those who wait, in order. The caller holds l.mu.
func (l *load) admit() {
	for l.active < l.limit && len(l.waiting) > 0 {
		l.active++
		l.waiting[0].held = true
		close(l.waiting[0].admitted)
		l.waiting = l.waiting[1:]
	}
}

// progress holds the place for as long as patience from now.
func (p *place) progress(patience time.Duration) {
	if p == nil {
		return
	}
	patience = p.load.stretch(patience)
	p.load.mu.Lock()
	defer p.load.mu.Unlock()
	if !p.held {
		p.held = true
		p.load.active++
	}
	if p.idle == nil {
		p.idle = time.AfterFunc(patience, p.leave)
	} else {
		p.idle.Reset(patience)
	}
}

// leave gives the place up, if it is held.
func (p *place) leave() {
	if p == nil {
		return
	}
	p.load.mu.Lock()
	defer p.load.mu.Unlock()
	if p.idle != nil {
		p.idle.Stop()
	}
	if p.held {
		p.held = false
		p.load.active--
		p.load.admit()
	}
}
