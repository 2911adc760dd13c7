package mainline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"canopy/crawler/mainline/krpc"
)

// Zone is all IDs that share a prefix. The zero Zone is the whole key space.
type Zone struct {
	Bits   int
	Prefix krpc.ID // bits after the prefix are zero
}

// maxZoneBits bounds a zone: in a network of a thousand million nodes one of
// 32 bits is empty, and so is a smaller one in any network that there is.
const maxZoneBits = 32

// ParseZone reads BITS/PREFIX, where PREFIX is as many bits (such as 5/10110)
// or the hexadecimal digits that hold them (such as 12/a3f or 10/a3c), or BITS
// alone for a zone at a random place.
func ParseZone(s string) (Zone, error) {
	fail := func(format string, args ...any) (Zone, error) {
		return Zone{}, fmt.Errorf("read zone %q: "+format, append([]any{s}, args...)...)
	}
	number, prefix, given := strings.Cut(s, "/")
	bits, err := strconv.Atoi(number)
	if err != nil || bits < 1 || bits > maxZoneBits {
		return fail("want BITS/PREFIX with 1 to %d bits, such as 12/a3f", maxZoneBits)
	}
	z := Zone{Bits: bits}
	switch {
	case !given:
		_, _ = rand.Read(z.Prefix[:]) // never fails since Go 1.24
		z.Prefix = masked(z.Prefix, bits)
		return z, nil
	case len(prefix) == bits && strings.Trim(prefix, "01") == "":
		for i, digit := range prefix {
			if digit == '1' {
				z.Prefix = flip(z.Prefix, i)
			}
		}
		return z, nil
	case len(prefix) != (bits+3)/4:
		return fail("a prefix of %d bits has %d hexadecimal digits, or is written as %d zeros and ones", bits, (bits+3)/4, bits)
	}
	raw, err := hex.DecodeString(prefix + strings.Repeat("0", 2*krpc.IDLen-len(prefix)))
	if err != nil {
		return fail("%q is no hexadecimal number", prefix)
	}
	copy(z.Prefix[:], raw)
	if z.Prefix != masked(z.Prefix, bits) {
		return fail("%q has more than %d bits: those after the prefix must be zero", prefix, bits)
	}
	return z, nil
}

// String writes BITS/PREFIX in hexadecimal, and nothing for the whole space.
func (z Zone) String() string {
	if z.Bits == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%s", z.Bits, z.Prefix.String()[:(z.Bits+3)/4])
}

// Contains tells whether id is in the zone.
func (z Zone) Contains(id *krpc.ID) bool { return z.Bits == 0 || sharedBits(&z.Prefix, id) >= z.Bits }

// random returns an ID in the zone.
func (z Zone) random() krpc.ID {
	id := randomID()
	rest := masked(id, z.Bits)
	for i := range id {
		id[i] ^= rest[i] ^ z.Prefix[i]
	}
	return id
}

// masked returns id with every bit after the first n turned to zero.
func masked(id krpc.ID, n int) krpc.ID {
	for i := range id {
		switch left := n - 8*i; {
		case left <= 0:
			id[i] = 0
		case left < 8:
			id[i] &= 0xff << (8 - left)
		}
	}
	return id
}

// entrances is how many places of a zone are looked up to enter it.
const entrances = 8

// Seeds finds the first peers to visit: the bootstrap nodes that answer and
// what they name, or in a zone the nodes there that lookups from these find.
// When not one bootstrap node answered, the error names each and says why.
func (w *Walker) Seeds(ctx context.Context) ([]Peer, error) {
	from, err := w.entries(ctx)
	if err != nil || w.cfg.Zone.Bits == 0 {
		return from, err
	}
	addrs, err := bindAddrs(w.cfg)
	if err != nil {
		return nil, err
	}
	a, err := openAsker(w.cfg, newPulse(&w.cfg), w.id, true, addrs...)
	if err != nil {
		return nil, err
	}
	defer a.close()
	var looked [entrances]*lookup
	each(entrances, func(i int) { looked[i] = a.lookup(ctx, w.cfg.Zone.random(), replyNodes, nil, from) })
	var inside heard
	for _, l := range looked {
		for _, c := range l.order {
			if w.cfg.Zone.Contains(&c.peer.ID) {
				inside.add(c.peer)
			}
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("enter zone %s: %w", w.cfg.Zone, context.Cause(ctx))
	}
	if len(inside.peers) == 0 {
		return nil, fmt.Errorf("enter zone %s: nobody knows a node there: take fewer bits", w.cfg.Zone)
	}
	return inside.take(), nil
}
