package identifier

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"
)

// nodeIDLen is how long the ID of a Mainline node is, in bytes (BEP 5).
const nodeIDLen = 20

// Peer reads the ID of a peer and gives it as the record keeps it.
//
// That of a Mainline node is 40 hexadecimal digits, and becomes lower case. That of
// a libp2p peer becomes base58 (https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md).
// It is read in base58, as a CID of its key in any base, behind /p2p/ or
// /ipfs/, and at the end of a multiaddr. It must be the hash of a key, or hold a key
// whole: what was cut off at either end is neither.
func Peer(text string) (string, error) {
	if err := inASCII(text); err != nil {
		return "", err
	}
	if len(text) == 2*nodeIDLen {
		if raw, err := hex.DecodeString(text); err == nil {
			return hex.EncodeToString(raw), nil
		}
	}
	hash, err := peerHash(text)
	if err == nil {
		err = checkKey(hash)
	}
	if err != nil {
		return "", fmt.Errorf("%+q is no peer ID (40 hexadecimal digits, or that of a libp2p peer, whole): %w", clipped(text), err)
	}
	return hash.B58String(), nil
}

// Recorded gives the ID of a peer from a record as [Peer] does, and one that is
// of no kind that it knows as it is.
func Recorded(id string) string {
	if peer, err := Peer(id); err == nil {
		return peer
	}
	return id
}

// peerHash decodes the forms of a libp2p peer ID.
func peerHash(text string) (multihash.Multihash, error) {
	switch {
	case strings.HasPrefix(text, "/"):
		m, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		_, last := multiaddr.SplitLast(m)
		if last == nil || last.Protocol().Code != multiaddr.P_P2P {
			return nil, errors.New("the multiaddr does not end in /p2p/ and a peer ID")
		}
		return last.RawValue(), nil
	case strings.HasPrefix(text, "Qm"), strings.HasPrefix(text, "1"):
		return multihash.FromB58String(text)
	}
	c, err := cid.Decode(text)
	if err != nil {
		return nil, err
	}
	if c.Type() != cid.Libp2pKey {
		return nil, errors.New("it is the CID of content, not of the key of a peer")
	}
	return c.Hash(), nil
}

// checkKey refuses a hash that is not that of a key: SHA-256, or identity with
// the key itself, a message of the fields Type and Data.
func checkKey(hash multihash.Multihash) error {
	decoded, err := multihash.Decode(hash)
	if err != nil {
		return err
	}
	digest := decoded.Digest
	switch {
	case decoded.Code == multihash.SHA2_256 && decoded.Length == 32:
		return nil
	case decoded.Code != multihash.IDENTITY:
		return fmt.Errorf("it is a hash of kind %s, %d bytes long", decoded.Name, decoded.Length)
	case len(digest) < 5 || len(digest) > 42 || digest[0] != 0x08 || digest[2] != 0x12 || int(digest[3]) != len(digest)-4:
		return errors.New("it holds no key")
	}
	return nil
}

// Spellings lists the forms in which records may hold the ID of a peer, the one
// that [Peer] gives first. Earlier versions of Canopy kept that of an imported peer
// as it was written.
func Spellings(peer string) []string {
	if len(peer) == 2*nodeIDLen {
		return []string{peer, strings.ToUpper(peer)}
	}
	hash, err := multihash.FromB58String(peer)
	if err != nil {
		return []string{peer}
	}
	key := cid.NewCidV1(cid.Libp2pKey, hash)
	list := []string{peer}
	for _, base := range []multibase.Encoding{
		multibase.Base32, multibase.Base32Upper, multibase.Base36, multibase.Base36Upper, multibase.Base58BTC, multibase.Base16, multibase.Base16Upper,
	} {
		if text, err := key.StringOfBase(base); err == nil {
			list = append(list, text)
		}
	}
	return list
}
