package address

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"canopy/crawler/observation"
)

// npmData opens the data set that make data installs; without it the test is
// skipped at home and fails in CI.
func npmData(t testing.TB) *Table {
	t.Helper()
	dir := filepath.Join("..", "..", ".data")
	if !isDir(filepath.Join(dir, "node_modules", "@ip-location-db", "asn")) {
		if os.Getenv("CI") != "" {
			t.Fatal("the address data set is missing: run make data")
		}
		t.Skip("the address data set is missing: run make data")
	}
	return open(t, dir, Options{})
}

// TestClassesOfWellKnownAddresses pins the class of networks that anyone can
// name, by way of the real table.
func TestClassesOfWellKnownAddresses(t *testing.T) {
	table := npmData(t)
	for addr, want := range map[string]observation.Hosting{
		"95.216.0.1":        observation.HostingHosting,       // Hetzner
		"2a01:4f8::1":       observation.HostingHosting,       // Hetzner
		"1.1.1.1":           observation.HostingHosting,       // Cloudflare
		"73.0.0.1":          observation.HostingResidential,   // Comcast
		"2001:4ca0::1":      observation.HostingInstitutional, // Leibniz-Rechenzentrum: research, though its name says data centre
		"18.9.22.69":        observation.HostingInstitutional, // MIT
		"::ffff:95.216.0.1": observation.HostingHosting,
	} {
		facts, why, matches := table.Explain(netip.MustParseAddr(addr))
		if facts.Hosting != want || why.Reason == "" || len(matches) == 0 {
			t.Errorf("%s: %s, want %s (%+v)", addr, facts.Hosting, want, why)
		}
		if facts.Source != "@ip-location-db/asn" || facts.Date.Format("2006-01-02") != "2026-06-17" {
			t.Errorf("%s: source %q of %s", addr, facts.Source, facts.Date)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	npmData(b)
	for b.Loop() {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		table := open(b, filepath.Join("..", "..", ".data"), Options{})
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-live")
		b.ReportMetric(float64(after.Sys)/(1<<20), "MiB-from-OS")
		runtime.KeepAlive(table)
	}
}

func BenchmarkLookup(b *testing.B) {
	table := npmData(b)
	b.ReportAllocs()
	b.ResetTimer()
	var seed atomic.Uint32
	b.RunParallel(func(pb *testing.PB) {
		x := seed.Add(1) * 2654435761
		asked, found := 0, 0
		for pb.Next() {
			asked++
			x = x*1664525 + 1013904223
			if table.Lookup(netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})).ASN != 0 {
				found++
			}
		}
		if asked > 1000 && found == 0 {
			b.Error("nothing was found")
		}
	})
}
