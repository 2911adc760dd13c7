package krpc_test

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"

	oracle "github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/torrent/bencode"

	"canopy/crawler/mainline/krpc"
)

// compare decodes a packet with both codecs. Where both find it good they must
// agree on every field that both know.
func compare(t *testing.T, packet []byte) {
	var m krpc.Message
	if err := krpc.Decode(packet, &m); err != nil || m.Bad != 0 {
		return
	}
	var want oracle.Msg
	if err := bencode.Unmarshal(packet, &want); err != nil {
		return
	}
	equal(t, "t", string(m.TID), want.T)
	equal(t, "v", string(m.Version), want.ClientId)
	equal(t, "ro", m.ReadOnly, want.ReadOnly)
	if m.Kind != 0 {
		equal(t, "y", string(byte(m.Kind)), want.Y)
	}
	equal(t, "q", string(m.MethodName), want.Q)
	if m.Has(krpc.FieldIP) {
		equalAddr(t, "ip", m.IP, want.IP)
	}
	// A body of the wrong kind is read by either at its own discretion.
	if want.A != nil && want.R == nil && want.E == nil {
		compareQuery(t, &m, want.A)
	}
	if want.R != nil && want.A == nil && want.E == nil {
		compareReturn(t, &m, want.R)
	}
	if want.E != nil && want.A == nil && want.R == nil {
		equal(t, "error text", string(m.Text), want.E.Msg)
		equal(t, "error code", m.Code, int64(want.E.Code))
	}
}

func compareQuery(t *testing.T, m *krpc.Message, a *oracle.MsgArgs) {
	equal(t, "a.id", m.ID, krpc.ID(a.ID))
	equal(t, "target", m.Target, krpc.ID(a.Target))
	equal(t, "info_hash", m.InfoHash, krpc.ID(a.InfoHash))
	equal(t, "a.token", string(m.Token), a.Token)
	equal(t, "implied_port", m.ImpliedPort, a.ImpliedPort)
	equal(t, "scrape", m.Scrape, a.Scrape != 0)
	if a.Port != nil {
		equal(t, "port", int(m.Port), *a.Port)
	}
	var want krpc.Want
	for _, w := range a.Want {
		switch w {
		case oracle.WantNodes:
			want |= krpc.WantNodes
		case oracle.WantNodes6:
			want |= krpc.WantNodes6
		}
	}
	equal(t, "want", m.Want, want)
}

func compareReturn(t *testing.T, m *krpc.Message, r *oracle.Return) {
	equal(t, "r.id", m.ID, krpc.ID(r.ID))
	equal(t, "len nodes", m.Nodes.Len(), len(r.Nodes))
	for i, n := range r.Nodes {
		equal(t, "nodes id", m.Nodes.At(i).ID, krpc.ID(n.ID))
		equal(t, "nodes addr", m.Nodes.At(i).Addr, addrPort(n.Addr))
	}
	equal(t, "len nodes6", m.Nodes6.Len(), len(r.Nodes6))
	for i, n := range r.Nodes6 {
		equal(t, "nodes6 id", m.Nodes6.At(i).ID, krpc.ID(n.ID))
		equal(t, "nodes6 addr", m.Nodes6.At(i).Addr, addrPort(n.Addr))
	}
	if r.Token != nil {
		equal(t, "token", string(m.Token), *r.Token)
	}
	values := m.Values
	for _, v := range r.Values {
		got, _ := values.Next()
		equal(t, "value", got, addrPort(v))
	}
	if r.Num != nil {
		equal(t, "num", m.Num, *r.Num)
	}
	if r.Interval != nil {
		equal(t, "interval", m.Interval, *r.Interval)
	}
	if r.Samples != nil {
		equal(t, "samples", len(m.Samples), krpc.IDLen*len(*r.Samples))
	}
}

func equal[T comparable](t *testing.T, field string, got, want T) {
	if got != want {
		t.Helper()
		t.Errorf("%s: %v, the oracle says %v", field, got, want)
	}
}

func equalAddr(t *testing.T, field string, compact []byte, want oracle.NodeAddr) {
	got, _ := krpc.Endpoint(compact)
	equal(t, field, got, addrPort(want))
}

func addrPort(a oracle.NodeAddr) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.IP)
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port))
}

// oracleReply is a find_node reply in the other codec.
func oracleReply() oracle.Msg {
	nodes := make(oracle.CompactIPv4NodeInfo, 8)
	for i := range nodes {
		nodes[i] = oracle.NodeInfo{ID: oracle.ID(id(byte(i))), Addr: oracle.NodeAddr{IP: net.IPv4(192, 0, 2, byte(i)), Port: 6881 + i}}
	}
	return oracle.Msg{
		T: "\x01\x02\x03\x04", Y: "r", ClientId: "LT\x02\x08", IP: oracle.NodeAddr{IP: net.IPv4(198, 51, 100, 1).To4(), Port: 7000},
		R: &oracle.Return{ID: oracle.ID(id(0xee)), Nodes: nodes},
	}
}

