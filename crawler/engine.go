package crawler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"canopy/crawler/observation"
)

// engine is the state of one crawl. One goroutine, the one that called Run,
// owns it; the walker sees it through two channels only.
type engine[P comparable] struct {
	crawl observation.Crawl
	sink  Sink
	opts  Options

	numbers  map[P]uint32     // the visited set: crawl-local number of every peer known
	queue    fifo[P]          // the frontier
	retry    []P              // for the second pass
	held     map[P]heldVisit  // first outcomes of the peers in the second pass
	lastHeld time.Time        // when the last of their first visits began
	pause    <-chan time.Time // until the second pass may begin; nil when nothing waits for it
	learnt   func(P) bool     // see Learner; nil when the walker is none
	name     func(P) string   // see Namer; nil unless peers opted out
	inFlight int
	visited  int
	ignored  uint64 // neighbours not followed because the frontier is full
	cause    error  // why the walk was cut short, nil if it was not

	visits []observation.Visit // for the sink
	edges  []observation.Edge

	lastProgress time.Time
	lastQueries  uint64
}

func newEngine[P comparable](crawl observation.Crawl, sink Sink, opts Options) *engine[P] {
	return &engine[P]{
		crawl: crawl, sink: sink, opts: opts,
		numbers: map[P]uint32{}, held: map[P]heldVisit{},
		lastProgress: crawl.StartedAt,
	}
}

// loop hands out the frontier and takes in results until the frontier is
// exhausted or ctx ends, then takes in what the walker still has. It always
// runs until results is closed, so that the walker never blocks on it.
func (e *engine[P]) loop(ctx context.Context, cancel context.CancelCauseFunc, targets chan<- []P, results <-chan []observation.Result[P]) error {
	ticker := time.NewTicker(e.opts.ProgressEvery)
	defer ticker.Stop()
	var keepErr error
	done := ctx.Done()
	batch := e.nextBatch()
	for {
		var out chan<- []P // nil: nothing to hand out
		if len(batch) > 0 && targets != nil {
			out = targets
		} else if targets != nil && e.inFlight == 0 && e.pause == nil {
			close(targets)
			targets = nil
		}
		select {
		case out <- batch:
			e.inFlight += len(batch)
			batch = e.nextBatch()
		case rs, ok := <-results:
			if !ok {
				return firstErr(keepErr, e.flush(ctx))
			}
			keepErr = firstErr(keepErr, e.take(ctx, rs))
			if len(batch) == 0 {
				batch = e.nextBatch()
			}
		case <-e.pause:
			e.pause = nil
			batch = e.nextBatch()
		case <-ticker.C:
			e.report()
			keepErr = firstErr(keepErr, e.flush(ctx))
		case <-done:
			done, targets = nil, nil
		}
		if keepErr != nil { // what can't be kept must not be measured
			cancel(keepErr)
		}
	}
}

// nextBatch takes peers off the frontier; the second pass begins when the
// first is over and nobody is under way.
func (e *engine[P]) nextBatch() []P {
	if e.queue.len() == 0 && e.inFlight == 0 && len(e.retry) > 0 {
		if wait := secondPassAfter - time.Since(e.lastHeld); wait > 0 {
			e.pause = time.After(wait)
			return nil
		}
		e.beginSecondPass()
	}
	return e.queue.pop(targetBatch)
}

// beginSecondPass queues the peers whose outcome a second visit may change, and
// settles those of whom nothing new was learnt since the first.
func (e *engine[P]) beginSecondPass() {
	e.opts.Logger.Debug("second pass", "network", e.crawl.Network, "peers", len(e.retry))
	for _, p := range e.retry {
		first := e.held[p]
		if first.outcome().Retryable() || e.learnt(p) {
			e.queue.push(p)
			continue
		}
		delete(e.held, p)
		e.settle(p, first.visit())
	}
	e.retry = nil
}

// discover adds peers that were never seen before to the frontier. Where
// numbers is not nil it appends to it those of all peers that are known now.
func (e *engine[P]) discover(peers []P, numbers []uint32) []uint32 {
	for _, p := range peers {
		number, known := e.numbers[p]
		if !known {
			if len(e.numbers) >= e.opts.MaxPeers {
				e.ignored++
				continue
			}
			number = uint32(len(e.numbers))
		}
		if numbers != nil {
			numbers = append(numbers, number)
		}
		if known {
			continue
		}
		e.numbers[p] = number
		if e.name != nil && e.opts.OptOut.HasPeer(e.name(p)) {
			e.settle(p, observation.Visit{PeerID: e.name(p), VisitedAt: time.Now(), Outcome: observation.NoAddress, Detail: optedOut})
			continue
		}
		e.queue.push(p)
	}
	return numbers
}

