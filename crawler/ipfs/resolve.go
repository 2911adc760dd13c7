package ipfs

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
	manet "github.com/multiformats/go-multiaddr/net"

	"canopy/crawler/ipfs/endpoint"
)

// Bounds of name resolution for one peer.
const (
	maxNames    = 16          // different names looked up in a visit
	maxHosts    = 64          // addresses taken of one name, of those that may be dialled
	maxResolved = maxDialable // addresses in all that names stand for
	dnsPatience = 5 * time.Second
)

// lookups is name resolution for one visit. Each name is looked up once,
// however many addresses it is part of.
type lookups struct {
	dns     madns.BasicResolver
	allow   func(netip.Addr) bool
	hosts   map[string][]multiaddr.Multiaddr // that names stand for
	records map[string]bool                  // names whose dnsaddr records were read
	found   int
	refused int   // addresses that may not be contacted
	cut     int   // addresses left out for the bounds above: names that were not looked up, and what names stand for
	err     error // of the last name that could not be resolved
}

func newLookups(cfg *Config) *lookups {
	return &lookups{dns: cfg.Resolver, allow: cfg.Allow, hosts: make(map[string][]multiaddr.Multiaddr), records: make(map[string]bool)}
}

// resolve finds what the named address m of p stands for: more addresses of any
// kind, named hosts among them.
func (l *lookups) resolve(ctx context.Context, p Peer, m multiaddr.Multiaddr) (found []multiaddr.Multiaddr) {
	if m[0].Protocol().Code != multiaddr.P_DNSADDR {
		return l.named(ctx, m)
	}
	for _, text := range l.texts(ctx, m[0].Value()) {
		record, isAddress := strings.CutPrefix(text, "dnsaddr=")
		next, err := multiaddr.NewMultiaddr(record)
		if !isAddress || len(record) > maxAddressBytes || err != nil {
			continue
		}
		base, id := peer.SplitAddr(next)
		switch {
		case id != "" && id != p || len(base) == 0:
		case base[0].Protocol().Code == multiaddr.P_DNSADDR && len(base) == 1:
			found = append(found, l.resolve(ctx, p, base)...)
		default:
			found = append(found, base)
		}
	}
	return found
}

// named puts the addresses of the host that m names in the place of its name.
func (l *lookups) named(ctx context.Context, m multiaddr.Multiaddr) (found []multiaddr.Multiaddr) {
	want := map[int]int{multiaddr.P_DNS4: multiaddr.P_IP4, multiaddr.P_DNS6: multiaddr.P_IP6}[m[0].Protocol().Code]
	for _, ip := range l.addresses(ctx, m[0].Value()) {
		if want == 0 || ip[0].Protocol().Code == want {
			found = append(found, slices.Concat(ip, m[1:]))
		}
	}
	return found
}

// addresses looks up the addresses of a host that may be contacted.
func (l *lookups) addresses(ctx context.Context, name string) []multiaddr.Multiaddr {
	list, known := l.hosts[name]
	if known || !l.may() {
		return list
	}
	ips, err := l.dns.LookupIPAddr(ctx, name)
	if err != nil {
		l.err = err
	}
	for _, ip := range ips {
		addr, ok := netip.AddrFromSlice(ip.IP)
		m, err := manet.FromIP(addr.Unmap().AsSlice())
		switch {
		case !ok || err != nil:
		case !l.allow(addr.Unmap()):
			l.refused++
		case len(list) == maxHosts:
			l.cut++
		default:
			list = append(list, m)
		}
	}
	l.hosts[name] = list
	return list
}

// texts looks up the dnsaddr records of a name
// (https://github.com/multiformats/multiaddr/blob/master/protocols/DNSADDR.md),
// once: records may point to each other.
func (l *lookups) texts(ctx context.Context, name string) []string {
	if l.records[name] || !l.may() {
		return nil
	}
	l.records[name] = true
	list, err := l.dns.LookupTXT(ctx, "_dnsaddr."+name)
	if err != nil {
		l.err = err
	}
	return list
}

// may says whether one more name may be looked up.
func (l *lookups) may() bool {
	if len(l.hosts)+len(l.records) < maxNames {
		return true
	}
	l.cut++
	return false
}

// route is what a visit has to go by.
type route struct {
	candidates []candidate
	spare      []candidate // WebSocket at ports that are said to speak plain TCP
	names      []candidate // WebSocket on hosts whose names are looked up only when all else has failed
	lookups    *lookups
	relays     []string // sorted
	refused    int      // addresses that Allow turned down
	closed     string   // why the peer itself must not be contacted
	others     []string // what the addresses are that are not dialled, sorted
}

