package ipfs

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	identifypb "github.com/libp2p/go-libp2p/p2p/protocol/identify/pb"
	"github.com/libp2p/go-msgio/pbio"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"
	"google.golang.org/protobuf/proto"
)

// identifyID is the protocol by which peers ask each other who they are
// (https://github.com/libp2p/specs/tree/master/identify).
const identifyID protocol.ID = "/ipfs/id/1.0.0"

// identity is who we are: a key of our own for each walker, and what we tell
// peers that ask. We offer nothing but identify, so that no peer takes us for
// a server and puts us into its routing table.
type identity struct {
	key   crypto.PrivKey
	self  Peer
	card  *identifypb.Identify
	muxer *multistream.MultistreamMuxer[protocol.ID]
}

func newIdentity(agent string) (*identity, error) {
	key, pub, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate identity: %w", err)
	}
	self, err := peer.IDFromPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("derive peer ID: %w", err)
	}
	raw, err := crypto.MarshalPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("marshal public key: %w", err)
	}
	id := &identity{
		key: key, self: self, muxer: multistream.NewMultistreamMuxer[protocol.ID](),
		card: &identifypb.Identify{
			ProtocolVersion: proto.String("ipfs/0.1.0"),
			AgentVersion:    proto.String(agent),
			PublicKey:       raw,
			Protocols:       []string{string(identifyID)},
		},
	}
	id.muxer.AddHandler(identifyID, nil)
	return id, nil
}

// maxIncoming bounds the streams that one peer may open to us in a visit.
const maxIncoming = 8

// serve answers the peer's own questions until the connection closes.
func (id *identity) serve(conn network.MuxedConn, remote multiaddr.Multiaddr, patience time.Duration) {
	for range maxIncoming {
		s, err := conn.AcceptStream()
		if err != nil {
			return
		}
		go id.answer(s, remote, patience)
	}
}

// answer hands our card to a peer that asks for it; all else is refused.
func (id *identity) answer(s network.MuxedStream, remote multiaddr.Multiaddr, patience time.Duration) {
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, _, err := id.muxer.Negotiate(s); err != nil {
		_ = s.Reset()
		return
	}
	card := proto.Clone(id.card).(*identifypb.Identify)
	card.ObservedAddr = remote.Bytes()
	_ = pbio.NewDelimitedWriter(s).WriteMsg(card) // a peer that does not listen misses our name, no more
	_ = s.Close()
}

const (
	maxIdentifyParts = 10       // messages that one peer may split its card into
	maxIdentifyBytes = 64 << 10 // in all; go-libp2p believes 8 KiB of each
)

// readCard reads a peer's card: one or more messages, to be merged, until the
// end of the stream.
func readCard(r io.Reader) (*identifypb.Identify, error) {
	card, parts := &identifypb.Identify{}, pbio.NewDelimitedReader(io.LimitReader(r, maxIdentifyBytes), maxIdentifyBytes)
	for range maxIdentifyParts {
		var part identifypb.Identify
		err := parts.ReadMsg(&part)
		if errors.Is(err, io.EOF) {
			return card, nil
		}
		if err != nil {
			return card, err
		}
		proto.Merge(card, &part)
	}
	return card, nil
}
