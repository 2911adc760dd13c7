package monitor

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"canopy/crawler/observation"
)

// enoughMisses in a row close a session: one lost packet is no departure.
const enoughMisses = 2

// uptimePerWait is the share of its uptime that a peer is left alone: who has
// been up for long is likely to stay (sessions are Weibull with a shape below
// 1, Stutzbach and Rejaie, IMC 2006).
const uptimePerWait = 10

// watched is one peer in the sample.
type watched struct {
	target  observation.Target
	key     string
	hash    uint64
	upSince time.Time // first answer of the latest session
	lastUp  time.Time // last answer
	askedAt time.Time
	misses  int       // since then, in rounds that count
	due     time.Time // when it is asked next
	index   int       // in the queue, -1 while it is being asked
	suspect bool      // was silent as a control: no control until it answers
}

func (p *watched) gone() bool { return p.misses >= enoughMisses }

// watch is the sample and when each of its peers is asked next. It reads no
// clock.
type watch struct {
	cfg    Config
	rand   *rand.Rand
	limit  uint64 // a peer whose hash is above it is not watched
	peers  map[string]*watched
	queue  queue
	up     int
	stable []*watched // candidates for the control set
	sorted time.Time  // when they were chosen
}

func newWatch(cfg Config, r *rand.Rand) *watch {
	w := &watch{cfg: cfg, rand: r, peers: map[string]*watched{}, limit: math.MaxUint64}
	if cfg.Share < 1 {
		w.limit = uint64(cfg.Share * math.MaxUint64)
	}
	return w
}

// share of all peers that is watched.
func (w *watch) share() float64 { return float64(w.limit) / math.MaxUint64 }

// key is the identity of a peer.
func (w *watch) key(t observation.Target) string {
	if w.cfg.Network.ByEndpoint() {
		return t.PeerID + "@" + t.Address.String()
	}
	return t.PeerID
}

// hashOf decides whether a peer is watched. It is the same everywhere and
// always, so that observers agree and a smaller sample is part of a larger.
func (w *watch) hashOf(key string) uint64 {
	sum := sha256.Sum256([]byte(w.cfg.Network.Name + "\x00" + key))
	return binary.BigEndian.Uint64(sum[:8])
}

// add returns the entry of t, a new one if need be, or nil if t is not in the
// sample.
func (w *watch) add(t observation.Target, now time.Time) (p *watched, fresh bool) {
	key := w.key(t)
	if p := w.peers[key]; p != nil {
		p.target = t
		return p, false
	}
	hash := w.hashOf(key)
	if hash > w.limit {
		return nil, false
	}
	p = &watched{target: t, key: key, hash: hash, index: -1, misses: enoughMisses}
	w.peers[key] = p
	for len(w.peers) > w.cfg.MaxPeers {
		w.halve()
	}
	if hash > w.limit {
		return nil, false
	}
	return p, true
}

// halve keeps the lower half of the sample: what is left is still unbiased.
func (w *watch) halve() {
	w.limit /= 2
	for _, p := range w.peers {
		if p.hash > w.limit {
			w.drop(p)
		}
	}
}

func (w *watch) drop(p *watched) {
	delete(w.peers, p.key)
	if p.index >= 0 {
		heap.Remove(&w.queue, p.index)
	}
	if !p.gone() {
		w.up--
	}
	w.stable = slices.DeleteFunc(w.stable, func(s *watched) bool { return s == p })
}

// answered notes that a peer answered somebody of ours.
func (w *watch) answered(t observation.Target, at time.Time) {
	p, fresh := w.add(t, at)
	if p == nil || p.lastUp.After(at) {
		return
	}
	w.isUp(p, at)
	if fresh || p.index >= 0 {
		w.schedule(p, at)
	}
}

func (w *watch) restore(k Known, now time.Time) {
	p, fresh := w.add(k.Target, now)
	if p == nil || !fresh {
		return
	}
	p.upSince, p.lastUp = k.UpSince, k.LastUp
	if !k.Gone {
		p.misses = 0
		w.up++
		if k.AskedAt.After(k.LastUp) {
			p.misses = 1
		}
	}
	w.schedule(p, k.AskedAt)
	if p.due.Before(now) { // soon, but not all at once
		w.at(p, now.Add(time.Duration(w.rand.Float64()*float64(w.cfg.Shortest))))
	}
}

