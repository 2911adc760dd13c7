package ipfs

import (
	"fmt"
	"slices"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"google.golang.org/protobuf/proto"
)

// maxMessage bounds one reply in bytes: k peers with some hundred addresses
// each fit.
const maxMessage = 1 << 20

// reply is one FIND_NODE reply that was found valid.
type reply struct {
	peers []mention // distinct, in the order of the reply
	cut   bool      // it named more peers than are believed
}

// mention is a peer that was named, with the first bits of its Kademlia key.
type mention struct {
	peer Peer
	key  uint16
}

// findNode is the request for the peers nearest to the key of target.
func findNode(target Peer) *pb.Message {
	return pb.NewMessage(pb.Message_FIND_NODE, []byte(target), 0)
}

// readReply takes the peers and their addresses from the bytes of one reply,
// at most limit of them. Entries that are no peer ID are left out; a reply
// that is not a FIND_NODE message is an error.
func (b *book) readReply(raw []byte, limit int) (reply, error) {
	var m pb.Message
	var r reply
	if err := proto.Unmarshal(raw, &m); err != nil {
		return r, fmt.Errorf("decode reply: %w", err)
	}
	if m.GetType() != pb.Message_FIND_NODE {
		return r, fmt.Errorf("decode reply: it is of type %d, not FIND_NODE", m.GetType())
	}
	r.peers = make([]mention, 0, min(len(m.CloserPeers), limit))
	for _, entry := range m.CloserPeers {
		if len(r.peers) == limit {
			r.cut = true
			break
		}
		if n, ok := b.learn(entry.GetId(), entry.GetAddrs()); ok && !slices.Contains(r.peers, n) {
			r.peers = append(r.peers, n)
		}
	}
	return r, nil
}