// plan sorts out what is known of p, resolves names, and lets Allow decide
// last, on the addresses that would be dialled. Names of WebSocket servers are
// left to fallBack where there is anything else: Kubo makes up one for itself
// that says no more than its other addresses.
func (w *Walker) plan(ctx context.Context, p Peer, known []multiaddr.Multiaddr) route {
	r := route{lookups: newLookups(&w.cfg)}
	switch {
	case p == w.identity.self:
		r.closed = ownID
		return r
	case w.cfg.Refuse(p.String()):
		r.closed = "asked not to be contacted"
		return r
	}
	var names []candidate
	for _, m := range known {
		switch c, k := w.add(&r, p, m); {
		case k != endpoint.Named:
		case c.transport == WS || c.transport == WSS:
			r.names = append(r.names, c)
		default:
			names = append(names, c)
		}
	}
	w.lookUp(ctx, &r, p, names)
	if len(r.candidates) == 0 {
		w.lookUpSpare(ctx, &r, p)
	}
	r.candidates, r.spare = rank(r.candidates)
	slices.Sort(r.relays)
	r.relays = slices.Compact(r.relays)
	slices.Sort(r.others)
	r.others = slices.Compact(r.others)
	return r
}

// ownID explains why a peer is none.
const ownID = "it is our own peer ID"

// fallBack returns what may still be dialled when nothing else of r answered:
// WebSocket at ports where TCP was taken but did not speak libp2p, and on hosts
// that are known by name.
func (w *Walker) fallBack(ctx context.Context, r *route, p Peer, failed []attempt) []candidate {
	spare := slices.DeleteFunc(slices.Clone(r.spare), func(c candidate) bool {
		return !slices.ContainsFunc(failed, func(a attempt) bool { return a.transport == TCP && a.addr == c.addr && stood(a) })
	})
	if len(r.names) > 0 {
		before := len(r.candidates)
		w.lookUpSpare(ctx, r, p)
		spare = append(spare, r.candidates[before:]...)
		r.candidates = r.candidates[:before]
	}
	spare, same := rank(spare)
	return append(spare, same...)
}

// lookUpSpare adds what the names of WebSocket servers resolve to.
func (w *Walker) lookUpSpare(ctx context.Context, r *route, p Peer) {
	names := r.names
	r.names = nil
	w.lookUp(ctx, r, p, names)
}

// lookUp adds what names resolve to. What cannot be resolved is left out.
func (w *Walker) lookUp(ctx context.Context, r *route, p Peer, names []candidate) {
	ctx, cancel := context.WithTimeout(ctx, dnsPatience)
	defer cancel()
	for i := 0; i < len(names); i++ { // dnsaddr records may name hosts
		for _, m := range r.lookups.resolve(ctx, p, names[i].ma) {
			switch c, e := w.look(m, p); {
			case e.Kind == endpoint.Named && (c.transport == WS || c.transport == WSS):
				r.names = append(r.names, c)
			case e.Kind == endpoint.Named:
				names = append(names, c)
			case e.Kind == endpoint.Direct && w.cfg.Allow(c.addr.Addr()) && r.lookups.found == maxResolved:
				r.lookups.cut++
			case e.Kind == endpoint.Direct && w.cfg.Allow(c.addr.Addr()):
				r.lookups.found++
				fallthrough
			default:
				w.add(r, p, m)
			}
		}
	}
}

func (w *Walker) add(r *route, p Peer, m multiaddr.Multiaddr) (candidate, endpoint.Kind) {
	c, e := w.look(m, p)
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

// look reads the shape of an address, as far as its transport is one of those
// that are dialled.
func (w *Walker) look(m multiaddr.Multiaddr, p Peer) (candidate, endpoint.Endpoint) {
	c, e := classify(m, p)
	if c.transport != "" && !slices.Contains(w.cfg.Transports, c.transport) {
		e.Kind = endpoint.Other
	}
	return c, e
}

// mayDial says whether an address of p may be dialled, now or once its name is
// resolved.
func (w *Walker) mayDial(m multiaddr.Multiaddr, p Peer) bool {
	c, e := w.look(m, p)
	return e.Kind == endpoint.Named || e.Kind == endpoint.Direct && w.cfg.Allow(c.addr.Addr())
}
