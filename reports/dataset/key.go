package dataset

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/netip"
	"time"
)

// keyBytes is the length of a key: the block of a SHA-256 digest.
const keyBytes = 32

// Key turns identities and addresses into pseudonyms. Whoever has it can try
// all addresses, so it is destroyed when its epoch ends.
type Key struct {
	secret [keyBytes]byte
	From   time.Time // the period of the exports that share it
	To     time.Time
	End    time.Time // of its epoch: from then on a kept key is destroyed
	Kept   bool      // it is written down
}

// NewKey makes a key that nobody else has.
func NewKey() *Key {
	k := &Key{}
	_, _ = rand.Read(k.secret[:]) // never fails
	return k
}

// Destroy overwrites the key.
func (k *Key) Destroy() { clear(k.secret[:]) }

// pseudonymBytes is how much of an HMAC is published: 128 bits of 256, as RFC
// 4868 truncates it. Among a thousand million peers two are alike with a chance
// of 1 in 10^21.
const pseudonymBytes = 16

// What a pseudonym stands for is part of what is hashed, so that an address and
// its block never have the same.
const (
	ofPeer     = "peer\x00"
	ofAddress  = "address\x00"
	ofBlock    = "block\x00"
	ofPrefix   = "prefix\x00"
	ofEndpoint = "endpoint\x00"
)

// pseudonyms makes them. It is not safe for concurrent use.
type pseudonyms struct {
	mac      hash.Hash // nil: everything stays as it is
	text     []byte
	sum      []byte
	digits   [2 * pseudonymBytes]byte
	repeats  map[[2]string]string    // of what comes again and again
	prefixes map[netip.Prefix]string // as they are written
}

func newPseudonyms(k *Key) *pseudonyms {
	p := &pseudonyms{repeats: map[[2]string]string{}, prefixes: map[netip.Prefix]string{}}
	if k != nil {
		p.mac = hmac.New(sha256.New, k.secret[:])
	}
	return p
}

// made is the pseudonym of what stands in p.text.
func (p *pseudonyms) made() string {
	p.mac.Reset()
	p.mac.Write(p.text)
	p.sum = p.mac.Sum(p.sum[:0])
	hex.Encode(p.digits[:], p.sum[:pseudonymBytes])
	return string(p.digits[:])
}

// of is the pseudonym of a string, empty for the empty one.
func (p *pseudonyms) of(what, s string) string {
	if p.mac == nil || s == "" {
		return s
	}
	p.text = append(append(p.text[:0], what...), s...)
	return p.made()
}

// announced is the pseudonym of an announced block. It and those of addresses
// and /24s stand for the place together with apart, empty for the place alone.
func (p *pseudonyms) announced(s, apart string) string {
	if p.mac == nil || s == "" {
		return s
	}
	have, ok := p.repeats[[2]string{s, apart}]
	if !ok {
		p.text = append(append(append(p.text[:0], ofPrefix...), s...), apart...)
		have = p.made()
		p.repeats[[2]string{s, apart}] = have
	}
	return have
}

// address is the pseudonym of an address, empty when there is none.
func (p *pseudonyms) address(a netip.Addr, apart string) string {
	if a = a.Unmap(); none(a) {
		return ""
	}
	if p.mac == nil {
		return a.String()
	}
	p.text = append(a.AppendTo(append(p.text[:0], ofAddress...)), apart...)
	return p.made()
}

// block is the pseudonym of the /24 of an address, or its /56 in IPv6.
func (p *pseudonyms) block(a netip.Addr, apart string) string {
	if a = a.Unmap(); none(a) {
		return ""
	}
	bits := blockBits6
	if a.Is4() {
		bits = blockBits4
	}
	b, _ := a.Prefix(bits)
	if p.mac == nil {
		return b.String()
	}
	p.text = append(b.AppendTo(append(p.text[:0], ofBlock...)), apart...)
	return p.made()
}

// endpoint is the pseudonym of an address and port.
func (p *pseudonyms) endpoint(a netip.Addr, port uint16) string {
	at := netip.AddrPortFrom(a.Unmap(), port)
	if p.mac == nil {
		return at.String()
	}
	p.text = at.AppendTo(append(p.text[:0], ofEndpoint...))
	return p.made()
}

func none(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }

// Lengths of blocks, and those to which prefixes are truncated.
const (
	blockBits4 = 24
	blockBits6 = 56
	keptBits4  = 16
	keptBits6  = 32
)

// truncated is what is published of where an address lies: its /16, or its /32
// in IPv6. It is invalid where there is no address.
func truncated(a netip.Addr) netip.Prefix {
	if a = a.Unmap(); none(a) {
		return netip.Prefix{}
	}
	bits := keptBits6
	if a.Is4() {
		bits = keptBits4
	}
	p, _ := a.Prefix(bits)
	return p
}

// shown writes a truncated prefix.
func (p *pseudonyms) shown(b netip.Prefix) string {
	have, ok := p.prefixes[b]
	if !ok {
		have = b.String()
		p.prefixes[b] = have
	}
	return have
}
