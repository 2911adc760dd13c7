package krpc_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"canopy/crawler/mainline/krpc"
)

func id(fill byte) krpc.ID { return krpc.ID(bytes.Repeat([]byte{fill}, krpc.IDLen)) }

// TestVectors decodes the messages that BEP 5 prints.
func TestVectors(t *testing.T) {
	const sender, other = "abcdefghij0123456789", "mnopqrstuvwxyz123456"
	for _, c := range []struct {
		packet string
		check  func(m *krpc.Message) bool
	}{
		{"d1:ad2:id20:" + sender + "e1:q4:ping1:t2:aa1:y1:qe", func(m *krpc.Message) bool {
			return m.Kind == krpc.Query && m.Method == krpc.Ping && string(m.ID[:]) == sender && string(m.TID) == "aa"
		}},
		{"d1:rd2:id20:" + other + "e1:t2:aa1:y1:re", func(m *krpc.Message) bool {
			return m.Kind == krpc.Response && string(m.ID[:]) == other && !m.Has(krpc.FieldNodes)
		}},
		{"d1:ad2:id20:" + sender + "6:target20:" + other + "e1:q9:find_node1:t2:aa1:y1:qe", func(m *krpc.Message) bool {
			goal, ok := m.Goal()
			return ok && m.Method == krpc.FindNode && string(goal[:]) == other
		}},
		{"d1:rd2:id20:" + sender + "5:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re", func(m *krpc.Message) bool {
			v := m.Values
			a, ok1 := v.Next()
			b, ok2 := v.Next()
			_, more := v.Next()
			return ok1 && ok2 && !more && string(m.Token) == "aoeusnth" &&
				a == netip.MustParseAddrPort("97.120.106.101:11893") && b == netip.MustParseAddrPort("105.100.104.116:28269")
		}},
		{"d1:ad2:id20:" + sender + "12:implied_porti1e9:info_hash20:" + other + "4:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe", func(m *krpc.Message) bool {
			return m.Method == krpc.AnnouncePeer && m.ImpliedPort && m.Port == 6881 && string(m.Token) == "aoeusnth"
		}},
		{"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee", func(m *krpc.Message) bool {
			return m.Kind == krpc.Error && m.Code == krpc.CodeGeneric && string(m.Text) == "A Generic Error Ocurred"
		}},
	} {
		var m krpc.Message
		if err := krpc.Decode([]byte(c.packet), &m); err != nil || m.Bad != 0 || !c.check(&m) {
			t.Errorf("%q: %v, bad %v, %+v", c.packet, err, m.Bad, m)
		}
	}
}

func TestQueriesSurvive(t *testing.T) {
	ask := krpc.Ask{ID: id(1), Version: []byte("CY\x00\x01"), ReadOnly: true, Want: krpc.WantNodes | krpc.WantNodes6}
	target, tid := id(2), []byte("\x00\x01\xff\x80")
	for method, packet := range map[krpc.Method][]byte{
		krpc.Ping:             ask.AppendPing(nil, tid),
		krpc.FindNode:         ask.AppendFindNode(nil, tid, &target),
		krpc.GetPeers:         ask.AppendGetPeers(nil, tid, &target, true),
		krpc.SampleInfohashes: ask.AppendSampleInfohashes(nil, tid, &target),
	} {
		var m krpc.Message
		if err := krpc.Decode(packet, &m); err != nil {
			t.Fatalf("%v: %v: %q", method, err, packet)
		}
		if m.Bad != 0 || m.Kind != krpc.Query || m.Method != method || m.ID != ask.ID || !m.ReadOnly ||
			!bytes.Equal(m.TID, tid) || !bytes.Equal(m.Version, ask.Version) {
			t.Errorf("%v: %+v", method, m)
		}
		if method == krpc.Ping {
			continue
		}
		if goal, ok := m.Goal(); !ok || goal != target || m.Want != ask.Want {
			t.Errorf("%v: goal %v, want %v", method, goal, m.Want)
		}
		if method == krpc.FindNode && (!m.Has(krpc.FieldTarget|krpc.FieldInfoHash) || m.InfoHash != m.Target) {
			t.Error("find_node does not say its target twice")
		}
		if method == krpc.GetPeers && !m.Scrape {
			t.Error("get_peers lost scrape")
		}
	}
}

func TestAnswersSurvive(t *testing.T) {
	v4 := krpc.Node{ID: id(3), Addr: netip.MustParseAddrPort("192.0.2.1:6881")}
	v6 := krpc.Node{ID: id(4), Addr: netip.MustParseAddrPort("[2001:db8::1]:6882")}
	a := krpc.Answer{
		ID: id(1), Version: []byte("LT\x02\x08"), IP: v6.Addr, ReadOnly: true,
		Nodes: krpc.AppendNode(nil, v4), Nodes6: krpc.AppendNode6(krpc.AppendNode(nil, v6), v4),
		Token: []byte("tok"), Values: []netip.AddrPort{v4.Addr, v6.Addr},
		Samples: bytes.Repeat([]byte{7}, 60), Num: 1000, Interval: 21600,
		Seeds: make([]byte, 256), Peers: bytes.Repeat([]byte{1}, 256),
	}
	var m krpc.Message
	packet := a.Append(nil, []byte("x"))
	if err := krpc.Decode(packet, &m); err != nil || m.Bad != 0 {
		t.Fatalf("%v, bad %v: %q", err, m.Bad, packet)
	}
	if m.Kind != krpc.Response || m.ID != a.ID || !m.ReadOnly || m.Num != a.Num || m.Interval != a.Interval ||
		string(m.Token) != "tok" || !bytes.Equal(m.Samples, a.Samples) || !bytes.Equal(m.Seeds, a.Seeds) || !bytes.Equal(m.Peers, a.Peers) {
		t.Errorf("%+v", m)
	}
	if addr, ok := krpc.Endpoint(m.IP); !ok || addr != a.IP {
		t.Errorf("ip %v", addr)
	}
	if m.Nodes.Len() != 1 || m.Nodes.At(0) != v4 || m.Nodes6.Len() != 2 || m.Nodes6.At(0) != v6 {
		t.Errorf("nodes %q, nodes6 %q", m.Nodes, m.Nodes6)
	}
	if m.Nodes6.At(1) != v4 {
		t.Errorf("IPv4 mapped into nodes6 is %v", m.Nodes6.At(1))
	}
	for _, want := range a.Values {
		if got, ok := m.Values.Next(); !ok || got != want {
			t.Errorf("value %v, want %v", got, want)
		}
	}
	if err := krpc.Decode(krpc.AppendError(nil, []byte("x"), nil, 203, "no"), &m); err != nil || m.Kind != krpc.Error || m.Code != 203 || string(m.Text) != "no" {
		t.Errorf("%v %+v", err, m)
	}
}

