package plant

import (
	"context"
	"net/netip"
	"time"

	"github.com/ipfs/boxo/bitswap/message"
	bitswappb "github.com/ipfs/boxo/bitswap/message/pb"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// bitswap lists the versions that are spoken, the best first. 1.1.0 has the
// same messages without HAVE; older ones are long gone.
var bitswap = []protocol.ID{"/ipfs/bitswap/1.2.0", "/ipfs/bitswap/1.1.0"}

// maxMessage bounds one message, in bytes: a wantlist, for we want no blocks.
const maxMessage = 1 << 20

// serve reads what a peer wants until it ends the stream.
func (h *Host) serve(s network.Stream) {
	defer func() { _ = s.Reset() }()
	in := msgio.NewVarintReaderSize(s, maxMessage)
	for {
		if err := s.SetReadDeadline(time.Now().Add(h.cfg.Patience)); err != nil {
			return
		}
		wants, _, err := message.FromMsgReader(in)
		if err != nil {
			return
		}
		if reply := h.answer(s.Conn(), wants.Wantlist()); !reply.Empty() {
			h.send(s.Conn().RemotePeer(), reply)
		}
	}
}

// answer records what is wanted of the planted, and hands it out.
func (h *Host) answer(conn network.Conn, wants []message.Entry) message.BitSwapMessage {
	reply := message.New(false)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, want := range wants {
		block, planted := h.planted[want.Cid]
		switch {
		case want.Cancel:
		case !planted && want.SendDontHave:
			reply.AddDontHave(want.Cid)
		case !planted:
		case want.WantType == bitswappb.Message_Wantlist_Have:
			h.record(conn, asked{conn.RemotePeer(), want.Cid})
			reply.AddHave(want.Cid)
		default:
			h.record(conn, asked{conn.RemotePeer(), want.Cid})
			reply.AddBlock(block)
		}
	}
	return reply
}

// record keeps who came; the caller holds the lock.
func (h *Host) record(conn network.Conn, a asked) {
	id := a.peer.String()
	if h.visits[a] != nil || h.cfg.Refuse(id) {
		return
	}
	if !h.peers[a.peer] {
		if len(h.peers) >= h.cfg.MaxPeers {
			h.missed++
			return
		}
		h.peers[a.peer] = true
	}
	h.visits[a] = &Visit{PeerID: id, Address: endpoint(conn.RemoteMultiaddr()), CID: a.cid.String(), First: time.Now().UTC()}
}

// send hands a peer a message, on a stream of its own as bitswap has it.
func (h *Host) send(to peer.ID, m message.BitSwapMessage) {
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Patience)
	defer cancel()
	s, err := h.host.NewStream(network.WithNoDial(ctx, "it came to us"), to, bitswap...)
	if err == nil {
		deadline, _ := ctx.Deadline()
		_ = s.SetDeadline(deadline)
		if err = m.ToNetV1(s); err == nil {
			err = s.Close()
		} else {
			_ = s.Reset()
		}
	}
	if err != nil {
		h.cfg.Logger.Debug("answer a visitor", "peer", to, "error", err)
	}
}

// endpoint reads address and port of a multiaddr; relays have none.
func endpoint(m multiaddr.Multiaddr) netip.AddrPort {
	if _, err := m.ValueForProtocol(multiaddr.P_CIRCUIT); err == nil {
		return netip.AddrPort{}
	}
	address, err := manet.ToNetAddr(m)
	if err != nil {
		return netip.AddrPort{}
	}
	at, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// gater keeps the host from contacting who must not be contacted.
type gater struct{ cfg Config }

// InterceptPeerDial refuses peers that opted out.
func (g gater) InterceptPeerDial(p peer.ID) bool { return !g.cfg.Refuse(p.String()) }

// InterceptAddrDial refuses addresses that must not be contacted.
func (g gater) InterceptAddrDial(_ peer.ID, m multiaddr.Multiaddr) bool {
	ip, err := manet.ToIP(m)
	if err != nil {
		return false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return ok && g.cfg.Allow(addr.Unmap())
}

// InterceptAccept lets everybody come.
func (gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured refuses peers that opted out.
func (g gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return !g.cfg.Refuse(p.String())
}

// InterceptUpgraded has nothing to add.
func (gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
