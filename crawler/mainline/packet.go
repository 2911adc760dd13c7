package mainline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// A transaction ID is four bytes: the slot, then the generation.
const slotBits = 16

// maxTries is how often one packet is sent again after errors that may be those
// of others.
const maxTries = 3

// send asks visit i its next question, or puts it off until it is its turn.
func (l *loop) send(i int32) {
	if l.underway >= l.window {
		l.later(i, tick)
	} else if wait := l.leave(l.visits[i].addr.Addr()); wait > 0 {
		l.later(i, wait)
	} else {
		l.ask(i)
	}
}

// ask sends the question that visit i is at.
func (l *loop) ask(i int32) {
	v := &l.visits[i]
	if v.sends == 0 {
		v.generation++
	}
	if v.visitedAt.IsZero() {
		v.visitedAt = time.Now()
	}
	v.sends++
	v.queries++
	tid := binary.BigEndian.AppendUint16(make([]byte, 0, 4), uint16(i))
	tid = binary.BigEndian.AppendUint16(tid, v.generation)
	out := l.room()
	if v.signs.stage == walking {
		out.data = l.query.AppendFindNode(out.data, tid, &v.plan.target)
	} else {
		out.data = l.inquire(out.data, tid, v)
	}
	out.to, out.visit, out.generation = v.addr, i, v.generation
	l.link(i)
}

// room makes room for one more query in the outbox, with the memory of one that
// has left.
func (l *loop) room() *outgoing {
	if len(l.outbox) == ioBatch {
		l.post()
	}
	n := len(l.outbox)
	if n < cap(l.outbox) {
		l.outbox = l.outbox[:n+1]
	} else {
		l.outbox = append(l.outbox, outgoing{})
	}
	l.outbox[n].data = l.outbox[n].data[:0]
	return &l.outbox[n]
}

// post sends what is in the outbox.
func (l *loop) post() {
	tries := 0
	for out := l.outbox; len(out) > 0; {
		n, err := l.sock.send(out)
		if out = out[n:]; err == nil {
			tries = 0
			continue
		}
		if tries++; tries <= maxTries && l.drainErrors() { // on Linux the error may be an earlier packet's, from the error queue
			continue
		}
		tries = 0
		if v := &l.visits[out[0].visit]; v.asked && v.generation == out[0].generation {
			l.notSent(out[0].visit, err)
		}
		out = out[1:]
	}
	l.outbox = l.outbox[:0]
}

// later puts a visit off.
func (l *loop) later(i int32, wait time.Duration) {
	l.putOff++
	l.visits[i].waiting = true
	l.waiting.push(l.now+wait, i)
}

// notSent deals with a query that did not leave. Where our own buffers were
// full it is sent again when it seems lost.
func (l *loop) notSent(i int32, err error) {
	switch {
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		l.finish(i, observation.Unreachable, "no route from here")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL):
		l.finish(i, observation.Unclassified, "the system refuses to send there: "+err.Error())
	default:
		l.counts.stalled.Add(1)
	}
}

// receive sends what is to be asked, waits for packets, one tick at most, and
// deals with them.
func (l *loop) receive() error {
	l.post()
	n, err := l.sock.receive()
	switch {
	case err == nil:
	case momentary(err):
		l.drainErrors()
	default:
		return &socketError{l.sock.local.String(), err}
	}
	if n > 0 {
		l.now = time.Since(l.began)
		l.counts.received.Add(uint64(n))
	}
	for i := range n {
		l.packet(l.sock.packet(i))
	}
	return nil
}

// packet deals with what arrived.
func (l *loop) packet(b []byte, from netip.AddrPort) {
	m := &l.message
	if err := krpc.Decode(b, m); err != nil {
		l.counts.strange.Add(1)
		l.garbled(from)
		return
	}
	if m.Kind == krpc.Query {
		return // we are read-only (BEP 43)
	}
	i, ok := l.match(m.TID, from)
	if !ok {
		return
	}
	v := &l.visits[i]
	l.counts.answered.Add(1)
	if m.Has(krpc.FieldIP) {
		if addr, ok := krpc.Endpoint(m.IP); ok {
			l.self.told(addr)
		}
	}
	if v.asked {
		l.unlink(i)
	}
	v.waiting = false
	l.grow()
	if v.sends == 1 && l.now >= l.excused {
		d := l.now - v.sentAt
		l.rtt.sample(d)
		if v.fastest == 0 || d < v.fastest {
			v.fastest = max(d, 1)
		}
	}
	l.reply(i, m)
}

// match finds the visit whose query a reply answers.
func (l *loop) match(tid []byte, from netip.AddrPort) (int32, bool) {
	if len(tid) == 4 {
		i, generation := int32(binary.BigEndian.Uint16(tid)), binary.BigEndian.Uint16(tid[2:])
		if int(i) < len(l.visits) {
			v := &l.visits[i]
			if (v.asked || v.waiting && v.sends > 0) && v.generation == generation && v.addr == from {
				return i, true
			}
			if v.lateGen == generation && v.lateFrom == from {
				v.lateFrom = netip.AddrPort{} // once
				l.counts.late.Add(1)
				if v.lateSent > 0 && l.now >= l.excused { // or time-outs would only learn from replies that met them
					l.rtt.sample(l.now - v.lateSent)
				}
				return 0, false
			}
		}
	}
	l.counts.strange.Add(1)
	return 0, false
}

