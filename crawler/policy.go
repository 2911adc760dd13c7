package crawler

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// Policy says which addresses may be contacted at all.
type Policy struct {
	Local  bool        // allow loopback, private and other special-purpose addresses
	OptOut *OptOut     // who asked not to be contacted; nil = nobody
	Facts  FactsSource // knows the AS of an address, for OptOut; may be nil unless OptOut.NeedsFacts
}

// Allow says whether addr may be contacted.
func (p Policy) Allow(addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return false
	}
	if p.OptOut.has(addr, p.Facts) {
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
