package mainline

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

const (
	tick        = 5 * time.Millisecond // longest wait for a packet before timers are looked at
	maxSends    = 2                    // a query is sent again once; see tries
	resultBatch = 256                  // results handed over at once
	holdResults = 4096                 // results kept while the engine is busy
	lastWord    = time.Second          // how long finished visits wait for the engine after ctx has ended
	stall       = 10 * tick            // without a look at timers: we were held up, and what arrived meanwhile is read first
	firstWindow = 256
	leastWindow = 64
	crowdedAt   = receiveBuffer / 16 // bytes that wait to be read, from which the window grows no more
	patience    = 64                 // visits put off again in one tick before the rest must wait for the next: the pace is full
	none        = -1
)

// loop is one socket's share of a walk. One goroutine owns it.
type loop struct {
	cfg     *Config
	counts  *counters
	log     *slog.Logger
	sock    *socket
	self    *self
	mode    mode
	targets <-chan []Peer
	results chan<- []observation.Result[Peer]

	began   time.Time
	now     time.Duration // since began
	outside [families]netip.AddrPort
	query   krpc.Ask

	visits   []visit
	free     slots
	active   int
	oldest   int32 // visits with a query under way, in the order of sending
	newest   int32
	underway int
	window   int           // most queries under way at once; see grow and look
	crowded  bool          // replies wait to be read: more queries would only queue up
	waiting  agenda[int32] // visits whose next query was put off
	parked   agenda[Peer]  // peers whose visit was
	crowds   []crowd
	rtt      rtt
	pending  []Peer // targets without a slot
	batch    []observation.Result[Peer]
	names    names

	dropped  uint64 // as the kernel counted at the last look
	lastTick time.Duration
	excused  time.Duration // until then nobody is silent and no round trip is measured: we were held up
	scans    int           // searches by address left in this tick
	putOff   int           // visits that were put off in this tick
	message  krpc.Message
	quoted   [1024]byte // of what came back undelivered
	outbox   []outgoing // queries that leave together
}

func newLoop(w *Walker, s *socket, me *self, want krpc.Want, m mode, targets <-chan []Peer, results chan<- []observation.Result[Peer]) *loop {
	l := &loop{
		cfg: &w.cfg, counts: &w.counts, log: w.cfg.Logger, sock: s, self: me, mode: m, targets: targets, results: results,
		query:  krpc.Ask{ID: w.id, Version: w.cfg.Version, ReadOnly: true, Want: want},
		visits: make([]visit, w.cfg.Slots), oldest: none, newest: none,
		window: min(firstWindow, w.cfg.Slots), rtt: rtt{low: w.cfg.MinTimeout, high: w.cfg.MaxTimeout},
		crowds: make([]crowd, crowdCells),
	}
	var random [2]byte
	for i := range l.visits {
		_, _ = rand.Read(random[:]) // never fails since Go 1.24
		l.visits[i].generation = binary.NativeEndian.Uint16(random[:])
	}
	l.free.fill(w.cfg.Slots)
	return l
}

// run visits until targets is closed and every visit is done, or ctx ends.
func (l *loop) run(ctx context.Context) error {
	l.began = time.Now()
	_, l.dropped = l.sock.backlog()
	defer l.look()
	for next := time.Duration(0); ; {
		l.now = time.Since(l.began)
		if l.now >= next {
			if ctx.Err() != nil {
				l.farewell()
				return nil
			}
			l.housekeep(ctx)
			next = l.now + tick
		}
		l.fill()
		if l.active == 0 && len(l.parked) == 0 {
			if more := l.idle(ctx); !more {
				return nil
			}
			next = 0
			continue
		}
		if err := l.receive(); err != nil {
			return err
		}
	}
}

// idle waits for work. It reports false when there will be none.
func (l *loop) idle(ctx context.Context) bool {
	l.flush(ctx, true)
	if l.targets == nil {
		l.farewell()
		return false
	}
	select {
	case batch, ok := <-l.targets:
		if !ok {
			l.targets = nil
		}
		l.pending = append(l.pending[:0], batch...)
		l.lastTick = time.Since(l.began) // waiting for work is no stall
		return true
	case <-ctx.Done():
		l.farewell()
		return false
	}
}

// housekeep does what waits for time: silent peers, visits whose turn came,
// results, and a look at the kernel's drops.
func (l *loop) housekeep(ctx context.Context) {
	l.scans = 64
	if l.now-l.lastTick > stall {
		l.excused = l.now + 2*stall
		l.log.Debug("stalled", "socket", l.sock.local, "for", l.now-l.lastTick)
	}
	l.lastTick = l.now
	wait := l.rtt.timeout()
	for l.oldest != none && l.visits[l.oldest].sentAt+wait <= l.now && l.now >= l.excused {
		l.silent(l.oldest)
	}
	for l.putOff = 0; l.putOff < patience; {
		i, ok := l.waiting.pop(l.now)
		if !ok {
			break
		}
		if l.visits[i].waiting {
			l.visits[i].waiting = false
			l.send(i)
		}
	}
	l.flush(ctx, len(l.batch) >= holdResults)
	l.look()
}