// TestOneBadField: one bad field in a good reply spoils nothing else.
func TestOneBadField(t *testing.T) {
	whole := strings.Repeat("n", 26)
	for _, c := range []struct {
		name, body string
		bad        krpc.Field
		nodes      int
	}{
		{"odd nodes", "5:nodes59:" + whole + whole + "oddodds", krpc.FieldNodes, 2},
		{"nodes is a number", "5:nodesi7e", krpc.FieldNodes, 0},
		{"nodes is a list", "5:nodesl1:ae", krpc.FieldNodes, 0},
		{"token is a dictionary", "5:nodes26:" + whole + "5:tokend1:a1:be", krpc.FieldToken, 1},
		{"values is a string", "5:nodes26:" + whole + "6:values6:abcdef", krpc.FieldValues, 1},
		{"a value of 7 bytes", "5:nodes26:" + whole + "6:valuesl7:abcdefge", krpc.FieldValues, 1},
		{"odd samples", "5:nodes26:" + whole + "7:samples3:abc", krpc.FieldSamples, 1},
		{"negative num", "5:nodes26:" + whole + "3:numi-1e", krpc.FieldNum, 1},
		{"huge num", "5:nodes26:" + whole + "3:numi99999999999999999999e", krpc.FieldNum, 1},
		{"short target", "5:nodes26:" + whole + "6:target3:abc", krpc.FieldTarget, 1},
		{"nodes twice", "5:nodes26:" + whole + "5:nodes0:", krpc.FieldDuplicate, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m krpc.Message
			packet := "d1:rd2:id20:" + strings.Repeat("i", 20) + c.body + "e1:t2:aa1:v4:LT\x02\x081:y1:re"
			if err := krpc.Decode([]byte(packet), &m); err != nil {
				t.Fatal(err)
			}
			if m.Bad != c.bad || m.Nodes.Len() != c.nodes {
				t.Errorf("bad %v, want %v; %d nodes, want %d", m.Bad, c.bad, m.Nodes.Len(), c.nodes)
			}
			if !m.Has(krpc.FieldID|krpc.FieldTransaction|krpc.FieldVersion) || m.Kind != krpc.Response {
				t.Errorf("the rest is lost: %+v", m)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	deep := strings.Repeat("l", 5000) + strings.Repeat("e", 5000)
	for name, packet := range map[string]string{
		"empty":             "",
		"not bencode":       "GET / HTTP/1.1\r\n\r\n",
		"truncated":         "d1:rd2:id20:abc",
		"cut before end":    "d1:t2:aa1:y1:r",
		"length too large":  "d1:t99999999999999999999:aae",
		"length over end":   "d1:t20:aae",
		"leading zero":      "d1:t02:aa1:y1:re",
		"negative length":   "d1:t-2:aae",
		"key is a number":   "di1e1:te",
		"deeply nested":     "d1:x" + deep + "1:t2:aae",
		"deep inside":       "d1:rd1:x" + deep + "ee",
		"minus zero":        "d1:xi-0ee",
		"empty number":      "d1:xiee",
		"larger than UDP":   "d1:x65535:" + strings.Repeat("x", 65535) + "e",
		"list is not dict":  "l1:t2:aae",
		"64 kB of brackets": strings.Repeat("d1:a", 16383),
	} {
		var m krpc.Message
		if krpc.Decode([]byte(packet), &m) == nil {
			t.Errorf("%s: no error, %+v", name, m)
		}
	}
}

func TestLargestPacket(t *testing.T) {
	nodes := strings.Repeat("n", 26*2500)
	var m krpc.Message
	if err := krpc.Decode([]byte("d1:rd2:id20:iiiiiiiiiiiiiiiiiiii5:nodes65000:"+nodes+"e1:t1:x1:y1:re"), &m); err != nil || m.Nodes.Len() != 2500 {
		t.Errorf("%v, %d nodes", err, m.Nodes.Len())
	}
}

func TestParseID(t *testing.T) {
	want := id(0xab)
	if got, err := krpc.ParseID(want.String()); err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
	const length = "want 40 hexadecimal digits"
	for bad, says := range map[string]string{"": length, "abab": length, strings.Repeat("x", 40): "invalid byte", want.String() + "00": length} {
		if _, err := krpc.ParseID(bad); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is read as an ID, with the error %v", bad, err)
		}
	}
}
