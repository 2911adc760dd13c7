package mainline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// SizerOptions say how much is done to learn how large the network is. The
// zero value of a field takes the default named beside it; less than zero is
// none.
type SizerOptions struct {
	Plant   int           // nodes of our own in the zone; 50
	Confirm int           // nodes of the network in the zone that are confirmed alive before the walk; 50
	Lookups int           // of random targets; 100
	Wait    time.Duration // longest wait until others name the planted nodes; 3 minutes

	// Progress is told after each step how far a stage is, one call at a time;
	// nil is never.
	Progress func(SizerProgress)
}

// SizerProgress is how far one stage of a Sizer's work is.
type SizerProgress struct {
	Stage       string // what is done, for people
	Done, Total int
}

func (o SizerOptions) withDefaults() SizerOptions {
	for _, f := range []struct {
		n    *int
		most int
	}{{&o.Plant, 50}, {&o.Confirm, 50}, {&o.Lookups, 100}} {
		if *f.n == 0 {
			*f.n = f.most
		}
		*f.n = max(0, *f.n)
	}
	if o.Wait == 0 {
		o.Wait = 3 * time.Minute
	}
	return o
}

// Sizer gathers, beside a walk of a zone, what tells how large the network is:
// nodes known to be alive in the zone, and the distances that lookups find. It
// asks from sockets and under IDs of its own. Call Mark, walk the zone with
// Walker, call Measure, then Close.
type Sizer struct {
	cfg     Config
	opt     SizerOptions
	walker  *Walker
	own     *ownPace
	asker   *asker
	pulse   *pulse
	planted []*plantedNode
	marks   []observation.Mark
	at      map[krpc.ID]bool // our own nodes
	pool    []Peer           // nodes that answered, where lookups begin
	mean    float64          // distance of the k-th closest
	mu      sync.Mutex       // of pool
	telling sync.Mutex       // one tells progress at a time
}

// plantedNode is a node of our own.
type plantedNode struct {
	*asker
	id   krpc.ID
	seen Peer // as others name it, zero until they do
}

// NewSizer checks the configuration, which is that of the walk. Nothing is
// opened before Mark.
func NewSizer(cfg Config, opt SizerOptions) (*Sizer, error) {
	own := &ownPace{others: cfg.Pacer, own: map[netip.Addr]bool{}}
	if cfg.Pacer != nil {
		cfg.Pacer = own
	}
	w, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Zone.Bits == 0 {
		return nil, errors.New("measure size: no zone is configured")
	}
	return &Sizer{cfg: w.cfg, opt: opt.withDefaults(), walker: w, own: own, pulse: newPulse(&w.cfg), at: map[krpc.ID]bool{}}, nil
}

// Walker walks the zone. It does not spare our own nodes, many of which may
// stand at one address.
func (s *Sizer) Walker() *Walker { return s.walker }

// ownPace lets our own addresses be asked at any pace.
type ownPace struct {
	others Pacer
	mu     sync.RWMutex
	own    map[netip.Addr]bool
}

// Take books queries to others only.
func (o *ownPace) Take(addr netip.Addr, now time.Time) time.Duration {
	o.mu.RLock()
	own := o.own[addr]
	o.mu.RUnlock()
	if own {
		return 0
	}
	return o.others.Take(addr, now)
}

func (o *ownPace) add(addr netip.Addr) {
	o.mu.Lock()
	o.own[addr] = true
	o.mu.Unlock()
}

const (
	warming    = 8   // lookups that fill the pool, and four times as many in the zone
	poolSize   = 512 // nodes kept as starting points
	startFrom  = 16  // of them, the closest to a target
	background = 64  // lookups at once
)

// Mark plants nodes in the zone, announces them, waits until others name them
// or Options.Wait is over, and confirms nodes of the network there. It returns
// a sentence on what came of it, or an error when the network can't be entered
// or a socket can't be opened.
func (s *Sizer) Mark(ctx context.Context) (note string, err error) {
	addrs, err := bindAddrs(s.cfg)
	if err != nil {
		return "", fmt.Errorf("mark nodes: %w", err)
	}
	if s.asker, err = openAsker(s.cfg, s.pulse, randomID(), true, addrs...); err != nil {
		return "", fmt.Errorf("mark nodes: %w", err)
	}
	if s.pool, err = s.walker.entries(ctx); err != nil {
		return "", fmt.Errorf("mark nodes: %w", err)
	}
	if err := s.plant(addrs); err != nil {
		return "", fmt.Errorf("plant nodes: %w", err)
	}
	// So that what follows crowds neither the few entry points nor the first nodes of the zone that they name.
	s.each("look around", warming, func(int) { s.look(ctx, randomID(), replyNodes) })
	s.each("look around the zone", 4*warming, func(int) { s.look(ctx, s.cfg.Zone.random(), replyNodes) })
	var planting sync.WaitGroup
	planting.Go(func() {
		s.each("announce planted nodes", len(s.planted), func(i int) { s.announce(ctx, s.planted[i]) })
		s.await(ctx)
	})
	s.confirm(ctx)
	planting.Wait()
	confirmed, named := len(s.marks), 0
	for _, p := range s.planted {
		m := observation.Mark{Network: Network().Name, PeerID: p.id.String(), Kind: observation.Planted, Named: p.seen != Peer{}}
		if m.Named {
			m.Address = p.seen.Addr()
			named++
		}
		s.marks = append(s.marks, m)
	}
	return fmt.Sprintf("Walked zone %s only. Marked beforehand: %d of %d planted nodes that others name, %d nodes of the network confirmed alive.",
		s.cfg.Zone, named, len(s.planted), confirmed), nil
}

