package crawler

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/gaissmai/bart"
)

// OptOut lists who asked not to be contacted: addresses, autonomous systems
// and peers. Nil lists nobody.
type OptOut struct {
	prefixes bart.Lite
	systems  map[uint32]bool
	peers    map[string]bool
}

// Forms of a line. Peers stand as Visit.PeerID writes them.
var (
	systemForm = regexp.MustCompile(`^(?i:AS)([0-9]{1,10})$`)
	hexForm    = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)
	base58Form = regexp.MustCompile(`^[1-9A-HJ-NP-Za-km-z]{44,64}$`)
)

// ReadOptOut reads a list of addresses, prefixes, autonomous systems such as
// AS64500, and peer IDs, one a line; # begins a comment. A line that is none
// of these is an error: a wish not to be contacted must not be lost to a
// typing mistake.
func ReadOptOut(r io.Reader) (*OptOut, error) {
	list := &OptOut{systems: map[uint32]bool{}, peers: map[string]bool{}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if !list.add(text) {
			return nil, fmt.Errorf("read opt-out list: line %d: %q is neither an address, nor a prefix such as 192.0.2.0/24, nor an AS such as AS64500, nor a peer ID (40 hexadecimal digits, or base58)", n, text)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read opt-out list: %w", err)
	}
	return list, nil
}

func (o *OptOut) add(text string) bool {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		o.prefixes.Insert(unmapPrefix(prefix.Masked()))
		return true
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		o.prefixes.Insert(unmapPrefix(netip.PrefixFrom(addr.WithZone(""), addr.BitLen())))
		return true
	}
	if m := systemForm.FindStringSubmatch(text); m != nil {
		asn, err := strconv.ParseUint(m[1], 10, 32)
		o.systems[uint32(asn)] = true
		return err == nil && asn > 0
	}
	if hexForm.MatchString(text) {
		text = strings.ToLower(text)
	} else if !base58Form.MatchString(text) {
		return false
	}
	o.peers[text] = true
	return true
}

// unmapPrefix turns ::ffff:192.0.2.0/120 into 192.0.2.0/24, the form in which
// addresses are looked up.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// HasPeer says whether the peer with this ID, as Visit.PeerID writes it, must
// not be contacted.
func (o *OptOut) HasPeer(id string) bool { return o != nil && o.peers[id] }

// NeedsFacts says whether the list can only be honoured by someone who knows
// the AS of an address.
func (o *OptOut) NeedsFacts() bool { return o != nil && len(o.systems) > 0 }

// has says whether addr must not be contacted. It is unmapped.
func (o *OptOut) has(addr netip.Addr, facts FactsSource) bool {
	if o == nil {
		return false
	}
	if o.prefixes.Contains(addr.WithZone("")) {
		return true
	}
	return len(o.systems) > 0 && facts != nil && o.systems[facts.Lookup(addr).ASN]
}
