//go:build linux

package foreign

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/torrent/bencode"
)

// observer asks Mainline nodes for their neighbours, with anacrolix's codec, so
// that what it believes of a swarm is independent of our own.
type observer struct {
	conn  *net.UDPConn
	id    krpc.ID
	round int
}

// A view is what nodes said in one round of questions. A node that answered
// nothing is absent.
type view map[netip.AddrPort]*said

type said struct {
	version string // the last "v"
	names   map[netip.AddrPort]bool
}

// named says whether a node named another.
func (v view) named(node, other netip.AddrPort) bool {
	return v[node] != nil && v[node].names[other]
}

func newObserver(at string) (*observer, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(at), 6881)))
	if err != nil {
		return nil, fmt.Errorf("open observer's socket: %w: is this a namespace made by Command?", err)
	}
	o := &observer{conn: conn}
	_, _ = rand.Read(o.id[:])
	return o, nil
}

func (o *observer) Close() { o.conn.Close() }

// ask sends every node a find_node for every target and returns when all have
// answered everything, or wait is over.
func (o *observer) ask(ctx context.Context, wait time.Duration, nodes []netip.AddrPort, targets ...krpc.ID) (view, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	o.round++
	for _, target := range targets {
		query, err := bencode.Marshal(krpc.Msg{
			T: o.transaction(), Y: krpc.YQuery, Q: "find_node", ReadOnly: true,
			A: &krpc.MsgArgs{ID: o.id, Target: target},
		})
		if err != nil {
			return nil, fmt.Errorf("encode find_node: %w", err)
		}
		for _, n := range nodes {
			if _, err := o.conn.WriteToUDPAddrPort(query, n); err != nil {
				return nil, fmt.Errorf("ask %s: %w", n, err)
			}
		}
	}
	defer context.AfterFunc(ctx, func() { _ = o.conn.SetReadDeadline(time.Now()) })()
	_ = o.conn.SetReadDeadline(time.Time{})
	return o.collect(ctx, len(nodes)*len(targets)), nil
}

// transaction marks the answers of this round.
func (o *observer) transaction() string { return string([]byte{byte(o.round >> 8), byte(o.round)}) }

// collect reads so many answers, or until ctx ends.
func (o *observer) collect(ctx context.Context, answers int) view {
	seen := view{}
	buf := make([]byte, 1<<16)
	for answers > 0 && ctx.Err() == nil {
		size, from, err := o.conn.ReadFromUDPAddrPort(buf)
		var m krpc.Msg
		if err != nil || bencode.Unmarshal(buf[:size], &m) != nil || m.Y != krpc.YResponse || m.R == nil || m.T != o.transaction() {
			continue
		}
		answers--
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if seen[from] == nil {
			seen[from] = &said{names: map[netip.AddrPort]bool{}}
		}
		seen[from].version = m.ClientId
		m.R.ForAllNodes(func(n krpc.NodeInfo) {
			if ip, ok := netip.AddrFromSlice(n.Addr.IP); ok {
				seen[from].names[netip.AddrPortFrom(ip.Unmap(), uint16(n.Addr.Port))] = true
			}
		})
	}
	return seen
}
