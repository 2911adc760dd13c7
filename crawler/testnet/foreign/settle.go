//go:build linux

package foreign

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/anacrolix/dht/v2/krpc"
)

// A swarm has settled when every node names at least so many others, is named
// by as many, and can be reached from the bootstrap over what nodes name.
const enough = 2

// A round asks for one target in each quarter of the key space, so that eight
// nodes an answer show most of a small table. libtorrent ignores who asks more
// than about 5 questions a second.
var (
	quarters = []krpc.ID{{0x20}, {0x60}, {0xa0}, {0xe0}}
	round    = 2 * time.Second
)

// settle returns when the swarm has settled, or says at the deadline what is
// still missing.
func (s *Mainline) settle(ctx context.Context, watch *observer) error {
	return s.await(ctx, watch, addresses(s.nodes))
}

func addresses(nodes []MainlineNode) []netip.AddrPort {
	var all []netip.AddrPort
	for _, n := range nodes {
		all = append(all, n.Address)
	}
	return all
}

// settle6 is settle for the IPv6 halves.
func (s *Mainline) settle6(ctx context.Context) error {
	var all []netip.AddrPort
	for _, n := range s.nodes {
		if n.Address6.IsValid() {
			all = append(all, n.Address6)
		}
	}
	if len(all) == 0 {
		return nil
	}
	watch, err := newObserver(observer6)
	if err != nil {
		return err
	}
	defer watch.Close()
	return s.await(ctx, watch, all)
}

// await asks until the nodes have settled, the first being the bootstrap.
func (s *Mainline) await(ctx context.Context, watch *observer, nodes []netip.AddrPort) error {
	pace := time.NewTicker(round)
	defer pace.Stop()
	var missing []string
	for {
		seen, err := watch.ask(ctx, round/2, nodes, quarters...)
		if err != nil {
			return err
		}
		if ctx.Err() == nil { // a round that was cut short tells nothing
			if missing = seen.unsettled(nodes); len(missing) == 0 {
				s.learn(seen)
				return nil
			}
			s.cfg.Log.Debug("foreign Mainline swarm is settling", "missing", missing)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the swarm settles: %w: %s", context.Cause(ctx), strings.Join(missing, "; "))
		case <-pace.C:
		}
	}
}

// learn adds what was seen to the truth.
func (s *Mainline) learn(seen view) {
	for i := range s.nodes {
		n := &s.nodes[i]
		for _, at := range []netip.AddrPort{n.Address, n.Address6} {
			if seen[at] != nil {
				n.Version = seen[at].version
				n.Names = slices.AppendSeq(n.Names, maps.Keys(seen[at].names))
			}
		}
	}
}

// unsettled says what keeps the nodes from being settled.
func (v view) unsettled(nodes []netip.AddrPort) []string {
	reached := v.reach(nodes[0])
	var missing []string
	for _, n := range nodes {
		names, named := 0, 0
		for _, other := range nodes {
			if other == n {
				continue
			}
			if v.named(n, other) {
				names++
			}
			if v.named(other, n) {
				named++
			}
		}
		if least := min(enough, len(nodes)-1); names < least || named < least || !reached[n] {
			missing = append(missing, fmt.Sprintf("%s names %d, is named by %d", n.Addr(), names, named))
		}
	}
	return missing
}

// reach is every endpoint that can be found from one.
func (v view) reach(from netip.AddrPort) map[netip.AddrPort]bool {
	reached := map[netip.AddrPort]bool{from: true}
	for next := []netip.AddrPort{from}; len(next) > 0; next = next[1:] {
		if v[next[0]] == nil {
			continue
		}
		for n := range v[next[0]].names {
			if !reached[n] {
				reached[n] = true
				next = append(next, n)
			}
		}
	}
	return reached
}
