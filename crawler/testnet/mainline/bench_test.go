//go:build linux

package mainline_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/testnet"
	"canopy/crawler/testnet/mainline"
)

// BenchmarkPlan reports what a planned node costs.
func BenchmarkPlan(b *testing.B) {
	for _, nodes := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			for b.Loop() {
				before := inUse()
				plan, err := testnet.New(mainline.Population(), testnet.Size{Nodes: nodes, Dead: 0.3, Horizon: time.Minute}, 1)
				if err != nil {
					b.Fatal(err)
				}
				view := plan.At(0)
				b.ReportMetric((inUse()-before)/float64(len(plan.Nodes)), "B/node")
				runtime.KeepAlive(view)
			}
		})
	}
}

func inUse() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkFindNode asks many nodes, as many questions at once as fit a
// window, and reports the swarm's cost with the asker's in it.
func BenchmarkFindNode(b *testing.B) {
	for _, nodes := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			plan, err := testnet.New(mainline.Population(), testnet.Size{Nodes: nodes, Dead: 0.3, Horizon: time.Minute}, 1)
			if err != nil {
				b.Fatal(err)
			}
			network, err := mainline.Start(b.Context(), plan, mainline.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer network.Close()
			flood(b, network.Plan())
		})
	}
}

const window = 64

func flood(b *testing.B, plan *testnet.Plan) {
	alive := plan.At(0).Alive()
	conn := ipv4.NewPacketConn(newAskerConn(b))
	out, in := make([]ipv4.Message, window), make([]ipv4.Message, window)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, 2048)}
		out[i].Buffers = [][]byte{nil}
	}
	ask := krpc.Ask{ID: krpc.ID{1}, ReadOnly: true}
	b.ReportAllocs()
	asked := 0
	for b.Loop() {
		for i := range out {
			node := &plan.Nodes[alive[asked%len(alive)]]
			target := krpc.ID(node.Key[:])
			target[asked/len(alive)/8%2] ^= 1 << (asked % 8)
			out[i].Buffers[0] = ask.AppendFindNode(out[i].Buffers[0][:0], []byte("abcd"), &target)
			out[i].Addr = udpAddr(node)
			asked++
		}
		for sent := 0; sent < window; {
			n, err := conn.WriteBatch(out[sent:], 0)
			if err != nil {
				b.Fatal(err)
			}
			sent += n
		}
		for got := 0; got < window; {
			n, err := conn.ReadBatch(in, 0)
			if err != nil {
				b.Fatal(err)
			}
			got += n
		}
	}
	b.ReportMetric(float64(asked)/b.Elapsed().Seconds(), "queries/s")
}
