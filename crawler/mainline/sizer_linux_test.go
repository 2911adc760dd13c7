package mainline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"canopy/analysis/population"
	"canopy/crawler"
	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
	swarm "canopy/crawler/testnet/mainline"
)

// lossy loses what a node of ours sends and receives, as light nodes do.
type lossy struct {
	net.PacketConn
	loss float64
}

func (l lossy) WriteTo(b []byte, to net.Addr) (int, error) {
	if rand.Float64() < l.loss {
		return len(b), nil
	}
	return l.PacketConn.WriteTo(b, to)
}

func (l lossy) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.PacketConn.ReadFrom(b)
		if err != nil || rand.Float64() >= l.loss {
			return n, from, err
		}
	}
}

// zoneCrawl is one walk of a zone and what was learned beside it.
type zoneCrawl struct {
	truth   int             // nodes that are up
	in      int             // of them, in the zone
	stray   int             // visits outside of the zone
	found   map[string]bool // by the second walk
	earlier map[string]bool // by the first
	marks   []observation.Mark
	lookups []observation.Lookup
}

// crawlZone walks a zone of a planned network twice with the engine. loss is
// that of our own nodes, which should be as lossy as the others.
func crawlZone(ctx context.Context, tb testing.TB, n *swarm.Network, bits int, loss float64, o mainline.SizerOptions) (c zoneCrawl) {
	tb.Helper()
	cfg := local(n.Bootstrap()...)
	if loss > 0 {
		cfg = cfg.Wrapped(func(c net.PacketConn) net.PacketConn { return lossy{c, loss} })
	}
	return crawlZoneFrom(ctx, tb, cfg, n, bits, o)
}

// crawlZoneFrom does so from where cfg says.
func crawlZoneFrom(ctx context.Context, tb testing.TB, cfg mainline.Config, n *swarm.Network, bits int, o mainline.SizerOptions) (c zoneCrawl) {
	tb.Helper()
	zone, err := mainline.ParseZone([]string{1: "1/1", 2: "2/10", 3: "3/101", 4: "4/1010", 5: "5/10110", 6: "6/101101"}[bits])
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Zone, cfg.ReadTables, cfg.MinTimeout, cfg.MaxTimeout = zone, false, time.Second, 8*time.Second
	sizer, err := mainline.NewSizer(cfg, o)
	if err != nil {
		tb.Fatal(err)
	}
	defer sizer.Close()
	if _, err := sizer.Mark(ctx); err != nil {
		tb.Fatal(err)
	}
	var sinks [2]*zoneSink
	for i := range sinks {
		sinks[i] = &zoneSink{found: map[string]bool{}, zone: zone}
		crawl, err := crawler.Run(ctx, sizer.Walker(), sinks[i], crawler.Options{Scope: observation.ScopeLocal, Zone: zone.String()})
		if err != nil || crawl.State == observation.CutShort {
			tb.Fatalf("%s, %v: %v", crawl.State, err, crawl.Notes)
		}
	}
	if c.lookups, c.marks, err = sizer.Measure(ctx); err != nil {
		tb.Fatal(err)
	}
	for _, number := range n.Plan().At(0).Alive() {
		c.truth++
		if id := planned(tb, &n.Plan().Nodes[number]).ID; zone.Contains(&id) {
			c.in++
		}
	}
	c.earlier, c.found, c.stray = sinks[0].found, sinks[1].found, sinks[0].stray+sinks[1].stray
	return c
}

// zoneSink keeps the IDs of nodes that answered.
type zoneSink struct {
	zone  mainline.Zone
	found map[string]bool
	stray int
}

func (s *zoneSink) BeginCrawl(context.Context, observation.Crawl) error { return nil }
func (s *zoneSink) Edges(context.Context, []observation.Edge) error     { return nil }
func (s *zoneSink) EndCrawl(context.Context, observation.Crawl) error   { return nil }
func (s *zoneSink) Visits(_ context.Context, visits []observation.Visit) error {
	for i := range visits {
		if id, err := krpc.ParseID(visits[i].PeerID); err != nil || !s.zone.Contains(&id) {
			s.stray++
		}
		if visits[i].Outcome == observation.Answered {
			s.found[visits[i].PeerID] = true
		}
	}
	return nil
}

// evidence counts as the record would.
func (c *zoneCrawl) evidence(bits int) population.Evidence {
	e := population.Evidence{Bits: bits, Found: len(c.found), Distances: &population.Distances{K: 8}}
	l := &e.Distances.Marks
	own := map[string]bool{}
	for _, m := range c.marks {
		if !m.Named {
			continue
		}
		hit, aimed, looked := count01(c.found[m.PeerID]), count01(m.LookedUp), count01(m.Lookup)
		if m.Kind == observation.Planted {
			own[m.PeerID] = true
			e.Marks.Planted, e.Marks.PlantedFound, e.Found = e.Marks.Planted+1, e.Marks.PlantedFound+hit, e.Found-hit
			l.Planted, l.PlantedFound = l.Planted+aimed, l.PlantedFound+looked
		} else {
			e.Marks.Confirmed, e.Marks.ConfirmedFound = e.Marks.Confirmed+1, e.Marks.ConfirmedFound+hit
			l.Confirmed, l.ConfirmedFound = l.Confirmed+aimed, l.ConfirmedFound+looked
		}
	}
	e.Pair = &population.Pair{Second: e.Found}
	for id := range c.earlier {
		if !own[id] {
			e.Pair.First++
			e.Pair.Both += count01(c.found[id])
		}
	}
	for _, l := range c.lookups {
		if l.Found == l.K {
			e.Distances.Lookups++
			e.Distances.Sum += l.Distance
		} else {
			e.Distances.Short++
		}
	}
	return e
}

