//go:build linux

package mainline_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/torrent/bencode"

	"canopy/crawler/testnet"
	"canopy/crawler/testnet/mainline"
)

func start(t *testing.T, size testnet.Size, o mainline.Options) *mainline.Network {
	t.Helper()
	if size.Horizon == 0 {
		size.Horizon = 24 * time.Hour
	}
	plan, err := testnet.New(mainline.Population(), size, 11)
	if err != nil {
		t.Fatal(err)
	}
	network, err := mainline.Start(t.Context(), plan, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	return network
}

// asker asks with the codec of anacrolix/dht, one question at a time.
type asker struct {
	t      *testing.T
	conn   *net.UDPConn
	others []netip.AddrPort // that answered while somebody else was asked
}

func newAsker(t *testing.T) *asker { return &asker{t: t, conn: newAskerConn(t)} }

func newAskerConn(t testing.TB) *net.UDPConn {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func udpAddr(n *testnet.Node) *net.UDPAddr { return net.UDPAddrFromAddrPort(n.Address) }

// patience is longer than any delay of a busy machine, silence is how long a
// node that should be silent is listened to.
const (
	patience = 10 * time.Second
	silence  = 20 * time.Millisecond
)

func (a *asker) send(to netip.AddrPort, q string, args krpc.MsgArgs) {
	args.ID = krpc.ID{1}
	raw := bencode.MustMarshal(krpc.Msg{Q: q, T: to.String(), Y: "q", A: &args, ReadOnly: true})
	if _, err := a.conn.WriteToUDPAddrPort(raw, to); err != nil {
		a.t.Fatal(err)
	}
}

func (a *asker) ask(to netip.AddrPort, q string, args krpc.MsgArgs, wait time.Duration) (krpc.Msg, error) {
	a.send(to, q, args)
	deadline := time.Now().Add(wait)
	buf := make([]byte, 4096)
	for {
		_ = a.conn.SetReadDeadline(deadline)
		n, from, err := a.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return krpc.Msg{}, err
		}
		var m krpc.Msg
		if err := bencode.Unmarshal(buf[:n], &m); err != nil {
			a.t.Fatalf("reply of %s: %v: %q", from, err, buf[:n])
		}
		if m.T != to.String() {
			a.others = append(a.others, from) // an answer to an earlier question
			continue
		}
		if from != to {
			a.t.Fatalf("asked %s, %s answered", to, from)
		}
		return m, nil
	}
}

func (a *asker) answers(n testnet.Node, wait time.Duration) bool {
	m, err := a.ask(n.Address, "ping", krpc.MsgArgs{}, wait)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if err != nil {
		a.t.Fatal(err)
	}
	if id := m.SenderID(); id == nil || id.String() != n.ID {
		a.t.Fatalf("node %d answers as %v, want %s", n.Number, id, n.ID)
	}
	if m.ClientId != n.Agent.Wire {
		a.t.Fatalf("node %d says v = %q, want %q", n.Number, m.ClientId, n.Agent.Wire)
	}
	return true
}

func TestNodesLiveAsPlanned(t *testing.T) {
	network := start(t, testnet.Size{Nodes: 150, Real: 12, Dead: 0.2}, mainline.Options{})
	ask := newAsker(t)
	for _, at := range []time.Duration{0, 7 * time.Hour, 20 * time.Hour} {
		if err := network.Advance(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		// Who is up answers within patience; a packet to who is down was sent
		// before, so that its answer would have come by then.
		plan := network.Plan()
		for _, n := range plan.Nodes {
			if !n.UpAt(at) {
				ask.send(n.Address, "ping", krpc.MsgArgs{})
			}
		}
		for _, n := range plan.AliveAt(at) {
			if !ask.answers(n, patience) {
				t.Errorf("node %d does not answer at %s", n.Number, at)
			}
		}
		for _, other := range ask.others {
			t.Errorf("%s answers at %s", other, at)
		}
		ask.others = nil
	}
}

func TestFindNodeGivesThePlannedTable(t *testing.T) {
	network := start(t, testnet.Size{Nodes: 400, Dead: 0.2}, mainline.Options{})
	plan, ask := network.Plan(), newAsker(t)
	v := plan.At(0)
	for _, number := range v.Alive()[:40] {
		node := plan.Nodes[number]
		for _, other := range v.Table(int(number)) {
			target := krpc.ID(plan.Nodes[other].Key[:20])
			m, err := ask.ask(node.Address, "find_node", krpc.MsgArgs{Target: target, Want: []krpc.Want{krpc.WantNodes}}, patience)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.R.Nodes) != 8 || m.R.Nodes[0].ID != target || m.R.Nodes[0].Addr.UDP().AddrPort() != plan.Nodes[other].Address {
				t.Fatalf("node %d, asked for its neighbour %d, names %v", number, other, m.R.Nodes)
			}
		}
	}
}

func TestEveryNodeIsFoundThroughLightNodes(t *testing.T) {
	plan, err := testnet.New(mainline.Population(), mainline.DefaultSize(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for at := time.Duration(0); at < plan.Size.Horizon; at += 6 * time.Hour {
		v := plan.At(at)
		seen := map[uint32]bool{}
		var queue []uint32
		for _, b := range plan.Bootstraps {
			queue, seen[uint32(b)] = append(queue, uint32(b)), true
		}
		for ; len(queue) > 0; queue = queue[1:] {
			if plan.Nodes[queue[0]].Real {
				continue
			}
			for _, n := range v.Table(int(queue[0])) {
				if v.Up(int(n)) && !seen[n] {
					queue, seen[n] = append(queue, n), true
				}
			}
		}
		if len(seen) != len(v.Alive()) {
			t.Errorf("%d of %d found at %s", len(seen), len(v.Alive()), at)
		}
	}
}

func TestRealNodesNameOthers(t *testing.T) {
	network := start(t, testnet.Size{Nodes: 300, Real: 5}, mainline.Options{})
	plan, ask := network.Plan(), newAsker(t)
	asked := 0
	for _, n := range plan.AliveAt(0) {
		if !n.Real {
			continue
		}
		asked++
		target := krpc.ID(n.Key[:20])
		target[0] ^= 0x80
		m, err := ask.ask(n.Address, "find_node", krpc.MsgArgs{Target: target, InfoHash: target}, patience)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.R.Nodes) != 8 {
			t.Errorf("real node %d names %d nodes", n.Number, len(m.R.Nodes))
		}
	}
	if asked == 0 {
		t.Error("no real node is up")
	}
}

func TestOtherQueries(t *testing.T) {
	network := start(t, testnet.Size{Nodes: 100}, mainline.Options{})
	ask := newAsker(t)
	to := netip.MustParseAddrPort(network.Bootstrap()[0])
	for _, c := range []struct {
		query string
		args  krpc.MsgArgs
		check func(krpc.Msg) bool
	}{
		{"get_peers", krpc.MsgArgs{InfoHash: krpc.ID{9}}, func(m krpc.Msg) bool { return m.R.Token != nil && len(m.R.Nodes) == 8 && m.R.Values == nil }},
		{"sample_infohashes", krpc.MsgArgs{Target: krpc.ID{9}}, func(m krpc.Msg) bool {
			return m.R.Samples != nil && len(*m.R.Samples) == 0 && *m.R.Interval > 0 && len(m.R.Nodes) == 8
		}},
		{"find_node", krpc.MsgArgs{Target: krpc.ID{9}, Want: []krpc.Want{krpc.WantNodes6}}, func(m krpc.Msg) bool { return len(m.R.Nodes) == 0 }},
		{"find_node", krpc.MsgArgs{InfoHash: krpc.ID{9}}, func(m krpc.Msg) bool { return len(m.R.Nodes) == 8 }},
		{"dance", krpc.MsgArgs{}, func(m krpc.Msg) bool { return m.Y == "e" && m.E.Code == 204 }},
	} {
		m, err := ask.ask(to, c.query, c.args, patience)
		if err != nil {
			t.Fatal(err)
		}
		if !c.check(m) {
			t.Errorf("%s: reply %+v %+v %v", c.query, m, m.R, m.E)
		}
	}
}

func TestLossAndLatency(t *testing.T) {
	const latency = 20 * time.Millisecond
	network := start(t, testnet.Size{Nodes: 300}, mainline.Options{Loss: 0.3, Latency: latency})
	ask := newAsker(t)
	alive := network.Plan().AliveAt(0)
	begin := time.Now()
	for _, n := range alive {
		ask.send(n.Address, "ping", krpc.MsgArgs{})
	}
	answers := 0
	buf := make([]byte, 4096)
	for {
		_ = ask.conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := ask.conn.Read(buf); err != nil {
			break
		}
		if answers++; time.Since(begin) < latency {
			t.Fatal("an answer came too soon")
		}
	}
	if share := float64(answers) / float64(len(alive)); share < 0.37 || share > 0.61 {
		t.Errorf("%.2f of the questions were answered, want about 0.49", share)
	}
}

func TestTwoNetworksRunAtOnce(t *testing.T) {
	a := start(t, testnet.Size{Nodes: 30}, mainline.Options{})
	b := start(t, testnet.Size{Nodes: 30}, mainline.Options{})
	if a.Bootstrap()[0] == b.Bootstrap()[0] {
		t.Error("both run at the same port")
	}
	taken := a.Plan().Size.Port
	if _, err := mainline.Start(t.Context(), a.Plan(), mainline.Options{Port: taken}); err == nil || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("start at a port that is taken: %v", err)
	}
}

// quietPort is where no other test would take a port that has become free.
const quietPort = 27000

func TestCloseLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    testnet.Size
		options mainline.Options
	}{
		{"real nodes", testnet.Size{Nodes: 100, Real: 10, Port: quietPort}, mainline.Options{}},
		{"replies under way", testnet.Size{Nodes: 100, Port: quietPort}, mainline.Options{Latency: time.Hour}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := newAsker(t)
			before := runtime.NumGoroutine()
			network := start(t, c.size, c.options)
			for _, n := range network.Plan().AliveAt(0)[:20] {
				ask.answers(n, time.Millisecond)
			}
			for range 2 {
				if err := network.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := network.Advance(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "it is closed") {
				t.Errorf("a closed network advances: %v", err)
			}
			_, claim, err := network.Plan().ClaimPorts(t.Context(), network.Plan().Size.Port, "udp4")
			if err != nil {
				t.Fatalf("ports are still taken: %v", err)
			}
			if err := claim.Close(); err != nil {
				t.Error(err)
			}
			checkGoroutines(t, before)
		})
	}
}

