package ipfs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"

	"canopy/crawler/ipfs/endpoint"
	"canopy/crawler/observation"
)

// maxProtocols bounds what a visit keeps of the protocols of its peer.
const maxProtocols = 128

// visit is one visit under way.
type visit struct {
	s            *walk
	peer         Peer
	again        bool   // the peer was visited before
	place        *place // nil for visits that nobody counts
	known        []multiaddr.Multiaddr
	dialable     int                   // how many of these may be dialled
	cut, lost    int                   // mentions of addresses for which there was no room, see entry
	full         bool                  // there was none for the peer itself
	unreadable   int                   // addresses that are known, and of no kind that we know
	own          []multiaddr.Multiaddr // that the peer itself says it has
	protocolsCut int
	offered      []candidate // of these some may be left for another visit
	dialed       []candidate
	failed       []attempt
	alive        bool // a transport stood
	reached      bool // and the identity was proven
	booked       bookings
	result       observation.Result[Peer]
}

// run talks to the peer once. When ctx ends before it does, there is nothing
// to say about the peer. An error means that this machine cannot dial.
func (v *visit) run(ctx context.Context) error {
	v.result.Peer = v.peer
	v.result.Visit.PeerID = v.peer.String()
	v.result.Visit.VisitedAt = time.Now()
	w := v.s.w
	v.again = w.book.visited(v.peer)
	for {
		v.learn()
		r := w.plan(ctx, v.peer, v.known)
		if err := v.follow(ctx, &r); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if v.reached || r.closed != "" || !w.book.late(v.peer) {
			v.end(&r)
			break
		}
	}
	v.result.Visit.Addresses, v.result.Visit.Relays = endpoint.Texts(v.known), endpoint.Relays(v.known)
	return nil
}

// follow dials what a route offers until the peer is reached, last what may help
// where nothing else did.
func (v *visit) follow(ctx context.Context, r *route) error {
	if len(r.candidates) == 0 {
		v.unreachable(r)
		return nil
	}
	err := v.try(ctx, r.candidates)
	if err != nil || v.reached || ctx.Err() != nil {
		return err
	}
	return v.try(ctx, v.s.w.fallBack(ctx, r, v.peer, v.failed))
}

// try dials those candidates that this visit has not dialled yet: some first,
// and the rest of very many if that costs nobody else anything.
func (v *visit) try(ctx context.Context, list []candidate) error {
	v.offered = append(v.offered, list...)
	list = v.fresh(list)
	some := min(len(list), firstDials)
	if v.s.once {
		some = len(list)
	}
	err := v.contact(ctx, v.take(list[:some]))
	if rest := list[some:]; len(rest) > 0 && err == nil && !v.reached && ctx.Err() == nil {
		err = v.persist(ctx, rest)
	}
	return err
}

// fresh returns the candidates that this visit has not dialled yet: addresses
// learnt while it was under way are tried as well.
func (v *visit) fresh(list []candidate) []candidate {
	return slices.DeleteFunc(slices.Clone(list), func(c candidate) bool { return slices.ContainsFunc(v.dialed, c.same) })
}

// take notes that candidates are dialled.
func (v *visit) take(list []candidate) []candidate {
	v.dialed = append(v.dialed, list...)
	return list
}

// end keeps what the rest of the walk must know of a visit that is over.
func (v *visit) end(r *route) {
	visit, w := &v.result.Visit, v.s.w
	w.load.ended(v.peer, visit.Outcome, visit.Address, v.alive)
	again := v.left() > 0 || visit.Outcome.Retryable()
	open := v.conclude(r)
	w.load.untold(v.peer, open)
	w.book.another(v.peer, open && again)
	if visit.Outcome != observation.Answered && len(v.own) > 0 {
		w.learn(v.peer, v.own)
	}
}

// conclude makes of what came of the addresses what came of the visit. A peer
// that was reached at none of them and has others, which were not dialled, may
// be alive at these: where it is was left open.
func (v *visit) conclude(r *route) (open bool) {
	visit := &v.result.Visit
	untried := v.left() + r.lookups.cut + v.cut
	open = !v.reached && untried > 0 && r.closed == ""
	switch {
	case open:
		visit.Outcome = observation.Unclassified
		visit.Detail = detail(fmt.Sprintf("%d more addresses were not dialled", untried), visit.Detail)
	case v.cut > 0:
		visit.Detail = detail(visit.Detail, fmt.Sprintf("%d more addresses were named than are kept", v.cut))
	}
	if v.lost > 0 {
		visit.Detail = detail(visit.Detail, fmt.Sprintf("%d more addresses that can't be dialled were named than are kept", v.lost))
	}
	return open
}

// left counts the candidates of which it is not known whether the peer is there.
func (v *visit) left() int {
	open := make(map[candidateKey]bool, len(v.offered))
	for _, c := range v.offered {
		open[c.key()] = true
	}
	for _, a := range v.failed {
		delete(open, a.key())
	}
	return len(open)
}

// detail joins what there is to say.
func detail(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return observation.Text(strings.Join(parts, "; "))
}

// learn puts addresses of p into the book.
func (w *Walker) learn(p Peer, addrs []multiaddr.Multiaddr) {
	raw := make([][]byte, len(addrs))
	for i, m := range addrs {
		raw[i] = m.Bytes()
	}
	w.book.learn([]byte(p), raw)
}

// learn takes over what the book knows of the peer by now.
func (v *visit) learn() {
	known := v.s.w.book.take(v.peer)
	v.unreadable, v.cut, v.lost, v.full = 0, known.cut, known.lost, known.full
	for _, raw := range known.addrs {
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
	if len(m) == 0 || slices.ContainsFunc(v.known, m.Equal) {
		return
	}
	dial := v.s.w.mayDial(m, v.peer)
	switch {
	case dial && v.dialable < maxDialable:
		v.dialable++
		v.known = append(v.known, m)
	case dial:
		v.cut++
	case len(v.known)-v.dialable < maxOthers:
		v.known = append(v.known, m)
	default:
		v.lost++
	}
}

// unreachable settles a visit that has nothing to dial.
func (v *visit) unreachable(r *route) {
	visit := &v.result.Visit
	visit.Outcome = observation.NoAddress
	refused := r.refused + r.lookups.refused
	switch {
	case r.closed != "":
		visit.Detail = r.closed
	case v.full:
		visit.Detail = fmt.Sprintf("its addresses were not kept: more than %d peers were named", maxPeers)
	case len(r.relays) > 0:
		visit.Outcome = observation.RelayOnly
		visit.Detail = observation.Text("behind " + relayNames(r.relays))
	case r.lookups.err != nil:
		if timedOut(r.lookups.err) {
			visit.Outcome = observation.Timeout
		}
		visit.Detail = observation.Text(r.lookups.err.Error())
	case refused > 0:
		visit.Detail = fmt.Sprintf("%d addresses outside the space that may be contacted", refused)
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

// protocols writes protocol IDs as they are recorded, the first of very many,
// and says how many are left out.
func protocols(list []string) (texts []string, cut int) {
	seen := make(map[string]bool, len(list))
	for _, p := range list {
		if p = observation.Text(p); !seen[p] {
			seen[p] = true
			texts = append(texts, p)
		}
	}
	cut = max(0, len(texts)-maxProtocols)
	texts = texts[:len(texts)-cut]
	slices.Sort(texts)
	return slices.Clip(texts), cut
}