func (w *watch) isUp(p *watched, at time.Time) {
	if p.gone() {
		p.upSince = at
		w.up++
	}
	p.misses, p.lastUp, p.suspect = 0, at, false
}

// settle takes in the outcome of a probe that counts and plans the next one.
func (w *watch) settle(p *watched, o observation.Outcome, at time.Time) {
	if w.peers[p.key] != p { // dropped while it was asked
		return
	}
	switch o.Presence() {
	case observation.Up:
		if !p.lastUp.After(at) {
			w.isUp(p, at)
		}
	case observation.Down:
		if p.lastUp.After(at) {
			break // a crawl met it since
		}
		if p.misses++; p.misses == enoughMisses {
			w.up--
		}
	}
	if p.gone() && at.Sub(p.lastUp) > w.cfg.Forget {
		w.drop(p)
		return
	}
	w.schedule(p, at)
}

// schedule asks p again after a random wait.
func (w *watch) schedule(p *watched, now time.Time) {
	p.askedAt = now
	base := 2 * w.cfg.Longest / 3
	switch {
	case p.misses == 1: // lost, or gone? find out soon
		base = 2 * w.cfg.Shortest
	case !p.gone():
		base = min(base, max(2*w.cfg.Shortest, now.Sub(p.upSince)/uptimePerWait))
	}
	w.at(p, now.Add(time.Duration((0.5+w.rand.Float64())*float64(base))))
}

// later asks p again soon, after a round that did not count.
func (w *watch) later(p *watched, now time.Time) {
	if w.peers[p.key] == p {
		w.at(p, now.Add(time.Duration((1+w.rand.Float64())*float64(w.cfg.Shortest))))
	}
}

func (w *watch) at(p *watched, due time.Time) {
	p.due = due
	if p.index >= 0 {
		heap.Fix(&w.queue, p.index)
	} else {
		heap.Push(&w.queue, p)
	}
}

// take removes from the queue the peers that are due, n at most, those that
// have waited longest first.
func (w *watch) take(now time.Time, n int) []*watched {
	var due []*watched
	for len(due) < n && len(w.queue) > 0 && !w.queue[0].due.After(now) {
		due = append(due, heap.Pop(&w.queue).(*watched))
	}
	return due
}

func (w *watch) nextDue() (time.Time, bool) {
	if len(w.queue) == 0 {
		return time.Time{}, false
	}
	return w.queue[0].due, true
}

func (w *watch) late(now time.Time) time.Duration {
	due, ok := w.nextDue()
	if !ok {
		return 0
	}
	return now.Sub(due)
}

const (
	stableSet   = 32          // peers from which the controls of a round are drawn
	controlSize = 5           // controls asked at once
	stableFor   = time.Minute // how long the choice of stable peers holds
)

// controls draws peers that should answer: some of those that have been up
// longest. One that failed as a control is not drawn again, so that when a
// large operator leaves the controls are soon others; when all have failed,
// everybody gets another chance.
func (w *watch) controls(now time.Time) []*watched {
	fit := func(p *watched) bool { return !p.gone() && !p.suspect }
	usable := func() int {
		n := 0
		for _, p := range w.stable {
			if fit(p) {
				n++
			}
		}
		return n
	}
	if now.Sub(w.sorted) > stableFor || usable() < controlSize {
		w.chooseStable(now, fit)
	}
	if len(w.stable) == 0 {
		for _, p := range w.peers {
			p.suspect = false
		}
		w.chooseStable(now, fit)
	}
	var chosen []*watched
	for _, i := range w.rand.Perm(len(w.stable)) {
		if p := w.stable[i]; fit(p) && len(chosen) < controlSize {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

func (w *watch) chooseStable(now time.Time, fit func(*watched) bool) {
	w.sorted, w.stable = now, w.stable[:0]
	for _, p := range w.peers {
		if !fit(p) || len(w.stable) == stableSet && !p.upSince.Before(w.stable[stableSet-1].upSince) {
			continue
		}
		at, _ := slices.BinarySearchFunc(w.stable, p, func(a, b *watched) int { return a.upSince.Compare(b.upSince) })
		w.stable = slices.Insert(w.stable, at, p)
		w.stable = w.stable[:min(len(w.stable), stableSet)]
	}
}

// queue is a heap of peers by the time when they are due.
type queue []*watched

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *queue) Push(x any) {
	p := x.(*watched)
	p.index = len(*q)
	*q = append(*q, p)
}
func (q *queue) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	p.index = -1
	return p
}