func checkGoroutines(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestStartStopsWithItsContext(t *testing.T) {
	plan, err := testnet.New(mainline.Population(), testnet.Size{Nodes: 100, Real: 10, Horizon: time.Hour}, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mainline.Start(ctx, plan, mainline.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("start with an ended context: %v", err)
	}
}

func TestDeadNodesAreBothRefusedAndSilent(t *testing.T) {
	network := start(t, testnet.Size{Nodes: 100, Dead: 0.3}, mainline.Options{})
	var lives []testnet.Life
	for _, n := range network.Plan().Nodes {
		if n.Life == testnet.Living || slices.Contains(lives, n.Life) {
			continue
		}
		lives = append(lives, n.Life)
		conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(n.Address))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * silence))
		_, _ = conn.Write([]byte("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t1:x1:y1:qe"))
		_, err = conn.Read(make([]byte, 100))
		refused, silent := strings.Contains(err.Error(), "refused"), errors.Is(err, os.ErrDeadlineExceeded)
		if n.Life == testnet.Refused && !refused || n.Life == testnet.Silent && !silent {
			t.Errorf("node of life %d: %v", n.Life, err)
		}
	}
	if len(lives) != 2 {
		t.Errorf("dead nodes of %d kinds, want 2", len(lives))
	}
}
