package ipfs

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
)

func targetOf(n *node) observation.Target {
	t := observation.Target{PeerID: n.info.ID.String()}
	for _, a := range n.info.Addrs {
		t.Addresses = append(t.Addresses, a.String())
	}
	return t
}

func TestProbe(t *testing.T) {
	nodes := newNodes(t, 3)
	plain := newHost(t, 3) // runs no DHT
	nodes[0].knows(t, nodes[1].info)
	p, err := NewProber(Config{Allow: func(netip.Addr) bool { return true }, DialTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // of no interest
	up, other := targetOf(nodes[0]), targetOf(nodes[1])
	other.Addresses = up.Addresses // somebody else answers there
	client := observation.Target{PeerID: plain.ID().String(), Addresses: []string{plain.Addrs()[0].String()}}
	gone := targetOf(nodes[2])
	if err := nodes[2].host.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		target observation.Target
		want   observation.Outcome
	}{
		"up": {up, observation.Answered}, "another identity": {other, observation.WrongIdentity}, "no server": {client, observation.WrongProtocol},
		"gone": {gone, observation.Refused}, "no address": {observation.Target{PeerID: up.PeerID}, observation.NoAddress},
	} {
		probe, err := p.Probe(t.Context(), c.target)
		if err != nil || probe.Outcome != c.want || probe.PeerID != c.target.PeerID || time.Since(probe.ProbedAt) > time.Minute {
			t.Errorf("%s: %+v, %v; want %s", name, probe, err, c.want)
		}
		if c.want == observation.Answered && (probe.RTT <= 0 || probe.Address.Port() == 0) {
			t.Errorf("%s: %+v", name, probe)
		}
	}
	if n := len(p.w.book.peers); n != 0 {
		t.Errorf("probes filled the address book with %d peers", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Probe(ctx, up); !errors.Is(err, context.Canceled) {
		t.Errorf("a probe that we cancelled: %v", err)
	}
	if _, err := p.Probe(t.Context(), observation.Target{PeerID: "none"}); err == nil || !strings.Contains(err.Error(), "failed to parse peer ID") {
		t.Errorf("an ID that is none: %v", err)
	}
}

func TestProbeKeepsThePolicy(t *testing.T) {
	n := newNode(t, 0)
	p, err := NewProber(Config{Allow: func(netip.Addr) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // of no interest
	if probe, err := p.Probe(t.Context(), targetOf(n)); err != nil || probe.Outcome != observation.NoAddress || len(n.host.Network().Conns()) != 0 {
		t.Errorf("%+v, %v", probe, err)
	}
}
