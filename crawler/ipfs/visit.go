package ipfs

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"

	"canopy/crawler/ipfs/endpoint"
	"canopy/crawler/observation"
)

// Bounds of what a visit keeps.
const (
	maxAddresses = 64
	maxProtocols = 128
)

// visit is one visit under way.
type visit struct {
	s          *walk
	peer       Peer
	again      bool   // the peer was visited before
	place      *place // nil for visits that nobody counts
	known      []multiaddr.Multiaddr
	unreadable int // addresses that are known, and of no kind that we know
	dialed     []candidate
	failed     []attempt
	alive      bool // a transport stood
	booked     bookings
	result     observation.Result[Peer]
}

// run talks to the peer once. When ctx ends before it does, there is nothing
// to say about the peer. An error means that this machine cannot dial.
func (v *visit) run(ctx context.Context) error {
	v.result.Peer = v.peer
	v.result.Visit.PeerID = v.peer.String()
	v.result.Visit.VisitedAt = time.Now()
	w := v.s.w
	v.again = w.book.visited(v.peer)
	for v.learn(); ; v.learn() {
		r := w.plan(ctx, v.peer, v.known)
		if len(r.candidates) == 0 {
			v.unreachable(r)
		} else if err := v.contact(ctx, v.fresh(r.candidates)); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if v.result.Visit.Outcome == observation.Answered || !w.book.late(v.peer) {
			break
		}
	}
	v.result.Visit.Addresses, v.result.Visit.Relays = endpoint.Texts(v.known), endpoint.Relays(v.known)
	w.load.ended(v.peer, v.result.Visit.Outcome, v.result.Visit.Address, v.alive)
	return nil
}

// bookings are the hosts that the pacer knows of: each is booked once a visit.
type bookings []netip.Addr

// take books host unless it is booked already, or returns how long to wait.
func (b *bookings) take(p Pacer, host netip.Addr) (wait time.Duration) {
	if slices.Contains(*b, host) {
		return 0
	}
	if wait = p.Take(host, time.Now()); wait <= 0 {
		*b = append(*b, host)
	}
	return wait
}

// fresh returns the candidates that this visit has not dialled yet, and takes
// them as dialled: addresses learnt while it was under way are tried as well.
func (v *visit) fresh(list []candidate) []candidate {
	list = slices.DeleteFunc(list, func(c candidate) bool {
		return slices.ContainsFunc(v.dialed, func(d candidate) bool { return c.addr == d.addr && c.transport == d.transport })
	})
	v.dialed = append(v.dialed, list...)
	return list
}

// learn takes over what the book knows of the peer by now.
func (v *visit) learn() {
	v.unreadable = 0
	for _, raw := range v.s.w.book.take(v.peer) {
		m, err := multiaddr.NewMultiaddrBytes([]byte(raw))
		if err != nil {
			v.unreadable++
			continue
		}
		v.add(m)
	}
}

// add keeps an address, without the peer's own ID at its end.
func (v *visit) add(m multiaddr.Multiaddr) {
	m = endpoint.Bare(m, string(v.peer))
	if len(v.known) < maxAddresses && len(m) > 0 && !slices.ContainsFunc(v.known, m.Equal) {
		v.known = append(v.known, m)
	}
}

// unreachable settles a visit that has nothing to dial.
func (v *visit) unreachable(r route) {
	visit := &v.result.Visit
	visit.Outcome = observation.NoAddress
	switch {
	case r.optedOut:
		visit.Detail = "asked not to be contacted"
	case len(r.relays) > 0:
		visit.Outcome = observation.RelayOnly
		visit.Detail = observation.Text("behind " + relayNames(r.relays))
	case r.dns != nil:
		if timedOut(r.dns) {
			visit.Outcome = observation.Timeout
		}
		visit.Detail = observation.Text(r.dns.Error())
	case r.refused > 0:
		visit.Detail = fmt.Sprintf("%d addresses outside the space that may be contacted", r.refused)
	case len(r.others) > 0:
		visit.Detail = observation.Text("only addresses that are not dialled: " + strings.Join(r.others, ", "))
		v.s.w.load.passedOver(v.peer)
	case v.unreadable > 0:
		visit.Detail = fmt.Sprintf("only addresses that cannot be read: %d", v.unreadable)
	}
}

func relayNames(relays []string) string {
	names := make([]string, 0, len(relays))
	for _, r := range relays {
		if r == "" {
			names = append(names, "an unnamed relay")
			continue
		}
		names = append(names, "relay "+r)
	}
	return strings.Join(names, ", ")
}

// settle records how a visit failed.
func (v *visit) settle(a attempt) {
	v.result.Visit.Address, v.result.Visit.Transport = a.addr, string(a.transport)
	v.result.Visit.Outcome = a.outcome
	v.result.Visit.Detail = ""
	if a.err != nil {
		v.result.Visit.Detail = observation.Text(string(a.transport) + ": " + firstLine(a.err))
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// protocols writes protocol IDs as they are recorded.
func protocols(list []string) []string {
	texts := make([]string, 0, len(list))
	for _, p := range list {
		texts = append(texts, observation.Text(p))
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	return slices.Clip(texts[:min(len(texts), maxProtocols)])
}
