// Package mainline walks the BitTorrent Mainline DHT: it asks every node that
// it hears of for other nodes and reports what each one answered.
//
// One goroutine per socket receives, parses in place, advances the visit that
// a reply belongs to and sends the next query. A visit has at most one query
// under way, so the transaction ID is the visit's slot and a generation; a
// reply counts only with the right ID, from the address asked, with the node
// ID asked for.
package mainline

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// Network describes Mainline (BEP 5).
func Network() observation.Network {
	return observation.Network{
		Name: "mainline", Title: "BitTorrent Mainline DHT", K: replyNodes, Alpha: 3, IDBits: 8 * krpc.IDLen,
		Distance: "xor", Identity: "node ID and endpoint", KeyDerivation: "hex",
	}
}

// Walker visits nodes of the Mainline DHT. It is safe for one walk at a time.
type Walker struct {
	cfg    Config
	id     krpc.ID // ours: read-only nodes are in nobody's table, so any will do
	counts counters
	aside  []string // what a reader must know of entry points that are no peers, one sentence each
}

// New checks the configuration. Nothing is opened before Seeds or Walk.
func New(cfg Config) (*Walker, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	w := &Walker{cfg: cfg.withDefaults()}
	_, _ = rand.Read(w.id[:]) // never fails since Go 1.24
	return w, nil
}

// PeerID writes the ID of p in hexadecimal.
func (w *Walker) PeerID(p Peer) string { return p.ID.String() }

// Network describes Mainline.
func (w *Walker) Network() observation.Network { return Network() }

// Walk visits every peer that arrives on targets and sends one Result for each
// to results, in batches. It returns nil when targets is closed and every
// visit is done, or when ctx ends; visits that were under way then are not
// reported. An error means that no socket could be opened or one broke.
func (w *Walker) Walk(ctx context.Context, targets <-chan []Peer, results chan<- []observation.Result[Peer]) error {
	m := modeSurvey
	if w.cfg.ReadTables {
		m = modeTables
	}
	return w.walk(ctx, m, targets, results)
}

func (w *Walker) walk(ctx context.Context, m mode, targets <-chan []Peer, results chan<- []observation.Result[Peer]) error {
	sockets, err := openSockets(w.cfg)
	if err != nil {
		return err
	}
	self := newSelf(w.id, sockets)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var feeds [families]chan []Peer
	var wg sync.WaitGroup
	var want krpc.Want
	for _, s := range sockets {
		want |= s.family.want()
	}
	for _, s := range sockets {
		if feeds[s.family] == nil {
			feeds[s.family] = make(chan []Peer)
		}
		l := newLoop(w, s, self, want, m, feeds[s.family], results)
		wg.Go(func() {
			defer func() { _ = s.close() }() // nothing is buffered
			if err := l.run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	d := dispatcher{cfg: &w.cfg, self: self, counts: &w.counts, feeds: feeds, seen: newCensus(&w.cfg), results: results}
	d.run(ctx, targets)
	wg.Wait()
	if broken := (*socketError)(nil); errors.As(context.Cause(ctx), &broken) {
		return broken
	}
	return nil // done, or told to stop
}