// grow widens the window by one for each reply, which doubles it in a round
// trip, up to the slots.
func (l *loop) grow() {
	if l.window < len(l.visits) && !l.crowded {
		l.window++
	}
}

// garbled notes that a peer under way sent what can't be read. The visit goes
// on, since anybody could have sent it in the peer's name.
func (l *loop) garbled(from netip.AddrPort) {
	if l.scans == 0 {
		return
	}
	l.scans--
	for i := l.oldest; i != none; i = l.visits[i].next {
		if l.visits[i].addr == from {
			l.visits[i].garbled = true
		}
	}
}

// reply advances visit i by the message that answers its query.
func (l *loop) reply(i int32, m *krpc.Message) {
	v := &l.visits[i]
	switch {
	case v.signs.stage != walking:
		l.learn(i, m)
		return
	case m.Kind == krpc.Error:
		v.versionN = uint8(copy(v.version[:], m.Version))
		l.finish(i, observation.RemoteError, fmt.Sprintf("%d %s", m.Code, m.Text))
		return
	case m.Kind != krpc.Response || !m.Has(krpc.FieldID):
		l.finish(i, observation.Malformed, "reply without "+missing(m).String())
		return
	case m.ID == l.query.ID:
		l.mirror(i, m)
		return
	case l.mode == modeSeed:
		v.peer.ID = m.ID
	case m.ID != v.peer.ID:
		l.stranger(i, m)
		return
	}
	v.note(m)
	found := l.neighbours(v, m)
	v.plan.took(&found)
	if v.plan.over && !l.chosen(v) {
		l.finish(i, observation.Answered, "")
		return
	}
	v.sends = 0
	l.send(i)
}

// stranger ends a visit whose peer answered as somebody else.
func (l *loop) stranger(i int32, m *krpc.Message) {
	v := &l.visits[i]
	v.versionN = uint8(copy(v.version[:], m.Version))
	l.finish(i, observation.WrongIdentity, "answered as "+m.ID.String())
}

// mirror ends a visit whose peer answered with our own ID. That is no identity
// of its own, but an entry point that does so may know others.
func (l *loop) mirror(i int32, m *krpc.Message) {
	v := &l.visits[i]
	if l.mode == modeSeed {
		l.neighbours(v, m)
	}
	v.versionN = uint8(copy(v.version[:], m.Version))
	l.finish(i, observation.WrongIdentity, mirrored(m.ID))
}

// mirrored explains why somebody who answered is no peer.
func mirrored(id krpc.ID) string { return "answered as " + id.String() + ", which is our own ID" }

func missing(m *krpc.Message) krpc.Field {
	switch {
	case m.Kind != krpc.Response:
		return krpc.FieldKind
	case !m.Has(krpc.FieldBody):
		return krpc.FieldBody
	}
	return krpc.FieldID
}

// neighbours takes in the nodes of a reply.
func (l *loop) neighbours(v *visit, m *krpc.Message) (found [families]summary) {
	for f := range found {
		found[f].shared = 8 * krpc.IDLen
	}
	var p Peer
	for i := range m.Nodes.Len() {
		p.set4((*[krpc.Node4Len]byte)(m.Nodes[i*krpc.Node4Len:]))
		l.neighbour(v, &p, &found[ipv4])
	}
	for i := range m.Nodes6.Len() {
		p.set6((*[krpc.Node6Len]byte)(m.Nodes6[i*krpc.Node6Len:]))
		l.neighbour(v, &p, &found[p.family()]) // of its address, not of the list: it may be mapped
	}
	return found
}

// neighbour takes in one node.
func (l *loop) neighbour(v *visit, p *Peer, s *summary) {
	s.nodes++
	s.shared = min(s.shared, sharedBits(&v.plan.target, &p.ID))
	spot, known := v.heard.find(p)
	if known {
		return
	}
	at := p.Addr()
	addr := at.Addr()
	v.ipv6 = v.ipv6 || addr.Is6()
	switch {
	case p.port == 0, addr.IsUnspecified(), addr.IsMulticast():
		v.refused++
	case l.mode != modeSeed && !l.cfg.Zone.Contains(&p.ID):
	case p.is(&v.peer), l.self.is(&p.ID, at, &l.outside):
	case !l.cfg.Allow(at):
		v.refused++
	case v.heard.put(spot, p):
		s.fresh++
	}
}

// drainErrors takes ICMP errors off the error queue and ends the visits that
// they are about. It reports whether there were any. An error counts only if
// it quotes the transaction that is under way.
func (l *loop) drainErrors() (any bool) {
	for {
		n, to, cause, ok := l.sock.undelivered(l.quoted[:])
		if !ok {
			return any
		}
		any = true
		if cause == nil || krpc.Decode(l.quoted[:n], &l.message) != nil || len(l.message.TID) != 4 {
			continue
		}
		tid := l.message.TID
		i := int32(binary.BigEndian.Uint16(tid))
		if int(i) >= len(l.visits) {
			continue
		}
		v := &l.visits[i]
		if !v.asked || v.addr != to || v.generation != binary.BigEndian.Uint16(tid[2:]) {
			continue
		}
		switch {
		case errors.Is(cause, syscall.ECONNREFUSED):
			l.finish(i, observation.Refused, "")
		case errors.Is(cause, syscall.EHOSTUNREACH), errors.Is(cause, syscall.ENETUNREACH):
			l.finish(i, observation.Unreachable, "")
		}
	}
}
