package mainline

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// liar answers every query with whatever body it makes of it.
func liar(t *testing.T, body func(krpc.Message) []byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			var m krpc.Message
			if krpc.Decode(buffer[:n], &m) == nil {
				_, _ = conn.WriteToUDPAddrPort(fmt.Appendf(nil, "d1:rd%se1:t%d:%s1:y1:re", body(m), len(m.TID), m.TID), from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func looseChecker(t *testing.T, refuse func(string) bool) *Checker {
	t.Helper()
	c, err := NewChecker(Config{
		Bind: []string{"127.0.0.1"}, Allow: func(a netip.AddrPort) bool { return a.Addr().IsLoopback() },
		MinTimeout: 300 * time.Millisecond, Refuse: refuse,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const liarID = "2:id20:llllllllllllllllllll"

// Of what liars name, no more is kept than a bound allows, and nothing that may not be contacted.
func TestCheckBoundsWhatLiarsSay(t *testing.T) {
	values := []byte("6:valuesl")
	for i := range 1900 { // as many as fit into one packet, most of them outside
		values = append(values, "6:"...)
		values = append(values, byte(10+117*(i%2)), 1, byte(i>>8), byte(i), 1, 1)
	}
	values = append(values, 'e')
	for name, c := range map[string]struct {
		body  string
		found uint32
		named uint32
		full  uint32
	}{
		"endless values":       {liarID + string(values), 950, 1, 0},
		"values of bad sizes":  {liarID + "6:valuesl5:abcde7:abcdefgi7ele6:\x7f\x00\x00\x01\x00\x00e", 0, 0, 0},
		"values that are none": {liarID + "6:valuesi7e", 0, 0, 0},
		"full filters":         {"4:BFpe256:" + string(bytes.Repeat([]byte{255}, 256)) + "4:BFsd256:" + string(bytes.Repeat([]byte{255}, 256)) + liarID, 0, 0, 1},
		"short filters":        {"4:BFpe3:abc4:BFsd256:" + string(make([]byte, 256)) + liarID, 0, 0, 0},
		"no ID":                {"5:nodes0:", 0, 0, 0},
	} {
		at := liar(t, func(krpc.Message) []byte { return []byte(c.body) })
		s, holders, err := looseChecker(t, nil).Find(t.Context(), []string{at.String()}, "0123456789abcdef0123456789abcdef01234567")
		if err != nil || s.Found != c.found || s.Namers != c.named || s.Full != c.full || s.Filters != 0 || s.Answered != 0 || len(holders) != int(c.found) {
			t.Errorf("%s: %+v, %d holders, %v", name, s, len(holders), err)
		}
	}
}

// Somebody who invents ever closer nodes does not keep a search going for ever.
func TestCheckEndsAmongInventedNodes(t *testing.T) {
	var at netip.AddrPort
	ready := make(chan struct{})
	at = liar(t, func(m krpc.Message) []byte {
		<-ready
		goal, _ := m.Goal()
		var nodes []byte
		for range 8 {
			id := randomID()
			copy(id[:], goal[:12])
			nodes = krpc.AppendNode(nodes, krpc.Node{ID: id, Addr: at})
		}
		return fmt.Appendf([]byte(liarID), "5:nodes%d:%s", len(nodes), nodes)
	})
	close(ready)
	s, err := looseChecker(t, nil).Start(t.Context(), []string{at.String()})
	if err != nil || s.Answered != 0 || s.Closest > 1 || s.Queries > lookupQueries+2*lookupAlpha+2 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A node that asked not to be contacted is not, whoever names it.
func TestCheckAsksNobodyWhoOptedOut(t *testing.T) {
	asked := make(chan krpc.Method, 100)
	at := liar(t, func(m krpc.Message) []byte {
		asked <- m.Method
		return []byte(liarID)
	})
	id := fmt.Sprintf("%x", bytes.Repeat([]byte{'l'}, 20))
	s, err := looseChecker(t, func(peer string) bool { return peer == id }).Start(t.Context(), []string{at.String()})
	if err != nil || s.Queries != 1 || len(asked) != 1 || <-asked != krpc.FindNode {
		t.Errorf("%+v, %v", s, err)
	}
}

// An answer from elsewhere, or to another question, is none.
func TestPhoneTakesAnswersOfWhomItAsked(t *testing.T) {
	c := looseChecker(t, nil)
	quiet, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close() //nolint:errcheck // of no interest
	at := quiet.LocalAddr().(*net.UDPAddr).AddrPort()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan said, 1)
	go func() {
		s, _ := c.phone.call(ctx, at, c.findNode(randomID()))
		got <- s
	}()
	buffer := make([]byte, 2048)
	n, from, err := quiet.ReadFromUDPAddrPort(buffer)
	if err != nil {
		t.Fatal(err)
	}
	var m krpc.Message
	if err := krpc.Decode(buffer[:n], &m); err != nil || !m.ReadOnly || string(m.Version) != "CY\x00\x01" {
		t.Fatalf("%+v, %v", m, err)
	}
	answer := func(tid []byte) []byte { return (&krpc.Answer{ID: krpc.ID{7}}).Append(nil, tid) }
	c.phone.heard(netip.MustParseAddrPort("127.0.0.2:1"), answer(m.TID))
	c.phone.heard(at, answer([]byte("none")))
	c.phone.heard(at, []byte("d1:r"))
	if _, err := quiet.WriteToUDPAddrPort(answer(m.TID), from); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s.outcome != observation.Answered || s.message.ID != (krpc.ID{7}) {
		t.Errorf("%+v", s)
	}
	if len(c.phone.calls) != 0 {
		t.Errorf("%d calls are still waited for", len(c.phone.calls))
	}
}
