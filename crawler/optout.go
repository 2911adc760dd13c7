package crawler

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"

	"canopy/crawler/identifier"
)

// OptOut lists who asked not to be contacted: addresses, autonomous systems
// and peers. Nil lists nobody.
type OptOut struct {
	prefixes bart.Lite
	systems  map[uint32]bool
	peers    map[string]bool // as Visit.PeerID writes them
}

// ReadOptOut reads a list of addresses, prefixes, autonomous systems such as
// AS64500, and peer IDs, one a line; # begins a comment. Package identifier
// says in which forms each may be written. A line that is none of these is an
// error that names it: a wish not to be contacted must not be lost to a typing
// mistake.
func ReadOptOut(r io.Reader) (*OptOut, error) {
	in := bufio.NewReader(r)
	switch head, _ := in.Peek(3); {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")): // UTF-8 with a byte order mark
		_, _ = in.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, errors.New("read opt-out list: it is UTF-16: save it as UTF-8")
	}
	list := &OptOut{systems: map[uint32]bool{}, peers: map[string]bool{}}
	lines := bufio.NewScanner(in)
	n := 0
	for lines.Scan() {
		n++
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := list.add(text); err != nil {
			return nil, fmt.Errorf("read opt-out list: line %d: %w; correct the line, or make it a comment with #", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read opt-out list: line %d: %w", n+1, err)
	}
	return list, nil
}

// add takes in one wish.
func (o *OptOut) add(text string) error {
	if prefix, err := identifier.Prefix(text); err == nil {
		o.prefixes.Insert(prefix)
		return nil
	}
	if asn, err := identifier.AS(text); err == nil {
		if asn == 0 {
			return errors.New("AS 0 is no AS, but what is not routed")
		}
		o.systems[asn] = true
		return nil
	}
	id, err := identifier.Peer(text)
	if err != nil {
		return refusal(text, err)
	}
	o.peers[id] = true
	return nil
}

// refusal says why a line is no wish: what it seems to be, or why it is no peer
// ID if it is nothing else either.
func refusal(text string, notPeer error) error {
	_, notPrefix := identifier.Prefix(text)
	_, notAS := identifier.AS(text)
	_, notEndpoint := netip.ParseAddrPort(text)
	switch {
	case strings.Contains(text, "://"):
		return fmt.Errorf("%+q is a URL: write the address, prefix, AS or peer ID that is meant", text)
	case notEndpoint == nil:
		return fmt.Errorf("%+q has a port: write the address alone, and it is not contacted at any port", text)
	case strings.HasPrefix(text, "/"), len(text) > 15 && !strings.ContainsAny(text, ".: "):
		return notPeer
	case strings.Contains(text, "/") || strings.Contains(text, ":"):
		return notPrefix
	case len(text) > 2 && strings.EqualFold(text[:2], "AS"), strings.Trim(text, "0123456789") == "":
		return notAS
	}
	return fmt.Errorf("%+q is neither an address, nor a prefix such as 192.0.2.0/24, nor an AS such as AS64500, nor a whole peer ID", text)
}

// Empty says whether the list names nobody.
func (o *OptOut) Empty() bool {
	return o == nil || o.prefixes.Size()+len(o.systems)+len(o.peers) == 0
}

// HasPeer says whether the peer with this ID must not be contacted. Records of
// earlier years may write it otherwise than Visit.PeerID does.
func (o *OptOut) HasPeer(id string) bool {
	return o != nil && len(o.peers) > 0 && (o.peers[id] || o.peers[identifier.Recorded(id)])
}

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
