// Package identifier reads what names a peer, a block of addresses or an
// autonomous system, as people and other programs write it, and gives each in
// the one form that the record keeps. What does not decode is an error: a name
// that is nearly right would match nothing, and nothing would tell.
package identifier

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxText bounds a name, in bytes: the longest is a multiaddr.
const maxText = 1024

// Prefix reads a block of addresses such as 192.0.2.0/24, or one address as
// the block that holds it alone. Bits after the prefix are turned to zero, a
// zone is dropped, and IPv4-mapped addresses become IPv4.
func Prefix(text string) (netip.Prefix, error) {
	if addr, err := Address(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err := inASCII(text); err != nil {
		return netip.Prefix{}, err
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%+q is neither an address nor a prefix such as 192.0.2.0/24", text)
	}
	return Masked(p)
}

// Masked gives a prefix in the form in which addresses are compared with it: see
// [Prefix]. A block that holds IPv4-mapped addresses and others has none.
func Masked(p netip.Prefix) (netip.Prefix, error) {
	switch {
	case !p.IsValid():
		return p, errors.New("it is no prefix")
	case !p.Addr().Is4In6():
		return p.Masked(), nil
	case p.Bits() < 96:
		return p, fmt.Errorf("%s begins as IPv4 and is wider than all of it: write the IPv4 and the IPv6 prefix, each on its own", p)
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked(), nil
}

// Address reads an IP address. A zone, which means something on one machine
// only, is dropped, and an IPv4-mapped address becomes IPv4.
func Address(text string) (netip.Addr, error) {
	if err := inASCII(text); err != nil {
		return netip.Addr{}, err
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || strings.Contains(addr.Zone(), "/") { // netip takes the length of a prefix behind a zone for part of it
		return netip.Addr{}, fmt.Errorf("%+q is no address", text)
	}
	return addr.WithZone("").Unmap(), nil
}

// AS reads the number of an autonomous system (RFC 6793): a decimal number of
// up to 4 bytes (asplain in RFC 5396), of 10 digits at most, with or without AS
// before it in either case. Zero, which stands for what is not routed (RFC 7607), is the caller's to refuse.
func AS(text string) (uint32, error) {
	digits := text
	if len(text) > 2 && strings.EqualFold(text[:2], "AS") {
		digits = text[2:]
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || len(digits) > 10 { // a node ID may have decimal digits only
		return 0, fmt.Errorf("%+q is no AS number, which is a whole number from 0 to 4294967295, with or without AS before it", clipped(text))
	}
	return uint32(n), nil
}

// inASCII refuses what no name holds. Characters that look like others are
// named, because a quoted text would not show them.
func inASCII(text string) error {
	if len(text) > maxText {
		return fmt.Errorf("%+q is longer than %d bytes", clipped(text), maxText)
	}
	for i, r := range text {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("%+q holds the character %U at byte %d: want letters, digits and signs of ASCII, and one name alone", text, r, i+1)
		}
	}
	return nil
}

// clipped bounds a text for an error.
func clipped(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
