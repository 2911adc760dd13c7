package crawler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"canopy/crawler/observation"
)

// Options say how a crawl is run. The zero value of a field takes the default
// named beside it.
type Options struct {
	Vantage  string        // the steward's name for where we look from; "unnamed"
	Scope    string        // observation.ScopeGlobal
	Zone     string        // BITS/PREFIX of the key space if the walker keeps to a part of it
	Software string        // program and version, written into the record
	Deadline time.Duration // the crawl is cut short after this long; 0 = never
	MaxPeers int           // bound of the frontier and so of memory; 50 million
	Edges    bool          // keep who named whom
	Settings any           // whatever else the record should hold of how it was run; must encode as JSON
	Notes    []string      // what a reader must know of this crawl
	Facts    FactsSource   // nil: no facts
	OptOut   *OptOut       // peers on it are never handed to the walker; nil: none

	Progress      func(Progress) // called from the engine, nil = never
	ProgressEvery time.Duration  // 1 second
	Logger        *slog.Logger   // nil = silent
}

// Progress is how far a crawl is.
type Progress struct {
	Network    string        `json:"network"`
	Stage      string        `json:"stage,omitempty"` // what is done before or after the walk itself, and how far; the rest is empty then
	Elapsed    time.Duration `json:"elapsed_ns"`
	Discovered int           `json:"discovered"` // peers named by somebody
	Visited    int           `json:"visited"`    // peers whose outcome is final
	Answered   int           `json:"answered"`
	Queued     int           `json:"queued"`    // waiting for a first or second visit
	InFlight   int           `json:"in_flight"` // handed to the walker
	Queries    uint64        `json:"queries"`
	Rate       float64       `json:"queries_per_second"` // since the last progress
}

const (
	targetBatch = 64   // peers handed to the walker at once: small, so that none waits behind a slow one
	sinkBatch   = 1024 // visits handed to the sink at once
	// A peer that turned us away because we came too fast, or a burst of lost
	// packets, needs a moment to pass: js-libp2p counts callers by the second. It
	// runs from the beginning of a first visit, so who was silent is not waited for.
	secondPassAfter = 2 * time.Second
	endTimeout      = 2 * time.Minute // to store what was seen after the walk has ended
)

func (o Options) withDefaults() Options {
	if o.Vantage == "" {
		o.Vantage = "unnamed"
	}
	if o.Scope == "" {
		o.Scope = observation.ScopeGlobal
	}
	if o.MaxPeers <= 0 {
		o.MaxPeers = 50_000_000
	}
	if o.ProgressEvery <= 0 {
		o.ProgressEvery = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Run walks one network until its frontier is exhausted, the deadline passes
// or ctx ends, and returns the crawl as it was recorded. A crawl that was cut
// short, by its deadline or by ctx, is recorded as such and is no error. An
// error means that nothing could be measured (no entry point, broken walker)
// or that it could not be kept; whatever was seen until then is in the sink.
func Run[P comparable](ctx context.Context, w Walker[P], sink Sink, opts Options) (observation.Crawl, error) {
	opts = opts.withDefaults()
	network := w.Network()
	started := time.Now()
	crawl := observation.Crawl{
		ID: observation.NewCrawlID(started), Network: network.Name, Vantage: opts.Vantage, Scope: opts.Scope, Zone: opts.Zone,
		StartedAt: started, State: observation.Running, Software: opts.Software, Notes: opts.Notes,
	}
	var err error
	if crawl.Settings, err = settingsJSON(network, opts); err != nil {
		return crawl, err
	}
	seeds, err := w.Seeds(ctx)
	if err != nil {
		return crawl, fmt.Errorf("find entry points of %s: %w", network.Title, err)
	}
	keep := context.WithoutCancel(ctx) // what was seen is stored also after Ctrl-C
	if err := sink.BeginCrawl(keep, crawl); err != nil {
		return crawl, fmt.Errorf("begin crawl: %w", err)
	}
	e := newEngine[P](crawl, sink, opts)
	if l, ok := w.(Learner[P]); ok {
		e.learnt = l.Learnt
	}
	if n, ok := w.(Namer[P]); ok && opts.OptOut != nil && len(opts.OptOut.peers) > 0 {
		e.name = n.PeerID
	}
	e.discover(seeds, nil)
	walkErr := e.walk(ctx, w)
	e.conclude(ctx, w, walkErr)

	endCtx, cancel := context.WithTimeout(keep, endTimeout)
	defer cancel()
	if err := sink.EndCrawl(endCtx, e.crawl); err != nil {
		return e.crawl, errors.Join(walkErr, fmt.Errorf("end crawl: %w", err))
	}
	return e.crawl, walkErr
}

// walk runs the walker and the engine's own loop side by side until both are
// done.
func (e *engine[P]) walk(ctx context.Context, w Walker[P]) error {
	walkCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if e.opts.Deadline > 0 {
		timer := time.AfterFunc(e.opts.Deadline, func() { cancel(errDeadline) })
		defer timer.Stop()
	}
	targets := make(chan []P)
	results := make(chan []observation.Result[P], 16)
	walked := make(chan error, 1)
	go func() {
		err := w.Walk(walkCtx, targets, results)
		close(results)
		walked <- err
	}()
	keepErr := e.loop(walkCtx, cancel, targets, results)
	walkErr := <-walked
	if walkErr != nil {
		walkErr = fmt.Errorf("walk %s: %w", e.crawl.Network, walkErr)
	} else if walkCtx.Err() == nil && e.unfinished() > 0 {
		walkErr = fmt.Errorf("walk %s: the walker stopped with %d peers left", e.crawl.Network, e.unfinished())
	}
	e.cause = context.Cause(walkCtx)
	return errors.Join(walkErr, keepErr)
}

var errDeadline = errors.New("deadline passed")
