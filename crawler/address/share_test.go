package address_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"canopy/crawler"
	"canopy/crawler/address"
	"canopy/crawler/mainline"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
	testmainline "canopy/crawler/testnet/mainline"
	"canopy/crawler/testnet/process"
)

// addresses keeps where peers were visited.
type addresses struct{ seen []netip.Addr }

func (*addresses) BeginCrawl(context.Context, observation.Crawl) error { return nil }
func (*addresses) EndCrawl(context.Context, observation.Crawl) error   { return nil }
func (*addresses) Edges(context.Context, []observation.Edge) error     { return nil }

func (a *addresses) Visits(_ context.Context, visits []observation.Visit) error {
	for _, v := range visits {
		a.seen = append(a.seen, v.Address.Addr())
	}
	return nil
}

// BenchmarkShareOfMainlineCrawl tells what facts of addresses cost a crawl: the
// CPU of one look-up in the real table, of an address anywhere, for each visit,
// against the CPU of a crawl without facts. Half of the latter is taken for the
// crawler's, since the network runs in the same process.
func BenchmarkShareOfMainlineCrawl(b *testing.B) {
	dir := filepath.Join("..", "..", ".data")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		b.Skip("the address data set is missing: run make data")
	}
	table, err := address.Open(dir, address.Options{})
	if err != nil {
		b.Fatal(err)
	}
	plan, err := testnet.New(testmainline.Population(), testnet.Size{Nodes: 5000, Horizon: time.Hour}, 1)
	if err != nil {
		b.Fatal(err)
	}
	network, err := testmainline.Start(b.Context(), plan, testmainline.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = network.Close() }()
	for b.Loop() {
		walker, err := mainline.New(mainline.Config{Bootstrap: network.Bootstrap(), Allow: func(netip.AddrPort) bool { return true }})
		if err != nil {
			b.Fatal(err)
		}
		sink, before := &addresses{}, process.CPU()
		if _, err := crawler.Run(b.Context(), walker, sink, crawler.Options{}); err != nil {
			b.Fatal(err)
		}
		crawl := (process.CPU() - before) / 2
		const rounds = 20
		found, x := 0, uint32(1)
		before = process.CPU()
		for range rounds * len(sink.seen) {
			x = x*1664525 + 1013904223
			if table.Lookup(netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})).ASN != 0 {
				found++
			}
		}
		facts := (process.CPU() - before) / rounds
		if found == 0 {
			b.Fatal("nothing was found")
		}
		b.ReportMetric(float64(crawl.Nanoseconds())/float64(len(sink.seen)), "ns-CPU/visit")
		b.ReportMetric(float64(facts.Nanoseconds())/float64(len(sink.seen)), "ns-CPU/facts")
		b.ReportMetric(100*float64(facts)/float64(crawl), "%-of-crawl")
	}
}