// plant starts nodes at random places of the zone, on the local addresses of
// each family in turn.
func (s *Sizer) plant(addrs []netip.Addr) error {
	var byFamily [families][]netip.Addr
	for _, a := range addrs {
		byFamily[familyOf(a)] = append(byFamily[familyOf(a)], a)
	}
	for _, a := range addrs {
		s.own.add(a)
		if a.IsUnspecified() {
			for _, local := range localAddrs(familyOf(a)) {
				s.own.add(local)
			}
		}
	}
	for i := range s.opt.Plant {
		var bind []netip.Addr
		for _, list := range byFamily {
			if len(list) > 0 {
				bind = append(bind, list[i%len(list)])
			}
		}
		id := s.cfg.Zone.random()
		a, err := openAsker(s.cfg, s.pulse, id, false, bind...)
		if err != nil {
			return err
		}
		a.spares = s.ours // they know nobody whom the network does not
		s.planted, s.at[id] = append(s.planted, &plantedNode{asker: a, id: id}), true
	}
	return nil
}

// announce makes a planted node look itself up, so that the nodes near it hear
// of it, as any node does that joins.
func (s *Sizer) announce(ctx context.Context, p *plantedNode) {
	s.keep(p.lookup(ctx, p.id, 2*replyNodes, s.ours, s.starts(p.id)))
}

// ours tells the IDs of our own nodes, which are not counted.
func (s *Sizer) ours(id *krpc.ID) bool { return s.at[*id] }

// await asks the neighbourhood of each planted node until somebody names it,
// and it answers where it was named: a liar must not make somebody else's
// address one of ours.
func (s *Sizer) await(ctx context.Context) {
	for end, pause := time.Now().Add(s.opt.Wait), s.cfg.MinTimeout; ; pause *= 2 {
		var missing []*plantedNode
		for _, p := range s.planted {
			if p.seen == (Peer{}) {
				missing = append(missing, p)
			}
		}
		s.each("find planted nodes by their neighbours", len(missing), func(i int) {
			p := missing[i]
			if c, ok := s.look(ctx, p.id, replyNodes).named(p.id); ok && c.state == answered {
				p.seen = c.peer
				s.own.add(c.peer.Addr().Addr())
			}
		})
		if len(missing) == 0 || time.Until(end) < pause || !sleep(ctx, pause) {
			return
		}
		s.each("announce planted nodes again", len(missing), func(i int) { s.announce(ctx, missing[i]) })
	}
}

// confirm finds nodes of the network at random places of the zone. For each
// place it takes the closest node that answered, so that nodes are chosen by
// their IDs, which are random, and not by how well known they are.
func (s *Sizer) confirm(ctx context.Context) {
	known := map[krpc.ID]bool{}
	for try := 0; try < 4 && len(known) < s.opt.Confirm && ctx.Err() == nil; try++ {
		found := make([]Peer, s.opt.Confirm-len(known))
		s.each("confirm nodes of the zone", len(found), func(i int) {
			if closest := s.look(ctx, s.cfg.Zone.random(), 1).closest(); len(closest) > 0 {
				found[i] = closest[0]
			}
		})
		for _, p := range found {
			if p == (Peer{}) || known[p.ID] || !s.cfg.Zone.Contains(&p.ID) {
				continue
			}
			known[p.ID] = true
			s.marks = append(s.marks, observation.Mark{
				Network: Network().Name, PeerID: p.ID.String(), Address: p.Addr(), Kind: observation.Confirmed, Named: true,
			})
		}
	}
}

// look makes one lookup and keeps who answered for the next ones.
func (s *Sizer) look(ctx context.Context, target krpc.ID, k int) *lookup {
	l := s.asker.lookup(ctx, target, k, s.ours, s.starts(target))
	s.keep(l)
	return l
}

// keep puts who answered a lookup into the pool.
func (s *Sizer) keep(l *lookup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range l.answered() {
		if s.at[p.ID] {
			continue
		}
		if len(s.pool) < poolSize {
			s.pool = append(s.pool, p)
		} else {
			s.pool[rand.IntN(poolSize)] = p
		}
	}
}

// starts are the nodes of the pool that are closest to target.
func (s *Sizer) starts(target krpc.ID) []Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &lookup{target: target, known: map[Peer]bool{}}
	for _, p := range s.pool {
		l.add(p)
	}
	var from []Peer
	for _, c := range l.order[:min(len(l.order), startFrom)] {
		from = append(from, c.peer)
	}
	return from
}

// each runs f for 0 to n-1, a few at once, and tells how far that is.
func (s *Sizer) each(stage string, n int, f func(int)) {
	if s.opt.Progress == nil {
		each(n, f)
		return
	}
	done := 0
	each(n, func(i int) {
		f(i)
		s.telling.Lock()
		defer s.telling.Unlock()
		done++
		s.opt.Progress(SizerProgress{stage, done, n})
	})
}

// each runs f for 0 to n-1, a few at once.
func each(n int, f func(int)) {
	var wg sync.WaitGroup
	places := make(chan int)
	for range min(background, n) {
		wg.Go(func() {
			for i := range places {
				f(i)
			}
		})
	}
	for i := range n {
		places <- i
	}
	close(places)
	wg.Wait()
}

// Close stops the planted nodes.
func (s *Sizer) Close() {
	for _, p := range s.planted {
		p.close()
	}
	if s.asker != nil {
		s.asker.close()
	}
}
