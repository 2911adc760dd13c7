package ipfs

import (
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
	providerAddrs = 16  // looked at of one provider
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
	for _, entry := range m.CloserPeers[:min(len(m.CloserPeers), closer)] {
		if n, ok := b.learn(entry.GetId(), entry.GetAddrs()); ok && !slices.Contains(s.closer, n.peer) {
			s.closer = append(s.closer, n.peer)
		}
	}
	s.cut = len(m.CloserPeers) > closer || len(m.ProviderPeers) > maxPerReply
	for _, entry := range m.ProviderPeers[:min(len(m.ProviderPeers), maxPerReply)] {
		id, err := peer.IDFromBytes(entry.GetId())
		if err != nil || slices.ContainsFunc(s.providers, func(p peer.AddrInfo) bool { return p.ID == id }) {
			continue
		}
		info := peer.AddrInfo{ID: id}
		for _, addr := range entry.GetAddrs()[:min(len(entry.GetAddrs()), providerAddrs)] {
			if m, err := multiaddr.NewMultiaddrBytes(addr); len(addr) <= maxAddressBytes && err == nil {
				info.Addrs = append(info.Addrs, m)
			}
		}
		s.providers = append(s.providers, info)
	}
	return s, nil
}
