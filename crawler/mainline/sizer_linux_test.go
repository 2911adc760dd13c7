package mainline_test

import (
	"context"
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
	truth   int // nodes that are up
	in      int // of them, in the zone
	stray   int // visits outside of the zone
	found   map[string]bool
	marks   []observation.Mark
	lookups []observation.Lookup
}

// crawlZone walks a zone of a planned network with the engine, and a second
// time if again is set.
func crawlZcount01(ctx context.Context, tb testing.TB, n *swarm.Network, bits int, loss float64, o mainline.SizerOptions) (c zoneCrawl) {
	tb.Helper()
	zone, err := mainline.ParseZone([]string{1: "1/1", 2: "2/10", 3: "3/101", 4: "4/1010", 5: "5/10110", 6: "6/101101"}[bits])
	if err != nil {
		tb.Fatal(err)
	}
	cfg := local(n.Bootstrap()...)
	cfg.Zone, cfg.ReadTables, cfg.MinTimeout, cfg.MaxTimeout = zone, false, 60*time.Millisecond, 250*time.Millisecond
	sizer, err := mainline.NewSizer(cfg.Wrapped(func(c net.PacketConn) net.PacketConn { return c }), o)
	if err != nil {
		tb.Fatal(err)
	}
	_ = loss
	defer sizer.Close()
	if _, err := sizer.Mark(ctx); err != nil {
		tb.Fatal(err)
	}
	sink := &zoneSink{found: map[string]bool{}, zone: zone}
	crawl, err := crawler.Run(ctx, newWalker(tb, cfg), sink, crawler.Options{Scope: observation.ScopeLocal, Zone: zone.String()})
	if err != nil || crawl.State != observation.Complete {
		tb.Fatalf("%s, %v: %v", crawl.State, err, crawl.Notes)
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
	c.found, c.stray = sink.found, sink.stray
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
	for _, m := range c.marks {
		if !m.Named {
			continue
		}
		hit, aimed, looked := count01(c.found[m.PeerID]), count01(m.LookedUp), count01(m.Lookup)
		if m.Kind == observation.Planted {
			e.Marks.Planted, e.Marks.PlantedFound, e.Found = e.Marks.Planted+1, e.Marks.PlantedFound+hit, e.Found-hit
			l.Planted, l.PlantedFound = l.Planted+aimed, l.PlantedFound+looked
		} else {
			e.Marks.Confirmed, e.Marks.ConfirmedFound = e.Marks.Confirmed+1, e.Marks.ConfirmedFound+hit
			l.Confirmed, l.ConfirmedFound = l.Confirmed+aimed, l.ConfirmedFound+looked
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
	network := startNetwork(t, testnet.Size{Nodes: 4000, Dead: 0.2}, swarm.Options{Guests: true})
	start := time.Now()
	c := crawlZcount01(t.Context(), t, network, 3, 0, mainline.SizerOptions{Plant: 20, Confirm: 20, Lookups: 40, Wait: 10 * time.Second})
	s := population.Compute(c.evidence(3))
	if c.stray > 0 {
		t.Errorf("%d visits outside of the zone", c.stray)
	}
	for _, m := range c.marks {
		if !m.Named || !c.found[m.PeerID] || !m.Lookup {
			t.Errorf("%+v, found by the walk: %v", m, c.found[m.PeerID])
		}
	}
	t.Logf("%v: %d up, %d in the zone, %+v", time.Since(start), c.truth, c.in, s.Evidence)
	if s.Evidence.Found != c.in {
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
