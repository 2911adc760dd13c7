package mainline

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/anacrolix/dht/v2"
	anacrolix "github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/log"
	"golang.org/x/time/rate"

	"canopy/crawler/mainline/krpc"
)

// asker asks single questions through nodes of anacrolix/dht, one for each
// address family: a well-behaved presence of our own, apart from the walk.
type asker struct {
	cfg     Config
	id      krpc.ID
	servers [families]*dht.Server
	local   [families]netip.AddrPort
	want    []anacrolix.Want
	self    map[Peer]bool       // never asked
	spares  func(*krpc.ID) bool // whom it does not ask either; nil: nobody
	pulse   *pulse
}

// openAsker starts nodes with the given ID on the given local addresses. A
// read-only one answers nobody and says so (BEP 43), so that it enters no table.
func openAsker(cfg Config, pulse *pulse, id krpc.ID, readOnly bool, bind ...netip.Addr) (*asker, error) {
	a := &asker{cfg: cfg, id: id, self: map[Peer]bool{}, pulse: pulse}
	for _, local := range bind {
		f := familyOf(local)
		if a.servers[f] != nil {
			continue
		}
		if err := a.listen(f, id, readOnly, local); err != nil {
			a.close()
			return nil, err
		}
		a.want = append(a.want, [families]anacrolix.Want{anacrolix.WantNodes, anacrolix.WantNodes6}[f])
		a.self[NewPeer(id, a.local[f])] = true
	}
	return a, nil
}

func (a *asker) listen(f family, id krpc.ID, readOnly bool, local netip.Addr) error {
	network := [families]string{"udp4", "udp6"}[f]
	raw, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return &socketError{local.String(), err}
	}
	if a.local[f], err = netip.ParseAddrPort(raw.LocalAddr().String()); err != nil {
		return errors.Join(err, raw.Close())
	}
	var conn net.PacketConn = &guarded{PacketConn: raw, allow: a.cfg.Allow}
	if a.cfg.wrap != nil {
		conn = a.cfg.wrap(conn)
	}
	a.servers[f], err = dht.NewServer(&dht.ServerConfig{
		NodeId: anacrolix.ID(id), Conn: conn, Passive: readOnly, NoSecurity: true,
		StartingNodes:    func() ([]dht.Addr, error) { return nil, errors.New("we choose whom to ask") },
		QueryResendDelay: a.pulse.timeout,              // how long one query waits: we send again ourselves
		SendLimiter:      rate.NewLimiter(rate.Inf, 1), // the default one is shared by all; ours is the pacer
		Logger:           log.Default.FilterLevel(log.Critical),
	})
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	return nil
}

func (a *asker) close() {
	for _, s := range a.servers {
		if s != nil {
			s.Close()
		}
	}
}

// find asks a node for nodes near target, up to tries times if it stays silent,
// and returns what it named. An answer counts only with the ID asked for; a peer
// without an ID may have any but our own.
func (a *asker) find(ctx context.Context, p Peer, target krpc.ID, tries int) (named []Peer, sent int, ok bool) {
	s, addr := a.servers[p.family()], p.Addr()
	if s == nil || a.self[p] || !a.cfg.allowed(addr) || a.cfg.Refuse(p.ID.String()) || a.spares != nil && a.spares(&p.ID) {
		return nil, 0, false
	}
	input := dht.QueryInput{
		// anacrolix nodes read info_hash and pass over target.
		MsgArgs:  anacrolix.MsgArgs{Target: anacrolix.ID(target), InfoHash: anacrolix.ID(target), Want: a.want},
		NumTries: 1, RateLimiting: dht.QueryRateLimiting{NotAny: true},
	}
	for sent < tries && a.cfg.pace(ctx, addr.Addr()) {
		sent++
		began := time.Now()
		r := s.Query(ctx, dht.NewAddr(net.UDPAddrFromAddrPort(addr)), "find_node", input)
		if r.Err != nil {
			continue
		}
		if r.Reply.Y != "r" || r.Reply.R == nil || krpc.ID(r.Reply.R.ID) == a.id || p.ID != (krpc.ID{}) && krpc.ID(r.Reply.R.ID) != p.ID {
			return nil, sent, false
		}
		if sent == 1 {
			a.pulse.sample(time.Since(began))
		}
		r.Reply.R.ForAllNodes(func(n anacrolix.NodeInfo) {
			ip, valid := netip.AddrFromSlice(n.Addr.IP)
			if at := netip.AddrPortFrom(ip.Unmap(), uint16(n.Addr.Port)); valid && a.cfg.allowed(at) && krpc.ID(n.ID) != a.id && len(named) < maxHeard {
				named = append(named, NewPeer(krpc.ID(n.ID), at))
			}
		})
		return named, sent, true
	}
	return nil, sent, false
}

// sleep waits. It reports false when ctx ends.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// guarded sends nothing to where nothing may be sent, whatever makes a node of
// ours want to.
type guarded struct {
	net.PacketConn
	allow func(netip.AddrPort) bool
	once  sync.Once
}

// WriteTo drops what may not be sent.
func (g *guarded) WriteTo(b []byte, to net.Addr) (int, error) {
	if u, ok := to.(*net.UDPAddr); ok {
		if addr := u.AddrPort(); !g.allow(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())) {
			return len(b), nil
		}
	}
	return g.PacketConn.WriteTo(b, to)
}

// Close closes the socket once: anacrolix/dht may close it twice.
func (g *guarded) Close() (err error) {
	g.once.Do(func() { err = g.PacketConn.Close() })
	return err
}

// bindAddrs are the local addresses that a configuration sends from, without
// ports.
func bindAddrs(cfg Config) ([]netip.Addr, error) {
	sockets, err := openSockets(cfg)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, s := range sockets {
		addrs = append(addrs, s.local.Addr())
		_ = s.close() // nothing is buffered
	}
	return addrs, nil
}
