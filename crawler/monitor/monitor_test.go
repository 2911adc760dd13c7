package monitor

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"canopy/crawler/observation"
)

func testConfig(p *plan, r *record) Config {
	return Config{
		Network: testNetwork, Sink: r,
		Prober: &prober{plan: p, rand: rand.New(rand.NewPCG(7, 7)), last: map[string]observation.Outcome{}},
	}
}

// departures finds when each peer was first missed twice in a row, in rounds
// that count.
func departures(probes []observation.Probe) map[string]time.Time {
	misses, closed := map[string]int{}, map[string]time.Time{}
	for _, probe := range probes {
		switch {
		case probe.Outcome == observation.Answered:
			misses[probe.PeerID] = 0
		case probe.ControlOK:
			if misses[probe.PeerID]++; misses[probe.PeerID] == enoughMisses && closed[probe.PeerID].IsZero() {
				closed[probe.PeerID] = probe.ProbedAt
			}
		}
	}
	return closed
}

// falseDepartures counts peers that were up when they were missed twice.
func falseDepartures(p *plan, probes []observation.Probe) (falsely int) {
	for id, at := range departures(probes) {
		if p.upAt(p.number[id], at) {
			falsely++
		}
	}
	return falsely
}

func maxTime(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func TestOwnOutageIsNobodysDeparture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := newPlan(rand.New(rand.NewPCG(1, 2)), 2000, start, time.Hour, time.Hour, 30*time.Minute)
		p.outage = span{start.Add(25 * time.Minute), start.Add(35 * time.Minute)}
		var r record
		m := observe(p, &r, testConfig(p, &r), time.Hour, 2*time.Hour)
		in, void := 0, 0
		for _, probe := range r.probes {
			if inside(p.outage, probe.ProbedAt) {
				in++
				if !probe.ControlOK || probe.Outcome == observation.Answered {
					void++
				}
			}
		}
		if falsely := falseDepartures(p, r.probes); falsely != 0 {
			t.Errorf("%d false departures", falsely)
		}
		if m.Doubt(p.outage.to.Add(-time.Minute)) == "" || m.Doubt(p.outage.to.Add(5*time.Minute)) != "" {
			t.Error("who asks later is not told of the outage, or of one that was none")
		}
		if in == 0 || void < in*9/10 {
			t.Errorf("%d probes during the outage, %d of them void", in, void)
		}
		s := m.Stats()
		if s.Void == 0 || !s.Trusted || s.Unsent != 0 || int(s.Probes) != len(r.probes) {
			t.Errorf("stats %+v, %d probes recorded", s, len(r.probes))
		}
		// While we were cut off nobody but controls was asked again and again.
		if in > 2000 {
			t.Errorf("%d probes during an outage of ten minutes", in)
		}
	})
}

func TestWaitsAreRandomAndGrowWithUptime(t *testing.T) {
	cfg := Config{Network: testNetwork}.withDefaults()
	w := newWatch(cfg, rand.New(rand.NewPCG(1, 2)))
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	mean := func(uptime time.Duration, misses int) time.Duration {
		var sum time.Duration
		distinct := map[time.Duration]bool{}
		for range 2000 {
			p := &watched{upSince: now.Add(-uptime), misses: misses, index: -1}
			w.schedule(p, now)
			wait := p.due.Sub(now)
			if wait < cfg.Shortest || wait > cfg.Longest {
				t.Fatalf("wait of %s after %s of uptime", wait, uptime)
			}
			sum += wait
			distinct[wait.Round(time.Millisecond)] = true
		}
		if len(distinct) < 1000 {
			t.Errorf("after %s only %d different waits", uptime, len(distinct))
		}
		return sum / 2000
	}
	young, older, old, gone, missed := mean(time.Minute, 0), mean(50*time.Minute, 0), mean(24*time.Hour, 0), mean(0, 2), mean(24*time.Hour, 1)
	if !(young < older && older < old) || gone <= young || missed > 3*time.Minute {
		t.Errorf("mean waits: young %s, older %s, old %s, gone %s, after one miss %s", young, older, old, gone, missed)
	}
}

func visitsOf(n int) []observation.Visit {
	visits := make([]observation.Visit, n)
	for i := range visits {
		visits[i] = observation.Visit{
			PeerID: string(rune('a'+i%26)) + time.Duration(i).String(), Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), 1),
			VisitedAt: time.Now(), Outcome: observation.Answered,
		}
	}
	return visits
}

// The sample depends on nothing but the identity, its size is the share asked
// for, and a smaller one is part of a larger.
func TestSampleIsStableAndBounded(t *testing.T) {
	visits := visitsOf(20_000)
	sample := func(cfg Config, visits []observation.Visit) map[string]bool {
		cfg.Network = testNetwork
		w := newWatch(cfg.withDefaults(), rand.New(rand.NewPCG(1, 2)))
		for _, v := range visits {
			w.answered(observation.Target{PeerID: v.PeerID, Address: v.Address}, v.VisitedAt)
		}
		keys := map[string]bool{}
		for k := range w.peers {
			keys[k] = true
		}
		if len(keys) != len(w.queue) || len(keys) != w.up {
			t.Fatalf("%d peers, %d queued, %d up", len(keys), len(w.queue), w.up)
		}
		return keys
	}
	all := sample(Config{}, visits)
	tenth := sample(Config{Share: 0.1}, visits)
	backwards := slices.Clone(visits)
	slices.Reverse(backwards)
	bounded, reversed := sample(Config{MaxPeers: 3000}, visits), sample(Config{MaxPeers: 3000}, backwards)
	if len(all) != 20_000 || math.Abs(float64(len(tenth))-2000) > 3*math.Sqrt(1800) {
		t.Errorf("all: %d, a tenth: %d of 20,000", len(all), len(tenth))
	}
	if len(bounded) > 3000 || len(bounded) < 2200 || len(bounded) != len(reversed) {
		t.Errorf("bounded: %d and %d peers, want a share of 1/8", len(bounded), len(reversed))
	}
	for k := range bounded {
		if !reversed[k] {
			t.Fatal("the bounded sample depends on the order in which peers were met")
		}
	}
	for k := range tenth {
		if w := newWatch(Config{Network: testNetwork, Share: 0.2}.withDefaults(), nil); w.hashOf(k) > w.limit {
			t.Fatal("the smaller sample is not part of the larger")
		}
	}
}

func TestRestoreClosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := newPlan(rand.New(rand.NewPCG(3, 4)), 300, start, 3*time.Hour, 2*time.Hour, 30*time.Minute)
		var r record
		m := observe(p, &r, testConfig(p, &r), 3*time.Hour, 30*time.Minute, 40*time.Minute, 95*time.Minute)
		if falsely := falseDepartures(p, r.probes); falsely != 0 {
			t.Errorf("%d false departures", falsely)
		}
		for key, peer := range m.watch.peers {
			if !peer.gone() && peer.upSince.After(peer.lastUp) {
				t.Errorf("%s is up since %s and was last up at %s", key, peer.upSince, peer.lastUp)
			}
		}
	})
}

// When most peers leave at one stroke that is a departure, not our trouble;
// peers that are gone are forgotten, and with them their memory.
func TestMassDepartureIsSeenAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := newPlan(rand.New(rand.NewPCG(3, 4)), 200, start, 0, time.Hour, time.Hour)
		for i := range p.spans {
			end := start.Add(10 * time.Hour)
			if i >= 50 {
				end = start.Add(20 * time.Minute)
			}
			p.spans[i] = []span{{start.Add(-time.Hour), end}}
		}
		var r record
		cfg := testConfig(p, &r)
		cfg.Forget = 2 * time.Hour
		m := observe(p, &r, cfg, 4*time.Hour, 8*time.Hour)
		var noticed time.Time
		closed := departures(r.probes)
		for _, at := range closed {
			noticed = maxTime(noticed, at)
		}
		if len(closed) != 150 || noticed.After(start.Add(50*time.Minute)) {
			t.Errorf("%d of 150 departures seen, the last at %s", len(closed), noticed.Sub(start))
		}
		if s := m.Stats(); s.Watched != 50 || s.Up != 50 || len(m.watch.queue) != 50 || len(m.watch.stable) > stableSet {
			t.Errorf("%+v, %d queued", s, len(m.watch.queue))
		}
	})
}

// A store that takes nothing must neither lose probes nor fill the memory.
func TestProbesWaitForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := newPlan(rand.New(rand.NewPCG(3, 4)), 100, start, 0, time.Hour, time.Hour)
		for i := range p.spans {
			p.spans[i] = []span{{start.Add(-time.Hour), start.Add(10 * time.Hour)}}
		}
		var r record
		cfg := testConfig(p, &r)
		cfg.Sink = awaySink{&r, start.Add(time.Hour)}
		m := observe(p, &r, cfg, 2*time.Hour, 8*time.Hour)
		// A control that was asked twice is recorded once, and the round under way at the end is dropped.
		made, lastRound := cfg.Prober.(*prober).made-cfg.Prober.(*prober).lost, 2*controlSize
		if s := m.Stats(); s.Unsent != 0 || len(r.probes) < made-lastRound {
			t.Errorf("%d probes made, %d recorded, stats %+v", made, len(r.probes), s)
		}
		seen := map[observation.Probe]bool{}
		early := 0
		for _, probe := range r.probes {
			if probe.ProbedAt.Before(start.Add(time.Hour)) {
				early++
			}
			if seen[probe] {
				t.Fatal("a probe was recorded twice")
			}
			seen[probe] = true
		}
		if early < made/3 {
			t.Errorf("%d of %d probes are from the hour in which the store was away", early, made)
		}
	})
}

type awaySink struct {
	*record
	until time.Time
}

func (s awaySink) Probes(ctx context.Context, p []observation.Probe) error {
	if time.Now().Before(s.until) {
		return errors.New("away")
	}
	return s.record.Probes(ctx, p)
}

func TestNoNetworkVoidsTheRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := newPlan(rand.New(rand.NewPCG(3, 4)), 20, start, time.Hour, time.Hour, time.Hour)
		var r record
		cfg := testConfig(p, &r)
		cfg.Reachable = func(context.Context) error { return errors.New("no interface is up") }
		m := observe(p, &r, cfg, time.Hour, 2*time.Hour)
		if s := m.Stats(); len(r.probes) != 0 || s.Trusted || s.Last != "no interface is up" || s.Void == 0 {
			t.Errorf("%d probes, %+v", len(r.probes), s)
		}
	})
}

func TestBadSettings(t *testing.T) {
	good := Config{Network: testNetwork, Prober: &prober{}, Sink: &record{}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*Config)
		want  string
	}{
		"no prober":     {func(c *Config) { c.Prober = nil }, "Network, Prober and Sink are needed"},
		"share":         {func(c *Config) { c.Share = 1.5 }, "between 0 and 1"},
		"fixed beat":    {func(c *Config) { c.Longest = c.Shortest }, "three times the shortest"},
		"rate":          {func(c *Config) { c.Rate = -1 }, "limits must be above zero"},
		"negative wait": {func(c *Config) { c.Shortest = -time.Minute }, "three times the shortest"},
		"peers":         {func(c *Config) { c.MaxPeers = -1 }, "limits must be above zero"},
	} {
		bad := good.withDefaults()
		c.spoil(&bad)
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
