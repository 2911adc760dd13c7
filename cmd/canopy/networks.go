package main

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/spf13/pflag"

	"canopy/crawler"
	"canopy/crawler/monitor"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
)

// network is all that the commands know of one network. A third network is one
// more line in networks.
type network struct {
	name, title   string
	bootstrapForm string // of --bootstrap, for people
	example       string
	flags         func(*pflag.FlagSet, *crawlOptions)   // flags of its own, may be nil
	walker        func(walkerOptions) (walkFunc, error) // fails when the options can't be meant
	checker       func(walkerOptions) (checker, error)  // the same
	prober        func(walkerOptions) (prober, error)

	population testnet.Population
	demo       testnet.Size // of the demo, and of a test network unless flags say otherwise
	start      func(context.Context, *testnet.Plan, *slog.Logger) (localNetwork, error)
}

// networks are all networks that Canopy knows.
var networks = []network{mainlineNetwork, ipfsNetwork}

// walkerOptions are what a walker is made from.
type walkerOptions struct {
	crawl  crawlOptions
	allow  func(netip.Addr) bool
	refuse func(peerID string) bool // must this peer not be contacted?
	pacer  *crawler.Pacer
	recent func(context.Context) []string // addresses of peers that answered not long ago, each with /p2p/ and the peer's ID
	logger *slog.Logger
}

// walkFunc is crawler.Run with a walker that was made.
type walkFunc func(context.Context, crawler.Sink, crawler.Options) (observation.Crawl, error)

// prober asks single peers of one network.
type prober interface {
	monitor.Prober
	Network() observation.Network
	Close() error
}

// localNetwork is a planned network that runs on loopback.
type localNetwork interface {
	Bootstrap() []string
	// Advance brings the network to its plan at virtual time t.
	Advance(ctx context.Context, t time.Duration) error
	Plan() *testnet.Plan // as it runs: at the ports that were free
	Truth() testnet.Truth
	Close() error
}