// TestReadsTheOracle decodes what the oracle encodes.
func TestReadsTheOracle(t *testing.T) {
	port, token := 6881, "tok"
	target := oracle.ID(id(9))
	for _, msg := range []oracle.Msg{
		oracleReply(),
		{T: "aa", Y: "q", Q: "ping", ReadOnly: true, A: &oracle.MsgArgs{ID: target}},
		{T: "aa", Y: "q", Q: "find_node", A: &oracle.MsgArgs{ID: target, Target: target, Want: []oracle.Want{"n4", "n6", "n9"}}},
		{T: "aa", Y: "q", Q: "get_peers", A: &oracle.MsgArgs{ID: target, InfoHash: target, Scrape: 1}},
		{T: "aa", Y: "q", Q: "announce_peer", A: &oracle.MsgArgs{ID: target, InfoHash: target, Port: &port, ImpliedPort: true, Token: token}},
		{T: "", Y: "r", R: &oracle.Return{ID: target, Token: &token, Values: []oracle.NodeAddr{{IP: net.IPv4(1, 2, 3, 4).To4(), Port: 5}}}},
		{T: "aa", Y: "e", E: &oracle.Error{Code: 204, Msg: "Method Unknown"}},
	} {
		packet := bencode.MustMarshal(msg)
		var m krpc.Message
		if err := krpc.Decode(packet, &m); err != nil || m.Bad != 0 {
			t.Fatalf("%v, bad %v: %q", err, m.Bad, packet)
		}
		compare(t, packet)
	}
}

// TestOracleReads lets the oracle decode what this codec encodes.
func TestOracleReads(t *testing.T) {
	for _, packet := range packets() {
		var m krpc.Message
		var want oracle.Msg
		if err := krpc.Decode(packet, &m); err != nil || m.Bad != 0 {
			t.Fatalf("%v, bad %v: %q", err, m.Bad, packet)
		}
		if err := bencode.Unmarshal(packet, &want); err != nil {
			t.Fatalf("the oracle: %v: %q", err, packet)
		}
		compare(t, packet)
	}
}

// packets are messages of every kind.
func packets() [][]byte {
	ask := krpc.Ask{ID: id(1), Version: []byte("CY\x00\x01"), ReadOnly: true, Want: krpc.WantNodes | krpc.WantNodes6}
	target, tid := id(2), []byte("abcd")
	v4 := krpc.Node{ID: id(3), Addr: netip.MustParseAddrPort("192.0.2.1:6881")}
	v6 := krpc.Node{ID: id(4), Addr: netip.MustParseAddrPort("[2001:db8::1]:6882")}
	reply := krpc.Answer{ID: id(1), Version: []byte("UT\xb4\x2f"), IP: v4.Addr, Nodes: krpc.AppendNode(nil, v4), Nodes6: krpc.AppendNode(nil, v6)}
	sample := krpc.Answer{ID: id(1), Samples: []byte{}, Num: 3, Interval: 60, Nodes: []byte{}}
	peers := krpc.Answer{ID: id(1), Token: []byte("t"), Values: []netip.AddrPort{v4.Addr}}
	return [][]byte{
		ask.AppendPing(nil, tid), ask.AppendFindNode(nil, tid, &target), ask.AppendGetPeers(nil, tid, &target, true),
		ask.AppendSampleInfohashes(nil, tid, &target), reply.Append(nil, tid), sample.Append(nil, tid), peers.Append(nil, tid),
		krpc.AppendError(nil, tid, []byte("LT\x02\x08"), krpc.CodeProtocol, "bad"),
	}
}

// FuzzDecode looks for panics, views that leave the packet, whole entries that
// are not whole, and disagreement with the oracle.
func FuzzDecode(f *testing.F) {
	for _, p := range packets() {
		f.Add(p)
	}
	f.Add(bencode.MustMarshal(oracleReply()))
	f.Add([]byte("d1:eli201e1:xe1:t0:1:y1:ee"))
	f.Add([]byte("d2:ip6:abcdef1:rd2:id20:" + strings.Repeat("i", 20) + "5:nodes27:" + strings.Repeat("n", 27) + "e1:t1:x1:y1:re"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		before := bytes.Clone(packet)
		var m krpc.Message
		err := krpc.Decode(packet, &m)
		if !bytes.Equal(before, packet) {
			t.Fatal("decoding changed the packet")
		}
		for i := range m.Nodes.Len() {
			m.Nodes.At(i)
		}
		for i := range m.Nodes6.Len() {
			m.Nodes6.At(i)
		}
		if len(m.Nodes)%krpc.Node4Len+len(m.Nodes6)%krpc.Node6Len+len(m.Samples)%krpc.IDLen != 0 {
			t.Fatal("a list with a broken entry")
		}
		for v, n := m.Values, 0; ; n++ {
			if _, ok := v.Next(); !ok {
				break
			}
			if n > len(packet) {
				t.Fatal("values without end")
			}
		}
		if err == nil {
			compare(t, packet)
		}
	})
}

// FuzzAnswer encodes an answer and decodes it with both codecs.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("abcd"), []byte("LT\x02\x08"), []byte("token"), bytes.Repeat([]byte{1}, 26), bytes.Repeat([]byte{2}, 38), int64(7))
	f.Add([]byte{}, []byte{}, []byte{}, []byte{}, []byte{}, int64(0))
	f.Fuzz(func(t *testing.T, tid, version, token, nodes, nodes6 []byte, num int64) {
		a := krpc.Answer{ID: id(5), Version: version, Token: token, Samples: []byte{}, Num: max(num, 0) & (1<<62 - 1), Interval: 1}
		a.Nodes, a.Nodes6 = nodes[:len(nodes)/26*26], nodes6[:len(nodes6)/38*38]
		packet := a.Append(nil, tid)
		var m krpc.Message
		if err := krpc.Decode(packet, &m); len(packet) > krpc.MaxPacket {
			return
		} else if err != nil || m.Bad != 0 {
			t.Fatalf("%v, bad %v", err, m.Bad)
		}
		if !bytes.Equal(m.TID, tid) || !bytes.Equal(m.Version, version) || !bytes.Equal(m.Token, token) ||
			!bytes.Equal(m.Nodes, a.Nodes) || !bytes.Equal(m.Nodes6, a.Nodes6) || m.Num != a.Num {
			t.Fatalf("%+v became %+v", a, m)
		}
		compare(t, packet)
	})
}
