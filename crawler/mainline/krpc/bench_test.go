package krpc_test

import (
	"testing"
	"time"

	oracle "github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/torrent/bencode"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/testnet/process"
)

// BenchmarkDecode reads a find_node reply of 8 nodes; "times-krpc" is how many
// times longer anacrolix/dht's codec takes for the same packet.
func BenchmarkDecode(b *testing.B) {
	packet := bencode.MustMarshal(oracleReply())
	var m krpc.Message
	b.ReportAllocs()
	start := process.CPU()
	for b.Loop() {
		if err := krpc.Decode(packet, &m); err != nil || m.Nodes.Len() != 8 {
			b.Fatal(err)
		}
	}
	own := perOp(b, start)
	times := ratio(b, own, func() {
		var msg oracle.Msg
		if err := bencode.Unmarshal(packet, &msg); err != nil {
			b.Fatal(err)
		}
	})
	b.Logf("wanted: 0 allocations, under 200 ns, at least 20 times faster than krpc; measured: %.0f allocations, %.0f ns of CPU, %.1f times",
		testing.AllocsPerRun(100, func() { _ = krpc.Decode(packet, &m) }), own, times)
}

// BenchmarkDecodeNodes reads the same reply and every node in it.
func BenchmarkDecodeNodes(b *testing.B) {
	packet := bencode.MustMarshal(oracleReply())
	var m krpc.Message
	ports := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := krpc.Decode(packet, &m); err != nil {
			b.Fatal(err)
		}
		for i := range m.Nodes.Len() {
			ports += int(m.Nodes.At(i).Addr.Port())
		}
	}
	if ports == 0 {
		b.Fatal("no nodes were read")
	}
}

// BenchmarkEncode writes a find_node query.
func BenchmarkEncode(b *testing.B) {
	ask := krpc.Ask{ID: id(1), Version: []byte("CY\x00\x01"), ReadOnly: true, Want: krpc.WantNodes | krpc.WantNodes6}
	target, tid := id(2), []byte("abcd")
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	start := process.CPU()
	for b.Loop() {
		buf = ask.AppendFindNode(buf[:0], tid, &target)
	}
	own := perOp(b, start)
	same := oracle.Msg{
		T: "abcd", Y: "q", Q: "find_node", ClientId: "CY\x00\x01", ReadOnly: true,
		A: &oracle.MsgArgs{ID: oracle.ID(id(1)), Target: oracle.ID(target), InfoHash: oracle.ID(target), Want: []oracle.Want{"n4", "n6"}},
	}
	ratio(b, own, func() { bencode.MustMarshal(same) })
	b.Logf("wanted: 0 allocations; measured: %.0f", testing.AllocsPerRun(100, func() { buf = ask.AppendFindNode(buf[:0], tid, &target) }))
}

// BenchmarkEncodeReply writes a find_node reply of 8 nodes.
func BenchmarkEncodeReply(b *testing.B) {
	var m krpc.Message
	if err := krpc.Decode(bencode.MustMarshal(oracleReply()), &m); err != nil {
		b.Fatal(err)
	}
	answer := krpc.Answer{ID: m.ID, Version: m.Version, Nodes: m.Nodes}
	answer.IP, _ = krpc.Endpoint(m.IP)
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = answer.Append(buf[:0], m.TID)
	}
}

// perOp reports the CPU time of one turn.
func perOp(b *testing.B, start time.Duration) float64 {
	own := float64(process.CPU()-start) / float64(max(b.N, 1))
	b.ReportMetric(own, "CPU-ns/op")
	return own
}

// ratio runs the other codec, outside the clock, and reports how many times
// more CPU time it takes.
func ratio(b *testing.B, own float64, other func()) float64 {
	b.StopTimer()
	const rounds = 5000
	start := process.CPU()
	for range rounds {
		other()
	}
	times := float64(process.CPU()-start) / rounds / max(own, 1)
	b.ReportMetric(times, "times-krpc")
	return times
}
