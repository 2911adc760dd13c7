package mainline

import (
	"fmt"
	"sync/atomic"
)

// counters are kept over all walks of a Walker.
type counters struct {
	received atomic.Uint64 // packets
	answered atomic.Uint64 // replies to a query under way
	late     atomic.Uint64 // replies to a query given up before
	dropped  atomic.Uint64 // packets that the kernel threw away
	stalled  atomic.Uint64 // sends put off because our own buffers were full
	strange  atomic.Uint64 // packets that answer nothing we asked
	crowded  atomic.Uint64 // peers that were not visited for others at their address or in its block
}

// tolerable is the share of packets that may be lost to our own load before
// the crawl counts as degraded.
const tolerable = 0.001

// tolerableLate is the share of late replies from which time-outs were too
// short for what is said of silent nodes.
const tolerableLate = 0.01

// Health tells whether trouble of our own bent what was measured, and says how
// much, one sentence each. It may be asked during and after a walk.
func (w *Walker) Health() (degraded bool, notes []string) {
	received, answered := w.counts.received.Load(), w.counts.answered.Load()
	if n := w.counts.dropped.Load(); n > 0 {
		share := float64(n) / float64(n+received)
		degraded = degraded || share > tolerable
		notes = append(notes, fmt.Sprintf("The kernel dropped %d packets for want of receive buffer, %.2g %% of what arrived.", n, 100*share))
	}
	if n := w.counts.late.Load(); n > 0 {
		share := float64(n) / float64(n+answered)
		degraded = degraded || share > tolerableLate
		notes = append(notes, fmt.Sprintf("%d replies, %.2g %%, came after their query was given up.", n, 100*share))
	}
	if n := w.counts.stalled.Load(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d queries were put off because our own send buffer was full.", n))
	}
	if n := w.counts.crowded.Load(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d peers were not visited: there were %d visits to their address already, or %d to its block.",
			n, w.cfg.MaxPerAddress, w.cfg.MaxPerBlock))
	}
	return degraded, append(notes, w.aside...)
}
