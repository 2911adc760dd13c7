//go:build linux

package foreign

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/anacrolix/dht/v2/krpc"
)

// A swarm has settled when every node names at least minNames others, is named
// by at least minNamed, and can be reached from the bootstrap over what nodes
// name.
const (
	minNames = 3
	minNamed = 3
)

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
	var all []netip.AddrPort
	for _, n := range s.nodes {
		all = append(all, n.Address)
	}
	pace := time.NewTicker(round)
	defer pace.Stop()
	var missing []string
	for {
		seen, err := watch.ask(ctx, round/2, all, quarters...)
		if err != nil {
			return err
		}
		if ctx.Err() == nil { // a round that was cut short tells nothing
			if missing = s.unsettled(seen); len(missing) == 0 {
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

// unsettled says what keeps the swarm from being settled.
func (s *Mainline) unsettled(seen view) []string {
	reached := map[netip.AddrPort]bool{}
	for next := []netip.AddrPort{s.Bootstrap()}; len(next) > 0; next = next[1:] {
		if reached[next[0]] {
			continue
		}
		reached[next[0]] = true
		for n := range seen[next[0]] {
			next = append(next, n)
		}
	}
	var missing []string
	for _, n := range s.nodes {
		names, named := 0, 0
		for _, other := range s.nodes {
			if other.Address == n.Address {
				continue
			}
			if seen[n.Address][other.Address] {
				names++
			}
			if seen[other.Address][n.Address] {
				named++
			}
		}
		if names < minNames || named < minNamed || !reached[n.Address] {
			missing = append(missing, fmt.Sprintf("%s %s names %d, is named by %d", n.Client, n.Address.Addr(), names, named))
		}
	}
	slices.Sort(missing)
	return missing
}
