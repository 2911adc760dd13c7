package mainline

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// phone asks single questions from one socket for each address family, in our
// own codec: what it gets may be as odd as it likes. It is read-only (BEP 43).
type phone struct {
	cfg   Config
	ask   krpc.Ask
	conns [families]net.PacketConn
	local [families]netip.AddrPort

	mu     sync.Mutex
	calls  map[[4]byte]call
	broken error
}

// call is a question that waits for its answer.
type call struct {
	to     netip.AddrPort
	answer chan *krpc.Message
}

// openPhone opens sockets on the given local addresses, the first of each
// family.
func openPhone(cfg Config, bind ...netip.Addr) (*phone, error) {
	p := &phone{cfg: cfg, calls: map[[4]byte]call{}}
	p.ask = krpc.Ask{ID: randomID(), Version: cfg.Version, ReadOnly: true}
	for _, local := range bind {
		f := familyOf(local)
		if p.conns[f] != nil {
			continue
		}
		raw, err := net.ListenUDP([families]string{"udp4", "udp6"}[f], net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
		if err != nil {
			return nil, errors.Join(&socketError{local.String(), err}, p.close())
		}
		p.conns[f] = &guarded{PacketConn: raw, allow: cfg.Allow}
		p.local[f] = raw.LocalAddr().(*net.UDPAddr).AddrPort()
		p.ask.Want |= f.want()
	}
	for _, conn := range p.conns {
		if conn != nil {
			go p.listen(conn)
		}
	}
	return p, nil
}

func (p *phone) close() error {
	var errs []error
	for _, c := range p.conns {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// answerBytes bounds one answer, with some 2,000 addresses in it. What is longer
// is cut and can't be read then.
const answerBytes = 16 << 10

// listen hands every answer to whom waits for it, until the socket closes.
func (p *phone) listen(conn net.PacketConn) {
	buffer := make([]byte, answerBytes)
	for {
		n, addr, err := conn.ReadFrom(buffer)
		switch {
		case err == nil:
			from := addr.(*net.UDPAddr).AddrPort()
			p.heard(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), append([]byte(nil), buffer[:n]...))
		case momentary(err):
		default:
			p.mu.Lock()
			p.broken = err
			p.mu.Unlock()
			return
		}
	}
}

// heard takes in one packet, which nobody else uses any more.
func (p *phone) heard(from netip.AddrPort, packet []byte) {
	m := new(krpc.Message)
	if krpc.Decode(packet, m) != nil || m.Kind == krpc.Query || len(m.TID) != 4 {
		return
	}
	p.mu.Lock()
	c, waiting := p.calls[[4]byte(m.TID)]
	p.mu.Unlock()
	if !waiting || c.to != from {
		return
	}
	select {
	case c.answer <- m:
	default: // said already
	}
}

// said is what came of one question.
type said struct {
	message *krpc.Message // nil unless it answered
	outcome observation.Outcome
	sent    uint32
	rtt     time.Duration // zero when it was asked twice
}

// call asks one question, again if there is no answer for a while. The error
// means that we could not ask, or that ctx ended.
func (p *phone) call(ctx context.Context, to netip.AddrPort, question func(b, tid []byte) []byte) (said, error) {
	s := said{outcome: observation.NoAddress}
	conn := p.conns[familyOf(to.Addr())]
	if conn == nil || !p.cfg.allowed(to) {
		return s, nil
	}
	c := call{to, make(chan *krpc.Message, 1)}
	tid := p.expect(c)
	defer p.forget(tid)
	packet := question(nil, tid[:])
	s.outcome = observation.Timeout
	for s.sent < maxSends {
		if !p.cfg.pace(ctx, to.Addr()) {
			return s, context.Cause(ctx)
		}
		began := time.Now()
		if _, err := conn.WriteTo(packet, net.UDPAddrFromAddrPort(to)); err != nil {
			if s.outcome = unsent(err); s.outcome == "" {
				return s, &socketError{p.local[familyOf(to.Addr())].String(), err}
			}
			return s, nil
		}
		s.sent++
		select {
		case s.message = <-c.answer:
			if s.outcome = p.verdictOn(s.message); s.sent == 1 {
				s.rtt = time.Since(began)
			}
			return s, nil
		case <-ctx.Done():
			return s, context.Cause(ctx)
		case <-time.After(p.cfg.MinTimeout):
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return s, &socketError{p.local[familyOf(to.Addr())].String(), p.broken}
	}
	return s, nil
}

func (p *phone) expect(c call) (tid [4]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for taken := true; taken; {
		_, _ = rand.Read(tid[:])
		_, taken = p.calls[tid]
	}
	p.calls[tid] = c
	return tid
}

func (p *phone) forget(tid [4]byte) {
	p.mu.Lock()
	delete(p.calls, tid)
	p.mu.Unlock()
}

// verdictOn says how a question ended that was answered with m. Our own ID is
// nobody's answer.
func (p *phone) verdictOn(m *krpc.Message) observation.Outcome {
	switch {
	case m.Kind == krpc.Error:
		return observation.RemoteError
	case m.Kind != krpc.Response || !m.Has(krpc.FieldID):
		return observation.Malformed
	case m.ID == p.ask.ID:
		return observation.WrongIdentity
	}
	return observation.Answered
}

// unsent says what a packet that did not leave tells of where it should have
// gone. It is empty when the trouble is ours.
func unsent(err error) observation.Outcome {
	switch {
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return observation.Unreachable
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL):
		return observation.Unclassified
	case momentary(err):
		return observation.Timeout
	}
	return ""
}
