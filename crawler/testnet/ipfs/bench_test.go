//go:build linux

package ipfs_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"canopy/crawler/testnet"
	"canopy/crawler/testnet/ipfs"
)

// BenchmarkStart starts networks of hosts that are nearly all up and reports
// what each costs.
func BenchmarkStart(b *testing.B) {
	for _, nodes := range []int{150, 1000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			plan, err := testnet.New(ipfs.Population(), testnet.Size{Nodes: nodes, Dead: 0.2, Horizon: time.Hour}, 1)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				n, err := ipfs.Start(b.Context(), plan, ipfs.Options{})
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				up := float64(len(plan.AliveAt(0)))
				b.ReportMetric(up, "hosts")
				b.ReportMetric(float64(m.Sys-m.HeapReleased)/up/1024, "KiB/host")
				b.ReportMetric(float64(runtime.NumGoroutine())/up, "goroutines/host")
				if err := n.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
