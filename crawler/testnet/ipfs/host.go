package ipfs

import (
	"errors"
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"canopy/crawler/testnet"
)

// node is one running host.
type node struct {
	host host.Host
	dht  *dht.IpfsDHT
	udp  *net.UDPConn // QUIC's socket: go-libp2p closes what runs over it, not the socket itself
}

func (n *node) listenUDP(network string, at *net.UDPAddr) (net.PacketConn, error) {
	conn, err := net.ListenUDP(network, at)
	n.udp = conn
	return conn, err
}

// startNode starts a server of the DHT that keeps the table it is given: it
// never looks for others, and admits nobody who talks to it.
func startNode(plan *testnet.Plan, number int, self peer.AddrInfo) (*node, error) {
	private, err := privateKey(plan.Seed, number)
	if err != nil {
		return nil, fmt.Errorf("start host %d: %w", number, err)
	}
	n := &node{}
	n.host, err = libp2p.New(
		libp2p.Identity(private),
		libp2p.ListenAddrs(self.Addrs...),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(quic.NewTransport),
		libp2p.QUICReuse(quicreuse.NewConnManager, quicreuse.DisableReuseport(), quicreuse.OverrideListenUDP(n.listenUDP)),
		libp2p.UserAgent(plan.Nodes[number].Agent.Wire),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.ForceReachabilityPublic(), // no AutoNAT
		libp2p.DisableRelay(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableMetrics(),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start host %d: %w", number, err), n.stop())
	}
	n.dht, err = dht.New(n.host,
		dht.Mode(dht.ModeServer),
		dht.BucketSize(bucketSize),
		dht.DisableAutoRefresh(),
		dht.BootstrapPeers(),
		dht.RoutingTableFilter(func(any, peer.ID) bool { return false }),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start host %d: %w", number, err), n.stop())
	}
	return n, nil
}

// stop frees whatever was started.
func (n *node) stop() error {
	var failed error
	if n.dht != nil {
		failed = n.dht.Close()
	}
	if n.host != nil {
		failed = errors.Join(failed, n.host.Close())
	}
	if n.udp != nil {
		if err := n.udp.Close(); !errors.Is(err, net.ErrClosed) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// setTable makes the routing table hold exactly the given peers.
func (n *node) setTable(entries []peer.AddrInfo) error {
	wanted := make(map[peer.ID]bool, len(entries))
	for _, e := range entries {
		wanted[e.ID] = true
	}
	table := n.dht.RoutingTable()
	for _, id := range table.ListPeers() {
		if !wanted[id] {
			table.RemovePeer(id)
			n.host.Peerstore().ClearAddrs(id) // else it would still be named when asked for
		}
	}
	for _, e := range entries {
		if table.Find(e.ID) != "" {
			continue
		}
		n.host.Peerstore().AddAddrs(e.ID, e.Addrs, peerstore.PermanentAddrTTL)
		if _, err := table.TryAddPeer(e.ID, true, false); err != nil {
			return fmt.Errorf("add %s to table of %s: %w", e.ID, n.host.ID(), err)
		}
	}
	if size := table.Size(); size != len(entries) {
		return fmt.Errorf("fill table of %s: it holds %d peers instead of %d", n.host.ID(), size, len(entries))
	}
	return nil
}