// look asks the kernel how full the receive buffer is and what did not fit, and
// narrows the window where we can't keep up.
func (l *loop) look() {
	l.outside = l.self.outside()
	queued, dropped := l.sock.backlog()
	l.crowded = queued > crowdedAt
	if queued > 4*crowdedAt {
		l.window = max(min(leastWindow, len(l.visits)), l.window-l.window/8)
	}
	if dropped == l.dropped {
		return
	}
	l.counts.dropped.Add(dropped - l.dropped)
	l.dropped = dropped
	l.window = max(min(leastWindow, len(l.visits)), l.window/2)
	l.log.Debug("receive buffer overflow", "socket", l.sock.local, "drops", dropped, "window", l.window)
}

// flush hands over results, waiting for the engine only if it must.
func (l *loop) flush(ctx context.Context, must bool) {
	if len(l.batch) == 0 {
		return
	}
	if must {
		select {
		case l.results <- l.batch:
		case <-ctx.Done():
			return
		}
	} else {
		select {
		case l.results <- l.batch:
		default:
			return
		}
	}
	l.batch = nil
}

// farewell hands over the visits that were done when ctx ended.
func (l *loop) farewell() {
	if len(l.batch) == 0 {
		return
	}
	timer := time.NewTimer(lastWord)
	defer timer.Stop()
	select {
	case l.results <- l.batch:
	case <-timer.C:
		l.log.Warn("finished visits were lost: nobody took them", "visits", len(l.batch))
	}
}

// finish ends a visit.
func (l *loop) finish(i int32, outcome observation.Outcome, detail string) {
	v := &l.visits[i]
	if v.asked {
		l.unlink(i)
	}
	v.waiting = false
	if v.signs.stage != walking {
		outcome, detail = observation.Answered, "" // who keeps silent now, or says no, can't do it
	}
	if l.batch == nil {
		l.batch = make([]observation.Result[Peer], 0, resultBatch)
	}
	l.batch = append(l.batch, v.result(outcome, detail, &l.names))
	l.free.put(i)
	l.active--
	l.crowds[cell(v.peer, crowdCells)].inside--
	if len(l.batch) >= resultBatch {
		l.flush(context.Background(), false)
	}
}

// silent deals with a query that was not answered in time.
func (l *loop) silent(i int32) {
	v := &l.visits[i]
	l.unlink(i)
	if int(v.sends) < l.tries(v) {
		l.send(i)
		return
	}
	v.lateFrom, v.lateGen, v.lateSent = v.addr, v.generation, 0
	if v.sends == 1 {
		v.lateSent = v.sentAt
	}
	if v.garbled {
		l.finish(i, observation.Malformed, "answered with what can't be read")
		return
	}
	l.finish(i, observation.Timeout, "")
}

// tries is how often a query is sent. In a survey the first one is not sent
// again at once: most who stay silent are dead, and the engine's second pass
// asks them once more.
func (l *loop) tries(v *visit) int {
	if l.mode == modeSurvey && v.answers == 0 {
		return 1
	}
	return maxSends
}

// link puts a visit at the end of the list of queries under way.
func (l *loop) link(i int32) {
	v := &l.visits[i]
	v.asked, v.sentAt, v.prev, v.next = true, l.now, l.newest, none
	if l.newest != none {
		l.visits[l.newest].next = i
	} else {
		l.oldest = i
	}
	l.newest = i
	l.underway++
}

// unlink takes a visit out of it.
func (l *loop) unlink(i int32) {
	v := &l.visits[i]
	if v.prev != none {
		l.visits[v.prev].next = v.next
	} else {
		l.oldest = v.next
	}
	if v.next != none {
		l.visits[v.next].prev = v.prev
	} else {
		l.newest = v.prev
	}
	v.asked = false
	l.underway--
}

func randomID() (id krpc.ID) {
	_, _ = rand.Read(id[:]) // never fails since Go 1.24
	return id
}

// slots is a ring of free slots: first out is what was freed first, so that a
// late reply still finds the slot of its query.
type slots struct {
	ring       []int32
	head, size int
}

func (s *slots) fill(n int) {
	s.ring = make([]int32, n)
	for i := range s.ring {
		s.ring[i] = int32(i)
	}
	s.size = n
}

func (s *slots) empty() bool { return s.size == 0 }

func (s *slots) take() int32 {
	i := s.ring[s.head]
	s.head = (s.head + 1) % len(s.ring)
	s.size--
	return i
}

func (s *slots) put(i int32) {
	s.ring[(s.head+s.size)%len(s.ring)] = i
	s.size++
}
