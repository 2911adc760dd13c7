// Package crawler is the network-neutral crawl engine: it owns the frontier,
// the visited set, the second pass over silent peers, the deadline and the
// pace, and knows nothing of any protocol. Walkers, the store and address
// facts satisfy the interfaces declared here without importing this package.
package crawler

import (
	"context"
	"net/netip"

	"canopy/crawler/observation"
)

// Walker talks to the peers of one network. P identifies a peer and is all
// that the frontier keeps of it, so it should be small: whatever else a visit
// needs (such as multiaddrs) the walker keeps itself.
type Walker[P comparable] interface {
	// Network describes the network that is walked.
	Network() observation.Network

	// Seeds finds the first peers to visit. It fails when not one entry point
	// could be used, with an error that says what was tried.
	Seeds(ctx context.Context) ([]P, error)

	// Walk visits every peer that arrives on targets and sends exactly one
	// Result for each to results, in any order and in batches of any size. It
	// sets every field of Visit but those that the engine fills in. It
	// returns nil when targets is closed and every visit is done. When ctx
	// ends it stops at once, returns nil, and keeps silent about the visits
	// that were under way: our cancellation is never a peer's failure. Any
	// other error means that measuring itself became impossible. The engine
	// receives results until Walk returns. A slice that was sent belongs to
	// the receiver.
	Walk(ctx context.Context, targets <-chan []P, results chan<- []observation.Result[P]) error
}

// HealthReporter is what a walker may also be: after Walk has returned, it says
// whether trouble of our own (dropped packets, missing descriptors, late
// replies) may have hidden living peers, and what a reader must know.
type HealthReporter interface {
	Health() (degraded bool, notes []string)
}

// Learner is what a walker may also be: it says whether an address of p is now
// known that p's last visit did not try. A peer that failed for whatever reason
// then gets a second visit.
type Learner[P comparable] interface {
	Learnt(p P) bool
}

// Namer is what a walker may also be: it writes the ID of a peer as
// Visit.PeerID does. An opt-out list that names peers needs it.
type Namer[P comparable] interface {
	PeerID(p P) string
}

// Sink keeps what a crawl saw. Visits and Edges take over the slices they are
// given; they may be called with the same rows again after an error.
type Sink interface {
	BeginCrawl(ctx context.Context, c observation.Crawl) error
	Visits(ctx context.Context, v []observation.Visit) error
	Edges(ctx context.Context, e []observation.Edge) error
	// EndCrawl is called once, after everything else, also for a crawl that
	// was cut short; ctx is then a fresh one. It returns nil only when every
	// row of the crawl is safely kept.
	EndCrawl(ctx context.Context, c observation.Crawl) error
}

// FactsSource knows the facts of an address.
type FactsSource interface {
	Lookup(addr netip.Addr) observation.Facts
}
