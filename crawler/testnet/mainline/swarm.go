package mainline

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/testnet"
)

// swarm is the light nodes. All nodes at one port share one socket, and the
// address that a packet was sent to says which node is meant.
type swarm struct {
	plan    *testnet.Plan
	view    atomic.Pointer[testnet.View]
	stopped atomic.Pointer[map[int]bool] // whatever the view says; nil is nobody
	numbers map[uint64]uint32            // by endpoint
	options Options
	guests  guests
	conns   []*net.UDPConn
	wait    sync.WaitGroup
	queries atomic.Uint64
	closing chan struct{}
}

// endpoint packs an IPv4 address and a port.
func endpoint(a netip.Addr, port uint16) uint64 {
	v4 := a.As4()
	return uint64(binary.BigEndian.Uint32(v4[:]))<<16 | uint64(port)
}

func startSwarm(ctx context.Context, plan *testnet.Plan, o Options) (*swarm, error) {
	s := &swarm{plan: plan, options: o, numbers: make(map[uint64]uint32, plan.Size.Nodes), closing: make(chan struct{})}
	for i := range plan.Nodes {
		if n := &plan.Nodes[i]; n.Life == testnet.Living && !n.Real {
			s.numbers[endpoint(n.Address.Addr(), n.Address.Port())] = uint32(i)
		}
	}
	listeners := []func(context.Context, uint16) (*net.UDPConn, error){listen}
	if o.IPv6.IsValid() {
		listeners = append(listeners, listen6)
	}
	for _, listen := range listeners {
		for i := range lightPorts {
			conn, err := listen(ctx, plan.Size.Port+uint16(i))
			if err != nil {
				s.close()
				return nil, err
			}
			s.conns = append(s.conns, conn)
			r := s.newResponder(conn, uint16(i)+plan.Size.Port)
			s.wait.Go(r.run)
		}
	}
	return s, nil
}

// local tells whether an address may be one of the network.
func (s *swarm) local(a netip.Addr) bool { return a.IsLoopback() || s.options.IPv6.Contains(a) }

// prefixBits is the length of Options.IPv6. The IPv4 address of a node follows
// and so tells its /64.
const prefixBits = 32

// at6 is where a node stands in IPv6.
func (s *swarm) at6(n *testnet.Node) netip.AddrPort {
	if !s.options.IPv6.IsValid() || n.Real {
		return netip.AddrPort{}
	}
	v6, v4 := s.options.IPv6.Masked().Addr().As16(), n.Address.Addr().As4()
	copy(v6[prefixBits/8:], v4[:])
	v6[15] = 1
	return netip.AddrPortFrom(netip.AddrFrom16(v6), n.Address.Port())
}

// number is that of the light node at an address.
func (s *swarm) number(a netip.Addr, port uint16) (number uint32, ok bool) {
	if a.Is6() {
		v6 := a.As16()
		a = netip.AddrFrom4([4]byte(v6[prefixBits/8:]))
	}
	number, ok = s.numbers[endpoint(a, port)]
	return number, ok
}

func (s *swarm) close() {
	close(s.closing)
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.wait.Wait()
}

// responder answers for all light nodes at one port.
type responder struct {
	*swarm
	conn    *net.UDPConn
	port    uint16
	origin  origin
	message krpc.Message
	entries []uint32
	nodes   []byte
	nodes6  []byte
	version []byte
	token   []byte
	reply   []byte
	late    chan delayed // nil without latency
}

// delayed is a reply that waits for its time.
type delayed struct {
	due    time.Time
	packet []byte
	from   netip.Addr
	to     netip.AddrPort
}

// lateReplies bounds the replies under way; what comes on top is lost, as in
// the queue of a router.
const lateReplies = 1 << 14

func (s *swarm) newResponder(conn *net.UDPConn, port uint16) *responder {
	r := &responder{swarm: s, conn: conn, port: port, origin: newOrigin(), nodes6: []byte{}}
	if s.options.Latency > 0 {
		r.late = make(chan delayed, lateReplies)
		s.wait.Go(r.runLate)
	}
	return r
}

func (r *responder) run() {
	packet := make([]byte, 2048)
	oob := make([]byte, oobSize)
	for {
		n, oobn, _, from, err := r.conn.ReadMsgUDPAddrPort(packet, oob)
		if err != nil {
			return // closed; an unconnected socket has no other errors
		}
		to, ok := destination(oob[:oobn])
		if !ok || !r.local(to) || !r.local(from.Addr().Unmap()) {
			continue
		}
		number, ok := r.number(to, r.port)
		if !ok {
			continue
		}
		view := r.view.Load()
		if view == nil || !r.up(int(number)) || r.lost() {
			continue
		}
		if r.answer(view, int(number), packet[:n], from) && !r.lost() {
			r.send(to, from)
		}
	}
}

