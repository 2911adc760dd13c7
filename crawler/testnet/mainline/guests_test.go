//go:build linux

package mainline_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/testnet"
	"canopy/crawler/testnet/mainline"
)

// A node that asked is named by whom it asked if the network takes guests, and
// one that says it is read-only never.
func TestGuestsAreNamed(t *testing.T) {
	for _, c := range []struct{ guests, readOnly, named bool }{{true, false, true}, {true, true, false}, {false, false, false}} {
		network := start(t, testnet.Size{Nodes: 200}, mainline.Options{Guests: c.guests})
		host := network.Plan().Nodes[network.Plan().Bootstraps[0]].Address
		guest := krpc.ID{1, 2, 3}
		conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(host))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ask := krpc.Ask{ID: guest, ReadOnly: c.readOnly}
		target := guest
		if _, err := conn.Write(ask.AppendFindNode(nil, []byte("aa"), &target)); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		packet := make([]byte, 2048)
		n, err := conn.Read(packet)
		if err != nil {
			t.Fatal(err)
		}
		var m krpc.Message
		if err := krpc.Decode(packet[:n], &m); err != nil {
			t.Fatal(err)
		}
		if m.Nodes.Len() != 8 {
			t.Errorf("%+v: %d nodes", c, m.Nodes.Len())
		}
		first := m.Nodes.At(0)
		if got := first.ID == guest && first.Addr.Addr() == netip.MustParseAddr("127.0.0.1"); got != c.named {
			t.Errorf("%+v: named %v, want %v", c, got, c.named)
		}
	}
}