// optedOut explains why a peer was not visited. Nothing but its ID is kept.
const optedOut = "asked not to be contacted"

// take records what the walker found out.
func (e *engine[P]) take(ctx context.Context, results []observation.Result[P]) error {
	for i := range results {
		r := &results[i]
		e.inFlight--
		e.crawl.Queries += uint64(r.Visit.Queries)
		var named []uint32 // nil unless this is an edge
		if e.opts.Edges && r.Visit.Outcome == observation.Answered {
			named = make([]uint32, 0, len(r.Neighbours))
		}
		named = e.discover(r.Neighbours, named)
		first, second := e.held[r.Peer]
		delete(e.held, r.Peer)
		if second {
			r.Visit.Queries += first.queries
		} else if r.Visit.Outcome.Retryable() || e.learnt != nil && r.Visit.Outcome != observation.Answered {
			e.held[r.Peer] = hold(r.Visit)
			e.retry = append(e.retry, r.Peer)
			if at := r.Visit.VisitedAt; at.After(e.lastHeld) {
				e.lastHeld = at
			}
			continue
		}
		e.settle(r.Peer, r.Visit)
		if named != nil {
			e.edges = append(e.edges, e.edge(r, named))
		}
	}
	if len(e.visits) < sinkBatch {
		return nil
	}
	return e.flush(ctx)
}

// settle completes a visit whose outcome is final.
func (e *engine[P]) settle(p P, v observation.Visit) {
	v.Network, v.CrawlID, v.Number = e.crawl.Network, e.crawl.ID, e.numbers[p]
	if e.opts.Facts != nil && v.Address.IsValid() {
		v.Facts = e.opts.Facts.Lookup(v.Address.Addr())
	}
	if v.Facts.Hosting == "" {
		v.Facts.Hosting = observation.HostingUnknown
	}
	e.visited++
	if v.Outcome == observation.Answered {
		e.crawl.Reachable++
	}
	e.visits = append(e.visits, v)
}

func (e *engine[P]) edge(r *observation.Result[P], named []uint32) observation.Edge {
	partial := r.Visit.Partial || len(named) < len(r.Neighbours)
	slices.Sort(named)
	return observation.Edge{
		CrawlID: e.crawl.ID, Network: e.crawl.Network, Peer: e.numbers[r.Peer], Neighbours: slices.Compact(named), Partial: partial,
	}
}

// flush hands what was settled to the sink. Ctrl-C must not lose it, so ctx
// lends its values only.
func (e *engine[P]) flush(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if len(e.visits) > 0 {
		if err := e.sink.Visits(ctx, e.visits); err != nil {
			return fmt.Errorf("keep visits: %w", err)
		}
		e.visits = nil
	}
	if len(e.edges) > 0 {
		if err := e.sink.Edges(ctx, e.edges); err != nil {
			return fmt.Errorf("keep edges: %w", err)
		}
		e.edges = nil
	}
	return nil
}

func (e *engine[P]) report() {
	if e.opts.Progress == nil {
		return
	}
	now := time.Now()
	p := Progress{
		Network: e.crawl.Network, Elapsed: now.Sub(e.crawl.StartedAt), Discovered: len(e.numbers), Visited: e.visited,
		Answered: int(e.crawl.Reachable), Queued: e.queue.len() + len(e.retry), InFlight: e.inFlight, Queries: e.crawl.Queries,
	}
	if passed := now.Sub(e.lastProgress).Seconds(); passed > 0 {
		p.Rate = float64(e.crawl.Queries-e.lastQueries) / passed
	}
	e.lastProgress, e.lastQueries = now, e.crawl.Queries
	e.opts.Progress(p)
}

// unfinished counts the known peers whose outcome is not final.
func (e *engine[P]) unfinished() int { return len(e.numbers) - e.visited }

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// settingsJSON is what a later reader needs to know of how the crawl was run.
func settingsJSON(network observation.Network, opts Options) (string, error) {
	var retryable []observation.Outcome
	for _, o := range observation.Outcomes() {
		if o.Retryable() {
			retryable = append(retryable, o)
		}
	}
	b, err := json.Marshal(map[string]any{
		"network": network, "deadline_seconds": opts.Deadline.Seconds(), "max_peers": opts.MaxPeers, "edges": opts.Edges,
		"passes": 2, "second_pass_after": retryable, "walker": opts.Settings,
	})
	if err != nil {
		return "", fmt.Errorf("encode crawl settings: %w", err)
	}
	return string(b), nil
}
