package monitor

import (
	"context"
	"slices"
	"sync"
	"time"

	"canopy/crawler/observation"
)

const (
	roundLength = 30 * time.Second // a round asks no more peers than fit into this at the set rate
	maxUnsent   = 100_000          // probes kept for a sink that takes none; then nobody is asked
)

// answer is how one question went.
type answer struct {
	peer  *watched
	probe observation.Probe
	made  bool // false: we could not ask
}

// round asks the peers that are due. It counts if control peers answered
// before and after it.
func (m *Monitor) round(ctx context.Context) {
	if len(m.unsent) >= maxUnsent {
		m.void("the store takes no probes: nobody is asked until it does")
		return
	}
	var before []answer
	if !m.guardOK || time.Since(m.guardAt) > 3*m.cfg.Round {
		var why string
		before, why = m.guard(ctx, nil)
		if ctx.Err() != nil {
			return
		}
		if why != "" {
			m.settle(before, false)
			m.postpone()
			m.void(why)
			return
		}
	}
	m.mu.Lock()
	due := m.watch.take(time.Now(), max(1, int(m.cfg.Rate*roundLength.Seconds())))
	m.mu.Unlock()
	answers := m.ask(ctx, due)
	controls, why := m.guard(ctx, answers)
	if ctx.Err() != nil {
		return
	}
	if why != "" {
		m.void(why)
	} else {
		m.mu.Lock()
		m.stats.Trusted, m.stats.Last = true, ""
		m.mu.Unlock()
	}
	m.settle(slices.Concat(before, answers, controls), why == "")
}

// guard finds out whether our own network works: nearly all control peers
// answer. The answers of this round stand for controls that were in it, and
// where there are no controls, one answer proves it.
func (m *Monitor) guard(ctx context.Context, round []answer) (asked []answer, why string) {
	defer func() { m.guardOK, m.guardAt = why == "", time.Now() }()
	if err := m.cfg.Reachable(ctx); err != nil {
		return nil, err.Error()
	}
	m.mu.Lock()
	controls := m.watch.controls(time.Now())
	m.mu.Unlock()
	inRound := make(map[*watched]answer, len(round))
	answered := 0
	for _, a := range round {
		inRound[a.peer] = a
		if a.isUp() {
			answered++
		}
	}
	if len(controls) == 0 && answered == 0 && len(round) > 0 {
		return nil, "nobody answered, and no peer is known to be up"
	}
	var ask []*watched
	var verdict []answer
	for _, c := range controls {
		if a, ok := inRound[c]; ok {
			verdict = append(verdict, a)
		} else {
			ask = append(ask, c)
		}
	}
	asked = m.askTwice(ctx, ask)
	if up := m.suspect(append(verdict, asked...)); up < enough(len(controls)) {
		return asked, "peers that should answer were silent"
	}
	return asked, ""
}

// askTwice asks those that are silent once more, since a lost packet is no
// outage, and takes their last word.
func (m *Monitor) askTwice(ctx context.Context, peers []*watched) []answer {
	answers := m.ask(ctx, peers)
	var silent []*watched
	for _, a := range answers {
		if !a.isUp() {
			silent = append(silent, a.peer)
		}
	}
	answers = slices.DeleteFunc(answers, func(a answer) bool { return !a.isUp() })
	return append(answers, m.ask(ctx, silent)...)
}

// enough is how many of n controls must answer: four in five, since those that
// failed before are none any more.
func enough(n int) int { return (4*n + 4) / 5 }

// suspect marks the controls that were silent and counts the others.
func (m *Monitor) suspect(controls []answer) (up int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range controls {
		if a.isUp() {
			up++
		} else {
			a.peer.suspect = true
		}
	}
	return up
}

func (a answer) isUp() bool { return a.made && a.probe.Outcome == observation.Answered }

// ask asks peers at the set rate. It returns one answer for each; when ctx
// ends, they mean nothing.
func (m *Monitor) ask(ctx context.Context, peers []*watched) []answer {
	answers := make([]answer, len(peers))
	for i, p := range peers {
		answers[i].peer = p
	}
	places := make(chan struct{}, m.cfg.Parallel)
	gap := time.Duration(float64(time.Second) / m.cfg.Rate)
	next := time.NewTimer(0)
	defer next.Stop()
	var asking sync.WaitGroup
	defer asking.Wait()
	for i, p := range peers {
		select {
		case <-ctx.Done():
			return answers
		case <-next.C:
			next.Reset(gap)
		}
		select {
		case <-ctx.Done():
			return answers
		case places <- struct{}{}:
		}
		m.mu.Lock()
		target := p.target
		m.mu.Unlock()
		asking.Go(func() {
			defer func() { <-places }()
			probe, err := m.cfg.Prober.Probe(ctx, target)
			if err != nil {
				m.cfg.Logger.Debug("probe", "peer", target.PeerID, "error", err)
				return
			}
			answers[i].probe, answers[i].made = probe, true
		})
	}
	return answers
}

// settle records answers. Silence counts only if the round does.
func (m *Monitor) settle(answers []answer, counts bool) {
	now := time.Now()
	m.mu.Lock()
	for _, a := range answers {
		if !a.made {
			m.stats.Failed++
			m.watch.later(a.peer, now)
			continue
		}
		a.probe.Network, a.probe.ControlOK = m.cfg.Network.Name, counts
		m.unsent = append(m.unsent, a.probe)
		if counts || a.isUp() {
			m.watch.settle(a.peer, a.probe.Outcome, a.probe.ProbedAt)
		} else {
			m.watch.later(a.peer, now)
		}
	}
	m.stats.Unsent = len(m.unsent)
	m.mu.Unlock()
}

// postpone leaves those that are due alone until our network works again.
func (m *Monitor) postpone() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, p := range m.watch.take(now, len(m.watch.queue)) {
		m.watch.later(p, now)
	}
}

func (m *Monitor) void(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stats.Trusted {
		m.cfg.Logger.Warn("probes do not count: our own network is in doubt", "network", m.cfg.Network.Name, "why", why)
	}
	m.stats.Void++
	if !m.stats.Trusted { // the second in a row: no chance any more
		m.doubtAt, m.doubt = time.Now(), why
	}
	m.stats.Trusted, m.stats.Last = false, why
}

// send hands what was recorded to the sink. What it does not take waits for
// the next round.
func (m *Monitor) send(ctx context.Context) error {
	if len(m.unsent) == 0 {
		return nil
	}
	if err := m.cfg.Sink.Probes(ctx, m.unsent); err != nil {
		m.cfg.Logger.Warn("probes wait: the store does not take them", "network", m.cfg.Network.Name, "error", err)
		return err
	}
	m.mu.Lock()
	m.stats.Probes += uint64(len(m.unsent))
	m.stats.Unsent = 0
	m.mu.Unlock()
	m.unsent = nil
	return nil
}
