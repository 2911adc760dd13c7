package crawler

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
)

// Policy says which addresses may be contacted at all.
type Policy struct {
	Local  bool       // allow loopback, private and other special-purpose addresses
	OptOut *bart.Lite // addresses whose owners asked not to be contacted; nil = none
}

// Allow says whether addr may be contacted.
func (p Policy) Allow(addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return false
	}
	if p.OptOut != nil && p.OptOut.Contains(addr) {
		return false
	}
	return p.Local || GloballyRoutable(addr)
}

// special holds what the IANA special-purpose address registries (RFC 6890 and
// its successors) mark as not globally reachable, and the tunnel ranges whose
// embedded addresses would get round this list.
var special = func() *bart.Lite {
	t := new(bart.Lite)
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		t.Insert(netip.MustParsePrefix(s))
	}
	return t
}()

var globalUnicast6 = netip.MustParsePrefix("2000::/3") // all that IANA has given out so far

// GloballyRoutable says whether addr lies in space that the public internet
// routes.
func GloballyRoutable(addr netip.Addr) bool {
	addr = addr.Unmap()
	if addr.Is6() && !globalUnicast6.Contains(addr) {
		return false
	}
	return addr.IsValid() && !special.Contains(addr.WithZone(""))
}

// ReadOptOut reads a list of addresses and prefixes, one a line; # begins a
// comment. A line that is neither is an error: a wish not to be contacted must
// not be lost to a typing mistake.
func ReadOptOut(r io.Reader) (*bart.Lite, error) {
	list := new(bart.Lite)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil {
				return nil, fmt.Errorf("read opt-out list: line %d: %q is neither an address nor a prefix such as 192.0.2.0/24", n, text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		list.Insert(unmapPrefix(prefix.Masked()))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read opt-out list: %w", err)
	}
	return list, nil
}

// unmapPrefix turns ::ffff:192.0.2.0/120 into 192.0.2.0/24, the form in which
// addresses are looked up.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
