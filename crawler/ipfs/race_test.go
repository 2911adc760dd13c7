package ipfs

import (
	"testing"

	"canopy/crawler/observation"
)

// TestRaces reaches a peer at the one address of several where it lives, and
// says which that was.
func TestRaces(t *testing.T) {
	n := newNode(t, 145)
	tcp, quic := n.info.Addrs[0].String(), n.info.Addrs[1].String()
	for _, c := range []struct {
		name  string
		addrs []string
		over  Transport
	}{
		{"both alive", []string{quic, tcp}, TCP},
		{"TCP refused", []string{refusing(145), quic}, QUIC},
		{"TCP silent", []string{silentTCP(t, 145), quic}, QUIC},
		{"QUIC silent", []string{silentUDP(t, 145), tcp}, TCP},
		{"another host silent", []string{silentTCP(t, 146), silentUDP(t, 146), silentTCP(t, 147), tcp}, TCP},
		{"another host refuses", []string{refusing(146), refusingQUIC(146), refusing(147), quic}, QUIC},
	} {
		v := visitOne(t, impatient, at(t, n.info.ID, c.addrs...)).Visit
		if v.Outcome != observation.Answered || v.Transport != string(c.over) || v.Address.Addr() != loopback(145) || v.Detail != "" {
			t.Errorf("%s: %s at %s over %s, %q", c.name, v.Outcome, v.Address, v.Transport, v.Detail)
		}
		if len(v.Addresses) < len(c.addrs) {
			t.Errorf("%s: addresses %q", c.name, v.Addresses)
		}
	}
}
