package crawler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"canopy/crawler/observation"
)

// conclude closes the crawl's own row: its state, and a sentence for whatever
// a reader of its figures must know.
func (e *engine[P]) conclude(ctx context.Context, w Walker[P], walkErr error) {
	finished, notAgain := e.unfinished() == 0, len(e.held)
	never := e.unfinished() - notAgain
	e.settleHeld()
	if err := e.flush(ctx); err != nil {
		// Notes are published, and errors may name files and hosts of the observer.
		e.opts.Logger.Error("store what was seen last", "network", e.crawl.Network, "crawl", e.crawl.ID, "error", err)
		e.note("What was seen last could not be stored.")
	}
	c := &e.crawl
	c.EndedAt, c.Discovered, c.State = time.Now(), uint64(len(e.numbers)), observation.Complete
	if e.ignored > 0 {
		c.State = observation.Degraded
		e.note("The frontier was full at %d peers; %d mentions of further peers were not followed.", e.opts.MaxPeers, e.ignored)
	}
	if c.Reachable == 0 {
		c.State = observation.Degraded
		e.note("Nobody answered after the entry points had: their trouble, or ours, hides the network.")
	}
	if h, ok := w.(HealthReporter); ok {
		degraded, notes := h.Health()
		if degraded {
			c.State = observation.Degraded
		}
		c.Notes = append(c.Notes, notes...)
	}
	e.report()
	if walkErr == nil && (e.cause == nil || finished) {
		return
	}
	if walkErr != nil {
		e.opts.Logger.Error("walk cut short", "network", c.Network, "crawl", c.ID, "error", walkErr)
	}
	c.State = observation.CutShort
	e.note("Cut short (%s): %d known peers were not visited, %d silent peers were not asked a second time.", e.reason(walkErr), never, notAgain)
}

// settleHeld writes down the first outcome of peers that the second pass did
// not come to.
func (e *engine[P]) settleHeld() {
	for p, first := range e.held {
		e.settle(p, first.visit())
	}
	clear(e.held)
	e.retry = nil
}

func (e *engine[P]) reason(walkErr error) string {
	switch {
	case walkErr != nil:
		return "trouble of our own, which the log of the program tells"
	case errors.Is(e.cause, errDeadline):
		return fmt.Sprintf("deadline of %s", e.opts.Deadline)
	case errors.Is(e.cause, context.Canceled): // by a caller that says no more
		return "stopped by the user"
	default:
		return observation.Text(e.cause.Error())
	}
}

func (e *engine[P]) note(format string, args ...any) {
	e.crawl.Notes = append(e.crawl.Notes, fmt.Sprintf(format, args...))
}
