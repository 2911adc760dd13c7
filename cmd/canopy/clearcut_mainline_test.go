//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"canopy/analysis/clearcut"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
	testmainline "canopy/crawler/testnet/mainline"
)

// In Mainline, too, what is simulated on a recorded graph happens on the
// network, by another implementation of lookups over UDP.
func TestClearcutAgreesWithRealMainlineLookups(t *testing.T) {
	storetest.NeedEngine(t)
	const lookups = 300
	plan, err := testnet.New(testmainline.Population(), testnet.Size{Nodes: 300, Dead: 0.15, Horizon: time.Hour}, 5)
	if err != nil {
		t.Fatal(err)
	}
	running, err := testmainline.Start(t.Context(), plan, testmainline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Close() })
	graph, _ := recordedGraph(t, mainlineNetwork, running)
	if living := len(running.Plan().AliveAt(0)); graph.Living() != living {
		t.Fatalf("graph of %d living peers, planned %d", graph.Living(), living)
	}
	removed := make([]bool, len(graph.Peers()))
	for step, target := range []float64{0.5, 0.15, 0.07} {
		if err := running.Stop(numbersOf(running.Plan(), removeLargest(graph, removed, target))...); err != nil {
			t.Fatal(err)
		}
		compareMainlineLookups(t, graph, removed, running, lookups, uint64(step))
	}
}

// compareMainlineLookups runs the same lookups on the graph and on the network.
func compareMainlineLookups(t *testing.T, graph *clearcut.Graph, removed []bool, running *testmainline.Network, lookups int, seed uint64) {
	t.Helper()
	remains := graph.Without(removed)
	living := map[krpc.ID]bool{}
	for _, s := range remains.Survivors() {
		living[krpc.ID(graph.Peers()[s].Key[:krpc.IDLen])] = true
	}
	client := newKRPCClient(t, running.Plan(), living)
	rng := rand.New(rand.NewPCG(seed, 2))
	var agree agreement
	for range lookups {
		var target krpc.ID
		for i := range target {
			target[i] = byte(rng.Uint32())
		}
		origin := remains.Survivors()[rng.IntN(len(remains.Survivors()))]
		var key clearcut.Key
		copy(key[:], target[:])
		trace := remains.Lookup(origin, key)
		self := krpc.ID(graph.Peers()[origin].Key[:krpc.IDLen])
		agree.add(trace.Found, client.lookup(self, target) == closestID(living, self, target))
	}
	agree.check(t, graph, len(living))
}

func closer(target krpc.ID) func(a, b krpc.ID) int {
	return func(a, b krpc.ID) int {
		for i := range target {
			if x, y := a[i]^target[i], b[i]^target[i]; x != y {
				return int(x) - int(y)
			}
		}
		return 0
	}
}

func closestID(living map[krpc.ID]bool, self, target krpc.ID) (best krpc.ID) {
	first := true
	for id := range living {
		if id != self && (first || closer(target)(id, best) < 0) {
			best, first = id, false
		}
	}
	return best
}

// krpcClient asks nodes over UDP.
type krpcClient struct {
	t       *testing.T
	conn    *net.UDPConn
	number  uint32 // of the last question
	at      map[krpc.ID]netip.AddrPort
	answers map[krpc.ID]bool // who does
}

// newKRPCClient asks every node of a plan whether it is there, until all have
// answered that should. Whoever should not must stay silent.
func newKRPCClient(t *testing.T, plan *testnet.Plan, living map[krpc.ID]bool) *krpcClient {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &krpcClient{t: t, conn: conn, at: map[krpc.ID]netip.AddrPort{}, answers: map[krpc.ID]bool{}}
	for _, n := range plan.Nodes {
		c.at[krpc.ID(n.Key[:krpc.IDLen])] = n.Address
	}
	for id := range c.at {
		if !living[id] {
			c.send(id, (&krpc.Ask{ReadOnly: true}).AppendPing)
		}
	}
	for id := range living {
		if _, ok := c.ask(id, id); !ok {
			t.Fatalf("survivor %s does not answer", id)
		}
	}
	for id := range c.answers {
		if !living[id] {
			t.Fatalf("%s was stopped and answers", id)
		}
	}
	return c
}

func (c *krpcClient) send(to krpc.ID, query func(b, tid []byte) []byte) {
	c.number++
	packet := query(nil, binary.BigEndian.AppendUint32(nil, c.number))
	if _, err := c.conn.WriteToUDPAddrPort(packet, c.at[to]); err != nil {
		c.t.Fatal(err)
	}
}

// ask asks a node for who is closest to a target, again if a packet was lost.
// It returns false if the node does not answer.
func (c *krpcClient) ask(id, target krpc.ID) ([]krpc.ID, bool) {
	for range 20 {
		c.send(id, func(b, tid []byte) []byte { return (&krpc.Ask{ReadOnly: true}).AppendFindNode(b, tid, &target) })
		if ids, ok := c.reply(); ok {
			return ids, true
		}
	}
	return nil, false
}

// reply reads packets until the answer to the last question is among them.
func (c *krpcClient) reply() (ids []krpc.ID, ok bool) {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
	packet := make([]byte, 2048)
	for {
		n, _, err := c.conn.ReadFromUDPAddrPort(packet)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, false
		}
		if err != nil {
			c.t.Fatal(err)
		}
		var m krpc.Message
		if err := krpc.Decode(packet[:n], &m); err != nil || m.Kind != krpc.Response {
			c.t.Fatalf("reply %q: %v", packet[:n], err)
		}
		c.answers[m.ID] = true
		if len(m.TID) != 4 || binary.BigEndian.Uint32(m.TID) != c.number {
			continue
		}
		for i := range m.Nodes.Len() {
			ids = append(ids, m.Nodes.At(i).ID)
		}
		return ids, true
	}
}

// lookup returns the closest that a lookup finds.
func (c *krpcClient) lookup(origin, target krpc.ID) krpc.ID {
	const k, alpha = 8, 3
	found := lookUp(c.t, origin, k, alpha, closer(target), func(id krpc.ID) ([]krpc.ID, bool) {
		if !c.answers[id] { // it was asked when the client began, and every survivor has answered since
			return nil, false
		}
		ids, ok := c.ask(id, target)
		if !ok {
			c.t.Fatalf("survivor %s fell silent", id)
		}
		return ids, true
	})
	return append(found, origin)[0]
}
