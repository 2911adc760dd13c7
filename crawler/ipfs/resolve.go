package ipfs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"

	"canopy/crawler/ipfs/endpoint"
)

// Bounds of name resolution for one peer.
const (
	maxNames     = 4 // names looked up
	maxResolved  = 32
	maxRecursion = 4 // dnsaddr records that point to dnsaddr records
	dnsPatience  = 5 * time.Second
)

type resolver struct{ dns swarm.ResolverFromMaDNS }

func newResolver(basic madns.BasicResolver) (*resolver, error) {
	r, err := madns.NewResolver(madns.WithDefaultResolver(basic))
	if err != nil {
		return nil, fmt.Errorf("set up name resolution: %w", err)
	}
	return &resolver{swarm.ResolverFromMaDNS{Resolver: r}}, nil
}

// resolve looks names up. What cannot be resolved is left out; err tells why
// the last of these failed.
func (r *resolver) resolve(ctx context.Context, p Peer, names []multiaddr.Multiaddr) (found []multiaddr.Multiaddr, err error) {
	ctx, cancel := context.WithTimeout(ctx, dnsPatience)
	defer cancel()
	for _, m := range names[:min(len(names), maxNames)] {
		var list []multiaddr.Multiaddr
		var failed error
		if m[0].Protocol().Code == multiaddr.P_DNSADDR {
			list, failed = r.dns.ResolveDNSAddr(ctx, p, m, maxRecursion, maxResolved)
		} else {
			list, failed = r.dns.ResolveDNSComponent(ctx, m, maxResolved)
		}
		if failed != nil {
			err = failed
		}
		found = append(found, list...)
	}
	if len(found) > maxResolved {
		found = found[:maxResolved]
	}
	return found, err
}

// route is what a visit has to go by.
type route struct {
	candidates []candidate
	relays     []string // sorted
	refused    int      // addresses that Allow turned down
	optedOut   bool     // Refuse turned down the peer itself
	others     []string // what the addresses are that are not dialled, sorted
	dns        error    // why names were not resolved
}

// plan sorts out what is known of p, resolves names, and lets Allow decide
// last, on the addresses that would be dialled. Names of WebSocket servers are
// resolved only where there is nothing else: Kubo makes up one for itself that
// says no more than its other addresses.
func (w *Walker) plan(ctx context.Context, p Peer, known []multiaddr.Multiaddr) route {
	r := route{optedOut: w.cfg.Refuse(p.String())}
	if r.optedOut {
		return r
	}
	var names, late []multiaddr.Multiaddr
	for _, m := range known {
		switch c, k := w.add(&r, p, m); {
		case k != endpoint.Named:
		case c.transport == WS || c.transport == WSS:
			late = append(late, c.ma)
		default:
			names = append(names, c.ma)
		}
	}
	w.addNamed(ctx, &r, p, names)
	if len(r.candidates) == 0 {
		w.addNamed(ctx, &r, p, late)
	}
	r.candidates = rank(r.candidates)
	slices.Sort(r.relays)
	r.relays = slices.Compact(r.relays)
	slices.Sort(r.others)
	r.others = slices.Compact(r.others)
	return r
}

// addNamed adds what the names resolve to.
func (w *Walker) addNamed(ctx context.Context, r *route, p Peer, names []multiaddr.Multiaddr) {
	if len(names) == 0 {
		return
	}
	found, err := w.resolver.resolve(ctx, p, names)
	r.dns = err
	for _, m := range found {
		w.add(r, p, m)
	}
}

func (w *Walker) add(r *route, p Peer, m multiaddr.Multiaddr) (candidate, endpoint.Kind) {
	c, e := classify(m, p)
	if c.transport != "" && !slices.Contains(w.cfg.Transports, c.transport) {
		e.Kind = endpoint.Other
	}
	switch {
	case e.Kind == endpoint.Relayed:
		r.relays = append(r.relays, e.Relay)
	case e.Kind == endpoint.Direct && !w.cfg.Allow(c.addr.Addr()):
		r.refused++
	case e.Kind == endpoint.Direct:
		r.candidates = append(r.candidates, c)
	case e.Kind == endpoint.Other:
		r.others = append(r.others, notDialled(m, p))
	}
	return c, e.Kind
}
