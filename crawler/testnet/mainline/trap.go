package mainline

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"canopy/crawler/mainline/krpc"
)

// Trap is a hostile network that never ends: at every address of a prefix
// stands a node, and each names others at random addresses of it.
type Trap struct {
	prefix  netip.Prefix
	port    uint16
	conn    *net.UDPConn
	wait    sync.WaitGroup
	queries atomic.Uint64
}

// StartTrap sets one at a free port of a loopback prefix, which must be IPv4.
// ctx bounds the start.
func StartTrap(ctx context.Context, prefix netip.Prefix) (*Trap, error) {
	if !prefix.Addr().Is4() || !prefix.Addr().IsLoopback() {
		return nil, fmt.Errorf("start trap: %s is no IPv4 loopback prefix", prefix)
	}
	conn, err := listen(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("start trap: %w", err)
	}
	t := &Trap{prefix: prefix.Masked(), port: conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), conn: conn}
	t.wait.Go(t.run)
	return t, nil
}

// Close ends it.
func (t *Trap) Close() error {
	err := t.conn.Close()
	t.wait.Wait()
	return err
}

// Bootstrap is an entry point, as IP and port.
func (t *Trap) Bootstrap() string {
	return netip.AddrPortFrom(t.prefix.Addr().Next(), t.port).String()
}

// Queries counts what was asked.
func (t *Trap) Queries() uint64 { return t.queries.Load() }

// at is the node that stands at an address.
func (t *Trap) at(a netip.Addr) krpc.Node {
	v4 := a.As4()
	sum := sha256.Sum256(v4[:])
	return krpc.Node{ID: krpc.ID(sum[:krpc.IDLen]), Addr: netip.AddrPortFrom(a, t.port)}
}

// random is an address of the prefix.
func (t *Trap) random() netip.Addr {
	v4 := t.prefix.Addr().As4()
	for i, fixed := range [4]int{8, 16, 24, 32} {
		mask := byte(0xff)
		if free := fixed - t.prefix.Bits(); free < 8 {
			mask = 1<<max(free, 0) - 1
		}
		v4[i] |= byte(rand.Uint32()) & mask
	}
	return netip.AddrFrom4(v4)
}

func (t *Trap) run() {
	var message krpc.Message
	packet, oob, sender := make([]byte, 2048), make([]byte, oobSize), newOrigin()
	for {
		n, oobn, _, from, err := t.conn.ReadMsgUDPAddrPort(packet, oob)
		if err != nil {
			return // closed; an unconnected socket has no other errors
		}
		to, ok := destination(oob[:oobn])
		if !ok || !t.prefix.Contains(to) || !from.Addr().Unmap().IsLoopback() || krpc.Decode(packet[:n], &message) != nil {
			continue
		}
		t.queries.Add(1)
		a := krpc.Answer{ID: t.at(to).ID, IP: from}
		for range 8 {
			a.Nodes = krpc.AppendNode(a.Nodes, t.at(t.random()))
		}
		_, _, _ = t.conn.WriteMsgUDPAddrPort(a.Append(nil, message.TID), sender.from(to), from) // a lost packet is asked for again
	}
}