func TestZoneOfAPlannedNetwork(t *testing.T) {
	t.Parallel() // most of it is the pace towards one address
	network := startNetwork(t, testnet.Size{Nodes: 2000, Dead: 0.1}, swarm.Options{Guests: true})
	c := crawlZone(t.Context(), t, network, 2, 0, mainline.SizerOptions{Plant: 12, Confirm: 12, Lookups: 32, Wait: 10 * time.Second})
	checkZone(t, &c)
}

// checkZone asserts that a zone of 2 bits was walked whole and its network
// estimated well.
func checkZone(t *testing.T, c *zoneCrawl) {
	t.Helper()
	s := population.Compute(c.evidence(2))
	if c.stray > 0 {
		t.Errorf("%d visits outside of the zone", c.stray)
	}
	missed := 0 // a starved machine misses answers, which is what marks are for
	for _, m := range c.marks {
		if !m.Named || !c.found[m.PeerID] || !m.Lookup {
			missed++
			t.Logf("%+v, found by the walk: %v", m, c.found[m.PeerID])
		}
	}
	if missed > len(c.marks)/6 {
		t.Errorf("%d of %d marks were missed", missed, len(c.marks))
	}
	t.Logf("%d up, %d in the zone, %+v", c.truth, c.in, s.Evidence)
	if s.Evidence.Found > c.in || s.Evidence.Found < c.in*98/100 {
		t.Errorf("%d nodes found in the zone, %d are there", s.Evidence.Found, c.in)
	}
	for name, a := range map[string]population.Answer{"corrected": s.Corrected, "distances": s.Distances} {
		if a.Estimate == nil {
			t.Fatalf("%s: %s", name, a.Absent)
		}
		t.Logf("%s %.0f (%.0f-%.0f) of %d", name, a.Estimate.Value, a.Estimate.Lower, a.Estimate.Upper, c.truth)
		if ratio := a.Estimate.Value / float64(c.truth); ratio < 0.75 || ratio > 1.33 {
			t.Errorf("%s: %+v, truth %d", name, a.Estimate, c.truth)
		}
	}
}

func count01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// BenchmarkSizeOverSockets estimates 20 planned networks over real sockets,
// whose nodes lose up to 30 % of the packets each way, so that as many of
// the living stay unfound.
func BenchmarkSizeOverSockets(b *testing.B) {
	for b.Loop() {
		const networks = 20
		var covered, present [3]int
		var bias [3]float64
		naive, missing := 0.0, 0.0
		for run := range networks {
			loss := 0.3 * float64(run) / (networks - 1)
			people := swarm.Population()
			identity := people.Identity
			people.Identity = func(seed uint64, number int) (testnet.Key, string) { return identity(seed+uint64(run), number) }
			network := startPopulation(b, people, testnet.Size{Nodes: 1500 + 200*run}, swarm.Options{Guests: true, Loss: loss})
			c := crawlZone(b.Context(), b, network, 2, loss, mainline.SizerOptions{Plant: 40, Confirm: 40, Lookups: 60, Wait: 5 * time.Second})
			if err := network.Close(); err != nil {
				b.Fatal(err)
			}
			s := population.Compute(c.evidence(2))
			truth := float64(c.truth)
			line := fmt.Sprintf("%5d up, loss %4.1f %%, marks %d of %d, by lookups %d of %d:", c.truth, 100*loss,
				s.Evidence.Marks.Found(), s.Evidence.Marks.Total(), s.Evidence.Distances.Marks.Found(), s.Evidence.Distances.Marks.Total())
			for i, a := range []population.Answer{s.Corrected, s.Distances, s.Floor} {
				if e := a.Estimate; e != nil {
					present[i]++
					bias[i] += e.Value/truth - 1
					covered[i] += count01(e.Lower <= truth && truth <= e.Upper)
					line += fmt.Sprintf("  %.0f (%.0f-%.0f)", e.Value, e.Lower, e.Upper)
				}
			}
			naive += s.Naive/truth - 1
			missing += 1 - float64(s.Evidence.Found)/float64(c.in)
			b.Logf("%s  naive %.0f, agree %v", line, s.Naive, s.Agreement.Agree)
		}
		for i, name := range []string{"corrected", "distances", "floor"} {
			b.Logf("%-10s wanted 93 to 97 %% covered, bias under 1 %%; measured: covers the truth in %d of %d networks, mean bias %+.1f %%", name, covered[i], present[i], 100*bias[i]/float64(present[i]))
			b.ReportMetric(100*float64(covered[i])/float64(present[i]), name+"-coverage-%")
			b.ReportMetric(100*bias[i]/float64(present[i]), name+"-bias-%")
		}
		b.Logf("naive zone-scaled count: mean error %+.1f %%; mean share of the zone not found %.1f %%", 100*naive/networks, 100*missing/networks)
		b.ReportMetric(100*naive/networks, "naive-bias-%")
	}
}
