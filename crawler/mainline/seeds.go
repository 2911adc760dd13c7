package mainline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"canopy/crawler/observation"
)

// seedTries is how often each bootstrap node is asked before it is given up;
// each try sends twice.
const seedTries = 2

// entry is one bootstrap name and what came of it.
type entry struct {
	name  string
	addrs []netip.AddrPort
	why   string // it gave nothing
}

// entries resolves the bootstrap nodes and asks each for nodes near a random
// target. It returns those that answered and the nodes they named. When not
// one answered, the error names each and says why.
func (w *Walker) entries(ctx context.Context) ([]Peer, error) {
	if len(w.cfg.Bootstrap) == 0 {
		return nil, errors.New("find bootstrap nodes: none is configured")
	}
	entries := w.resolve(ctx)
	var last error
	for range seedTries {
		results, err := w.ask(ctx, entries)
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("ask bootstrap nodes: %w", context.Cause(ctx))
		}
		if seeds := harvest(results); len(seeds) > 0 {
			w.aside = asides(results, w.id.String())
			return seeds, nil
		}
		last = refusal(entries, results)
	}
	return nil, last
}

// resolve looks the names up. A name may stand for several addresses.
func (w *Walker) resolve(ctx context.Context) []entry {
	entries := make([]entry, len(w.cfg.Bootstrap))
	for i, name := range w.cfg.Bootstrap {
		e := &entries[i]
		e.name = name
		host, port, _ := net.SplitHostPort(name) // New has checked both
		number, _ := strconv.ParseUint(port, 10, 16)
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			e.why = fmt.Sprintf("can't be resolved (%v)", err)
			continue
		}
		for _, ip := range ips {
			if addr := netip.AddrPortFrom(ip.Unmap(), uint16(number)); w.cfg.Allow(addr) {
				e.addrs = append(e.addrs, addr)
			}
		}
		if len(e.addrs) == 0 {
			e.why = fmt.Sprintf("stands for %s, which may not be contacted (loopback and private addresses need --local)", ips)
		}
	}
	return entries
}

// ask sends every entry one query.
func (w *Walker) ask(ctx context.Context, entries []entry) ([]observation.Result[Peer], error) {
	targets := make(chan []Peer, 1)
	results := make(chan []observation.Result[Peer])
	var batch []Peer
	for _, e := range entries {
		for _, a := range e.addrs {
			batch = append(batch, Peer{addr: a.Addr().As16(), port: a.Port()})
		}
	}
	targets <- batch
	close(targets)
	done := make(chan error, 1)
	go func() {
		done <- w.walk(ctx, modeSeed, targets, results)
		close(results)
	}()
	var all []observation.Result[Peer]
	for batch := range results {
		all = append(all, batch...)
	}
	return all, <-done
}

// harvest lists the bootstrap nodes that answered, then what they named.
func harvest(results []observation.Result[Peer]) []Peer {
	var set heard
	for _, r := range results {
		if r.Visit.Outcome == observation.Answered {
			set.add(r.Peer)
		}
	}
	for _, r := range results {
		for _, n := range r.Neighbours {
			set.add(n)
		}
	}
	return set.take()
}

// asides says of each bootstrap node that is ourselves, or answers with our own
// ID, that it is no peer.
func asides(results []observation.Result[Peer], id string) (notes []string) {
	for _, r := range results {
		switch v := r.Visit; {
		case v.Outcome == observation.WrongIdentity && strings.Contains(v.Detail, id):
			notes = append(notes, fmt.Sprintf("The entry point %s answered with our own ID: it was set aside, and the %d nodes that it named are used.",
				v.Address, len(r.Neighbours)))
		case v.Outcome == observation.NoAddress && v.Detail == itself:
			notes = append(notes, fmt.Sprintf("The entry point %s was set aside: %s.", v.Address, itself))
		}
	}
	return notes
}

// refusal says for each entry why it gave nothing.
func refusal(entries []entry, results []observation.Result[Peer]) error {
	outcomes := map[netip.AddrPort]string{}
	for _, r := range results {
		text := string(r.Visit.Outcome)
		if r.Visit.Outcome == observation.Timeout {
			text = "no answer"
		}
		if r.Visit.Detail != "" {
			text += " (" + r.Visit.Detail + ")"
		}
		outcomes[r.Visit.Address] = text
	}
	var parts []string
	for _, e := range entries {
		why := e.why
		for _, a := range e.addrs {
			if why != "" {
				why += ", "
			}
			if a.String() != e.name {
				why += a.String() + " "
			}
			why += outcomes[a]
		}
		parts = append(parts, e.name+": "+why)
	}
	return fmt.Errorf("no bootstrap node answered: %s; check the addresses and the network", strings.Join(parts, "; "))
}
