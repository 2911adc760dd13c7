package ipfs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
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
	relays     []Peer // sorted
	refused    int    // addresses that Allow turned down
	optedOut   bool   // Refuse turned down the peer itself
	others     int    // addresses of transports that are not dialled
	dns        error  // why names were not resolved
}

// plan sorts out what is known of p, resolves names, and lets Allow decide
// last, on the addresses that would be dialled.
func (w *Walker) plan(ctx context.Context, p Peer, known []multiaddr.Multiaddr) route {
	r := route{optedOut: w.cfg.Refuse(p.String())}
	if r.optedOut {
		return r
	}
	var names []multiaddr.Multiaddr
	for _, m := range known {
		if w.add(&r, p, m) == named {
			names = append(names, m)
		}
	}
	if len(names) > 0 {
		var found []multiaddr.Multiaddr
		found, r.dns = w.resolver.resolve(ctx, p, names)
		for _, m := range found {
			w.add(&r, p, m)
		}
	}
	r.candidates = rank(r.candidates)
	slices.Sort(r.relays)
	r.relays = slices.Compact(r.relays)
	return r
}

func (w *Walker) add(r *route, p Peer, m multiaddr.Multiaddr) kind {
	c, k := classify(m, p)
	switch {
	case k == relayed:
		r.relays = append(r.relays, relayOf(m))
	case k == direct && !w.cfg.Allow(c.addr.Addr()):
		r.refused++
	case k == direct && slices.Contains(w.cfg.Transports, c.transport):
		r.candidates = append(r.candidates, c)
	case k != named:
		r.others++
	}
	return k
}
