package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/testnet/process"
)

// madeUpVisits look like a Mainline crawl: random IDs and addresses, 40 %
// answered, organisations and clients with a long tail.
func madeUpVisits(c observation.Crawl, n int) []observation.Visit {
	r := rand.New(rand.NewPCG(1, 2))
	organisations, agents := rand.NewZipf(r, 1.3, 3, 30_000), rand.NewZipf(r, 1.4, 2, 300)
	visits := make([]observation.Visit, n)
	for i := range visits {
		as := organisations.Uint64()
		addr := netip.AddrFrom4([4]byte{byte(1 + as%220), byte(as / 220), byte(r.Uint32()), byte(r.Uint32())})
		prefix, _ := addr.Prefix(16 + int(as%9))
		visits[i] = observation.Visit{
			Network: c.Network, CrawlID: c.ID, Number: uint32(i), VisitedAt: c.StartedAt.Add(time.Duration(i)*20*time.Microsecond + time.Duration(r.IntN(2000))*time.Millisecond),
			PeerID: fmt.Sprintf("%016x%016x%08x", r.Uint64(), r.Uint64(), r.Uint32()), Address: netip.AddrPortFrom(addr, uint16(1024+r.IntN(64_000))),
			Outcome: observation.Timeout, Queries: 2,
			Facts: observation.Facts{
				Prefix: prefix, ASN: uint32(1000 + as*7), Organisation: fmt.Sprintf("ORG-%d Some Telecom Ltd", as), Country: string([]byte{byte('A' + as%26), byte('A' + as/26%26)}),
				Hosting: observation.HostingClasses()[as%6], Source: "made up", Date: c.StartedAt,
			},
		}
		if v := &visits[i]; r.IntN(10) < 4 {
			v.Outcome, v.Queries, v.Neighbours = observation.Answered, uint32(4+r.IntN(10)), uint32(r.IntN(80))
			v.RTT, v.Agent = time.Duration(20e6+r.ExpFloat64()*150e6), fmt.Sprintf("LT 1.%d", agents.Uint64())
		}
	}
	return visits
}

// BenchmarkVisits writes crawls of 200,000 visits, given in slices of 1,000,
// until each is reconciled and ended.
func BenchmarkVisits(b *testing.B) {
	const n = 200_000
	needEngine(b)
	ctx := context.Background()
	s := migrated(b, "chdb:"+dataDir+"?database="+newDatabase(), Options{})
	visits := madeUpVisits(newCrawl("mainline"), n)
	rows, before := 0, process.CPU()
	b.ReportAllocs()
	for b.Loop() {
		c := newCrawl("mainline")
		for i := range visits {
			visits[i].CrawlID = c.ID
		}
		if err := s.BeginCrawl(ctx, c); err != nil {
			b.Fatal(err)
		}
		for i := 0; i < n; i += 1000 {
			if err := s.Visits(ctx, visits[i:i+1000]); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.EndCrawl(ctx, c); err != nil {
			b.Fatal(err)
		}
		rows += n
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "visits/s")
	b.ReportMetric(float64((process.CPU()-before).Nanoseconds())/float64(rows), "cpu-ns/visit")
	if err := s.conn.Exec(ctx, "OPTIMIZE TABLE visits_log FINAL"); err != nil {
		b.Fatal(err)
	}
	status, err := s.Status(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range status.Tables {
		if t.Name == "visits" {
			b.ReportMetric(float64(t.Bytes)/float64(t.Rows), "bytes/visit")
		}
	}
}

// BenchmarkRead asks what a report asks, of 1,000,000 visits.
func BenchmarkRead(b *testing.B) {
	needEngine(b)
	s := migrated(b, "chdb:"+dataDir+"?database="+newDatabase(), Options{})
	visits := madeUpVisits(newCrawl("mainline"), 200_000)
	for range 5 {
		c := newCrawl("mainline")
		mine := make([]observation.Visit, len(visits))
		copy(mine, visits)
		for i := range mine {
			mine[i].CrawlID = c.ID
		}
		store(b, s, c, mine, nil)
	}
	for b.Loop() {
		rows, err := s.DB().Query("SELECT hosting, organisation, uniqExact(peer_id) FROM visits WHERE network = 'mainline' AND outcome = 'answered' GROUP BY ALL")
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			var hosting, organisation string
			var n uint64
			if err := rows.Scan(&hosting, &organisation, &n); err != nil || strings.Contains(hosting, " ") {
				b.Fatal(hosting, err)
			}
		}
		rows.Close()
	}
}

// BenchmarkProbes writes rounds of 200,000 probes.
func BenchmarkProbes(b *testing.B) {
	const n = 200_000
	needEngine(b)
	ctx := context.Background()
	s := migrated(b, "chdb:"+dataDir+"?database="+newDatabase(), Options{})
	probes := make([]observation.Probe, n)
	for i, v := range madeUpVisits(newCrawl("mainline"), n) {
		probes[i] = observation.Probe{Network: v.Network, PeerID: v.PeerID, Address: v.Address, ProbedAt: v.VisitedAt, Outcome: v.Outcome, RTT: v.RTT, ControlOK: true}
	}
	rows, before := 0, process.CPU()
	b.ReportAllocs()
	for b.Loop() {
		round := make([]observation.Probe, n)
		for i := range probes {
			probes[i].ProbedAt = probes[i].ProbedAt.Add(10 * time.Minute)
		}
		copy(round, probes)
		if err := s.Probes(ctx, round); err != nil {
			b.Fatal(err)
		}
		if err := s.Flush(ctx); err != nil {
			b.Fatal(err)
		}
		rows += n
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "probes/s")
	b.ReportMetric(float64((process.CPU()-before).Nanoseconds())/float64(rows), "cpu-ns/probe")
}
