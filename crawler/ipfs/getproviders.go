package ipfs

import (
	"canopy/crawler/ipfs/endpoint"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"github.com/libp2p/go-msgio/pbio"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"
)

// Bounds of one reply.
const (
	maxPerReply   = 512 // providers that one peer is believed to name
	providerAddrs = 16  // kept of one provider, of those that may be dialled
)

// said is one answer to GET_PROVIDERS.
type said struct {
	closer    []Peer
	providers []peer.AddrInfo
	cut       bool // it named more than are believed
}

// getProviders asks one GET_PROVIDERS over a connection.
func (v *visit) getProviders(ctx context.Context, l *link, key []byte) (said, error) {
	w := v.s.w
	patience := w.load.stretch(w.cfg.RequestTimeout)
	began := time.Now()
	s, err := openStream(ctx, l, protocol.ID(w.cfg.Protocol), patience)
	if err != nil {
		return said{}, err
	}
	defer s.close()
	v.result.Visit.Queries++
	if err = pbio.NewDelimitedWriter(s).WriteMsg(pb.NewMessage(pb.Message_GET_PROVIDERS, key, 0)); err != nil {
		return said{}, fmt.Errorf("send request: %w", err)
	}
	raw, err := msgio.NewVarintReaderSize(s, maxReply).ReadMsg()
	if errors.Is(err, msgio.ErrMsgTooLarge) {
		return said{}, &malformedError{fmt.Errorf("read reply: longer than %d bytes", maxReply)}
	}
	if err != nil {
		return said{}, fmt.Errorf("read reply: %w", err)
	}
	v.result.Visit.RTT = time.Since(began)
	answer, err := w.book.readProviders(raw, v.maxNamed())
	if err != nil {
		return said{}, &malformedError{err}
	}
	return answer, nil
}

// maxReply bounds one reply in bytes: go-libp2p sends 4 MiB at most.
const maxReply = 4 << 20

// readProviders takes providers and closer peers from the bytes of one reply,
// no more of them, and no more of their addresses, than is believed. Entries
// that are no peer ID are left out.
func (b *book) readProviders(raw []byte, closer int) (said, error) {
	var m pb.Message
	var s said
	if err := proto.Unmarshal(raw, &m); err != nil {
		return s, fmt.Errorf("decode reply: %w", err)
	}
	if m.GetType() != pb.Message_GET_PROVIDERS {
		return s, fmt.Errorf("decode reply: it is of type %d, not GET_PROVIDERS", m.GetType())
	}
	for _, entry := range m.CloserPeers {
		if len(s.closer) == closer {
			s.cut = true
			break
		}
		if n, ok := b.learn(entry.GetId(), entry.GetAddrs()); ok && !slices.Contains(s.closer, n.peer) {
			s.closer = append(s.closer, n.peer)
		}
	}
	known := make(map[Peer]bool)
	for _, entry := range m.ProviderPeers {
		id, err := peer.IDFromBytes(entry.GetId())
		switch {
		case err != nil || known[id]:
		case len(s.providers) == maxPerReply:
			s.cut = true
		default:
			known[id] = true
			s.providers = append(s.providers, peer.AddrInfo{ID: id, Addrs: b.readable(id, entry.GetAddrs())})
		}
	}
	return s, nil
}

// readable are the addresses of a provider that may be contacted, names left
// out, and the first of very many: one says where it is.
func (b *book) readable(id Peer, addrs [][]byte) (list []multiaddr.Multiaddr) {
	for _, raw := range addrs {
		m, err := multiaddr.NewMultiaddrBytes(raw)
		if err != nil || len(raw) > maxAddressBytes || !b.may(m, id) {
			continue
		}
		if e := endpoint.Read(m, string(id)); e.Kind != endpoint.Direct {
			continue
		}
		if list = append(list, m); len(list) == providerAddrs {
			break
		}
	}
	return list
}
