package mainline

import (
	"crypto/sha1" //nolint:gosec // BEP 33 says so
	"math"
	"math/bits"
	"net/netip"
)

const (
	filterBytes = 256
	filterBits  = 8 * filterBytes
)

// filter is a Bloom filter over addresses, of two hashes and 2048 bits (BEP
// 33). Nodes hand out one of seeds and one of downloaders, and their union
// counts those that several nodes know once.
type filter [filterBytes]byte

// insert adds an address, all of it also in IPv6.
func (f *filter) insert(addr netip.Addr) {
	hash := sha1.Sum(addr.Unmap().AsSlice()) //nolint:gosec // BEP 33 says so
	for i := range 2 {
		bit := (int(hash[2*i]) | int(hash[2*i+1])<<8) % filterBits
		f[bit/8] |= 1 << (bit % 8)
	}
}

// join adds what raw holds. It takes no filter that is full, since no swarm that
// can be counted fills one, and reports whether it took raw.
func (f *filter) join(raw []byte) bool {
	if len(raw) != filterBytes || zeros(raw) == 0 {
		return false
	}
	for i, b := range raw {
		f[i] |= b
	}
	return true
}

// size estimates how many addresses were inserted: log(c/m) / (2 log(1-1/m)),
// with c of m bits unset (BEP 33). A filter without unset bits counts as one
// with a single one, 7,806: more can't be told.
func (f *filter) size() float64 {
	c := max(1, min(filterBits-1, zeros(f[:])))
	if zeros(f[:]) == filterBits {
		return 0
	}
	return math.Log(float64(c)/filterBits) / (2 * math.Log(1-1.0/filterBits))
}

func zeros(raw []byte) (n int) {
	for _, b := range raw {
		n += 8 - bits.OnesCount8(b)
	}
	return n
}
