package mainline

import (
	"context"
	"fmt"

	"canopy/crawler/observation"
)

// feedBatch is how many targets a socket takes at once: few, so that sockets
// of one family share the work.
const feedBatch = 64

// itself explains why an endpoint is no peer.
const itself = "it is ourselves"

// dispatcher hands targets to the sockets of their family. A peer that may not
// be contacted gets its result here.
type dispatcher struct {
	cfg     *Config
	self    *self
	counts  *counters
	feeds   [families]chan []Peer // nil where there is no socket
	queue   [families][]Peer
	seen    *census
	results chan<- []observation.Result[Peer]
}

// run ends when every target was handed over, or with ctx; then the feeds are
// closed.
func (d *dispatcher) run(ctx context.Context, targets <-chan []Peer) {
	defer func() {
		for _, f := range d.feeds {
			if f != nil {
				close(f)
			}
		}
	}()
	for targets != nil || d.queued() > 0 {
		in := targets
		if d.queued() > d.cfg.Slots {
			in = nil // the slots are full; the rest waits in the frontier
		}
		out4, head4 := d.next(ipv4)
		out6, head6 := d.next(ipv6)
		select {
		case <-ctx.Done():
			return
		case batch, ok := <-in:
			if !ok {
				targets = nil
			} else if !d.take(ctx, batch) {
				return
			}
		case out4 <- head4:
			d.queue[ipv4] = d.queue[ipv4][len(head4):]
		case out6 <- head6:
			d.queue[ipv6] = d.queue[ipv6][len(head6):]
		}
	}
}

func (d *dispatcher) queued() int { return len(d.queue[ipv4]) + len(d.queue[ipv6]) }

// next is what may be handed over, and where; nil if nothing is queued.
func (d *dispatcher) next(f family) (chan<- []Peer, []Peer) {
	n := min(len(d.queue[f]), feedBatch)
	if n == 0 {
		return nil, nil
	}
	return d.feeds[f], d.queue[f][:n:n]
}

// take queues a batch by family. It reports false when ctx ended.
func (d *dispatcher) take(ctx context.Context, batch []Peer) bool {
	var refused []observation.Result[Peer]
	for _, p := range batch {
		f := p.family()
		switch {
		case d.feeds[f] == nil:
			refused = append(refused, notContacted(p, fmt.Sprintf("no local %s address to ask from", f)))
		case p.port == 0 || !d.cfg.Allow(p.Addr()):
			refused = append(refused, notContacted(p, "address may not be contacted"))
		case p.ID == d.self.id, d.self.socket(p.Addr()):
			refused = append(refused, notContacted(p, itself))
		case !d.seen.admits(p):
			d.counts.crowded.Add(1)
			refused = append(refused, notContacted(p, fmt.Sprintf("more than %d visits to this address, or %d to its block", d.cfg.MaxPerAddress, d.cfg.MaxPerBlock)))
		default:
			d.queue[f] = append(d.queue[f], p)
		}
	}
	if refused == nil {
		return true
	}
	select {
	case d.results <- refused:
		return true
	case <-ctx.Done():
		return false
	}
}
