package mainline_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// pongs answers every packet on a socket of its own with what reply makes of
// it, and returns where.
func pongs(t *testing.T, reply func(*krpc.Message) []byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			var m krpc.Message
			if krpc.Decode(b[:n], &m) == nil {
				_, _ = conn.WriteToUDPAddrPort(reply(&m), from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestProbe(t *testing.T) {
	p, err := mainline.NewProber(mainline.Config{Bind: []string{"127.0.0.1"}, Allow: anywhere})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() }) // after the parallel parts
	mine, other := krpc.ID{1, 2, 3}, krpc.ID{9}
	honest := pongs(t, func(m *krpc.Message) []byte { return (&krpc.Answer{ID: mine}).Append(nil, m.TID) })
	cross := pongs(t, func(m *krpc.Message) []byte { return krpc.AppendError(nil, m.TID, nil, 202, "no") })
	garbage := pongs(t, func(*krpc.Message) []byte { return []byte("d1:rd2:id99:") })
	for name, c := range map[string]struct {
		id   krpc.ID
		addr netip.AddrPort
		want observation.Outcome
	}{
		"up": {mine, honest, observation.Answered}, "another identity": {other, honest, observation.WrongIdentity},
		"error": {mine, cross, observation.RemoteError}, "garbage": {mine, garbage, observation.Timeout},
		"no address": {mine, netip.AddrPort{}, observation.NoAddress},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := observation.Target{PeerID: c.id.String(), Address: c.addr}
			probe, err := p.Probe(context.Background(), target)
			if err != nil || probe.Outcome != c.want || probe.PeerID != target.PeerID || probe.Address != target.Address || time.Since(probe.ProbedAt) > time.Minute {
				t.Errorf("%+v, %v; want %s", probe, err, c.want)
			}
			if (probe.RTT > 0) != (c.want == observation.Answered) {
				t.Errorf("round-trip time %s", probe.RTT)
			}
		})
	}
}

// A prober says that it is read-only, keeps to the policy, and says nothing of
// a peer when it was told to stop.
func TestProbeBehaves(t *testing.T) {
	asked := make(chan krpc.Message, 1)
	addr := pongs(t, func(m *krpc.Message) []byte {
		asked <- *m
		return (&krpc.Answer{ID: krpc.ID{1}}).Append(nil, m.TID)
	})
	target := observation.Target{PeerID: krpc.ID{1}.String(), Address: addr}
	p, err := mainline.NewProber(mainline.Config{Bind: []string{"127.0.0.1"}, Allow: func(a netip.AddrPort) bool { return a == addr }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // of no interest
	if probe, err := p.Probe(t.Context(), target); err != nil || probe.Outcome != observation.Answered {
		t.Fatalf("%+v, %v", probe, err)
	}
	if m := <-asked; m.Method != krpc.Ping || !m.ReadOnly {
		t.Errorf("asked with %s, read-only %v", m.Method, m.ReadOnly)
	}
	elsewhere := target
	elsewhere.Address = netip.AddrPortFrom(addr.Addr(), addr.Port()+1)
	if probe, err := p.Probe(t.Context(), elsewhere); err != nil || probe.Outcome != observation.NoAddress {
		t.Errorf("outside the policy: %+v, %v", probe, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Probe(ctx, target); !errors.Is(err, context.Canceled) {
		t.Errorf("a probe that we cancelled: %v", err)
	}
	if _, err := p.Probe(t.Context(), observation.Target{PeerID: "zz", Address: addr}); err == nil || !strings.Contains(err.Error(), "zz") {
		t.Errorf("an ID that is none: %v", err)
	}
}
