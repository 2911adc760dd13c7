package clearcut

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"canopy/crawler/identifier"
)

// Key is a place in the key space, most significant bit first; shorter keys
// leave the rest zero.
type Key [32]byte

func (k Key) place() uint64 { return binary.BigEndian.Uint64(k[:8]) }

// derivations are the ways in which a peer ID gives a key, by the name that a
// crawl's settings use.
var derivations = map[string]func(id string, bits int) (Key, error){
	"hex":           hexKey,
	"sha256-base58": hashedKey,
}

// keyOf derives a key as the network's description says.
func (n Network) keyOf() (func(id string) (Key, error), error) {
	derive, ok := derivations[n.KeyDerivation]
	switch {
	case n.KeyDerivation == "":
		return nil, errors.New("its settings do not say how a peer ID gives a key: crawl again with this version of canopy")
	case !ok:
		return nil, fmt.Errorf("its settings derive keys by %q, which this version of canopy does not know", n.KeyDerivation)
	case n.IDBits < 64 || n.IDBits > 256 || n.IDBits%8 != 0:
		return nil, fmt.Errorf("its settings describe keys of %d bits: want whole bytes, 64 to 256 bits", n.IDBits)
	}
	return func(id string) (Key, error) { return derive(id, n.IDBits) }, nil
}

// hexKey reads IDs that are keys themselves (BEP 5).
func hexKey(id string, bits int) (k Key, err error) {
	if len(id) != bits/4 {
		return k, fmt.Errorf("derive key of %q: want %d hexadecimal digits", id, bits/4)
	}
	if _, err := hex.Decode(k[:], []byte(id)); err != nil {
		return k, fmt.Errorf("derive key of %q: %w", id, err)
	}
	return k, nil
}

// hashedKey is SHA-256 of the bytes that an ID in base58, or in another of its
// spellings, stands for (libp2p kad-dht specification).
func hashedKey(id string, bits int) (k Key, err error) {
	raw, err := base58(identifier.Recorded(id))
	if err != nil {
		return k, fmt.Errorf("derive key of %q: %w", id, err)
	}
	sum := sha256.Sum256(raw)
	copy(k[:bits/8], sum[:])
	return k, nil
}

const (
	alphabet    = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	longestText = 256 // digits; a peer ID has 46 to 59
)

// base58 reads Bitcoin's notation: a large number, and a zero byte for each
// leading 1.
func base58(s string) ([]byte, error) {
	if s == "" || len(s) > longestText {
		return nil, fmt.Errorf("%d base58 digits: want 1 to %d", len(s), longestText)
	}
	n, digit, radix := new(big.Int), new(big.Int), big.NewInt(int64(len(alphabet)))
	for i := range len(s) {
		at := strings.IndexByte(alphabet, s[i])
		if at < 0 {
			return nil, fmt.Errorf("%q is no base58 digit", s[i])
		}
		n.Mul(n, radix).Add(n, digit.SetInt64(int64(at)))
	}
	zeros := len(s) - len(strings.TrimLeft(s, alphabet[:1]))
	return append(make([]byte, zeros), n.Bytes()...), nil
}