func (r *responder) lost() bool {
	return r.options.Loss > 0 && rand.Float64() < r.options.Loss
}

func (r *responder) send(from netip.Addr, to netip.AddrPort) {
	if r.late == nil {
		r.write(r.reply, r.origin.from(from), to)
		return
	}
	select {
	case r.late <- delayed{time.Now().Add(r.options.Latency), append([]byte(nil), r.reply...), from, to}:
	default:
	}
}

func (r *responder) write(packet, oob []byte, to netip.AddrPort) {
	if _, _, err := r.conn.WriteMsgUDPAddrPort(packet, oob, to); err != nil {
		r.options.Logger.Debug("send reply", slog.Any("error", err))
	}
}

// runLate sends replies when they are due. When the swarm closes it drops
// what is left.
func (r *responder) runLate() {
	origin := newOrigin()
	for {
		select {
		case d := <-r.late:
			select {
			case <-time.After(time.Until(d.due)):
				r.write(d.packet, origin.from(d.from), d.to)
			case <-r.closing:
				return
			}
		case <-r.closing:
			return
		}
	}
}

// answer puts the reply of a node to a packet into r.reply. It returns false
// for what deserves none.
func (r *responder) answer(view *testnet.View, number int, packet []byte, from netip.AddrPort) bool {
	m := &r.message
	if err := krpc.Decode(packet, m); err != nil || m.Kind != krpc.Query {
		return false
	}
	r.queries.Add(1)
	if r.options.Guests && from.Port() != r.plan.Size.Port+realPort { // real nodes are planned
		r.guests.meet(number, m, from)
	}
	node := &r.plan.Nodes[number]
	r.version = append(r.version[:0], node.Agent.Wire...)
	a := krpc.Answer{ID: nodeID(node.Key), Version: r.version, IP: from}
	switch m.Method {
	case krpc.Ping:
	case krpc.FindNode, krpc.GetPeers, krpc.SampleInfohashes:
		goal, ok := m.Goal()
		if !ok {
			r.reply = krpc.AppendError(r.reply[:0], m.TID, r.version, krpc.CodeProtocol, "missing target")
			return true
		}
		r.route(&a, view, number, goal, from.Addr().Unmap().Is6())
		if m.Method == krpc.GetPeers {
			r.token = appendToken(r.token[:0], from.Addr(), r.plan.Seed)
			a.Token = r.token
		}
		if m.Method == krpc.SampleInfohashes {
			a.Samples, a.Interval = []byte{}, samplesInterval
		}
	default:
		r.reply = krpc.AppendError(r.reply[:0], m.TID, r.version, krpc.CodeMethodUnknown, "Method Unknown")
		return true
	}
	r.reply = a.Append(r.reply[:0], m.TID)
	return true
}

// samplesInterval is in seconds; light nodes hold no info-hashes.
const samplesInterval = 6 * 60 * 60

// route fills in the closest nodes, of the families that are wanted; else of
// that in which was asked (BEP 32).
func (r *responder) route(a *krpc.Answer, view *testnet.View, number int, goal krpc.ID, six bool) {
	want := r.message.Want
	if want == 0 {
		want = krpc.WantNodes
		if six {
			want = krpc.WantNodes6
		}
	}
	var target testnet.Key
	copy(target[:], goal[:])
	r.entries = view.AppendClosest(r.entries[:0], number, target, r.plan.K)
	if want&krpc.WantNodes != 0 {
		r.nodes = r.named(r.nodes[:0], number, goal, false)
		a.Nodes = r.nodes
	}
	if want&krpc.WantNodes6 != 0 {
		r.nodes6 = r.named(r.nodes6[:0], number, goal, true)
		a.Nodes6 = r.nodes6
	}
}

// named appends r.entries as compact nodes of one family, then the guests of it
// that are as close.
func (r *responder) named(b []byte, number int, goal krpc.ID, six bool) []byte {
	for _, e := range r.entries {
		n := &r.plan.Nodes[e]
		at := n.Address
		if six {
			at = r.at6(n)
		}
		if at.IsValid() {
			b = krpc.AppendNode(b, krpc.Node{ID: nodeID(n.Key), Addr: at})
		}
	}
	if r.options.Guests {
		b = r.guests.closest(b, number, goal, r.plan.K, six)
	}
	return b
}

// appendToken appends what get_peers hands out: it depends on who asks (BEP 5).
func appendToken(b []byte, from netip.Addr, secret uint64) []byte {
	addr := from.As16()
	asker := binary.BigEndian.Uint64(addr[:]) ^ binary.BigEndian.Uint64(addr[8:])
	mixed := (asker ^ secret) * 0x9e3779b97f4a7c15
	return binary.BigEndian.AppendUint32(b, uint32(mixed>>32))
}
