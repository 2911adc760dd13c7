package crawler

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"canopy/crawler/identifier"
	"canopy/crawler/observation"
)

// factsOf knows one AS.
type factsOf map[netip.Addr]uint32

func (f factsOf) Lookup(a netip.Addr) observation.Facts { return observation.Facts{ASN: f[a]} }

func TestOptOutBySystemAndPeer(t *testing.T) {
	const hex, base58 = "0123456789abcdef0123456789abcdef01234567", "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP"
	list, err := ReadOptOut(strings.NewReader("AS64500 # a provider\nas64501\n" + strings.ToUpper(hex) + "\n" + base58 + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, other := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("9.9.9.9")
	p := Policy{OptOut: list, Facts: factsOf{theirs: 64501, other: 64502}}
	if p.Allow(theirs) || p.Allow(netip.AddrFrom16(theirs.As16())) || !p.Allow(other) || !list.NeedsFacts() {
		t.Error("the AS is not honoured")
	}
	if !list.HasPeer(hex) || !list.HasPeer(base58) || list.HasPeer("") {
		t.Error("the peers are not honoured")
	}
	var nobody *OptOut
	if nobody.HasPeer(hex) || nobody.NeedsFacts() || !nobody.Empty() || list.Empty() {
		t.Error("nobody opted out")
	}
}

// TestOptOutInAnySpelling checks that every form of a wish that is taken is
// honoured, whatever the form in which a record has the peer.
func TestOptOutInAnySpelling(t *testing.T) {
	const node, peer = "0123456789abcdef0123456789abcdef01234567", "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP"
	inside, beside := netip.MustParseAddr("9.9.9.129"), netip.MustParseAddr("9.9.8.129")
	facts := factsOf{inside: 64500, beside: 64501}
	peers := append(identifier.Spellings(peer), "/p2p/"+peer, "/ipfs/"+peer, "/p2p/"+identifier.Spellings(peer)[3], "/ip4/9.9.9.9/tcp/4001/p2p/"+peer, "/dnsaddr/example.org/ipfs/"+peer)
	for _, text := range peers {
		list, err := ReadOptOut(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, recorded := range identifier.Spellings(peer) {
			if !list.HasPeer(recorded) {
				t.Errorf("%s does not keep %s from being contacted", text, recorded)
			}
		}
		if list.HasPeer(node) || list.HasPeer("p1") {
			t.Errorf("%s keeps others from being contacted", text)
		}
	}
	for _, text := range []string{node, strings.ToUpper(node)} {
		if list, err := ReadOptOut(strings.NewReader(text)); err != nil || !list.HasPeer(node) || !list.HasPeer(strings.ToUpper(node)) || list.NeedsFacts() {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"9.9.9.129", "9.9.9.0/24", "9.9.9.7/24", "::ffff:9.9.9.0/120", "::ffff:9.9.9.129", "::ffff:9.9.9.77/120", "AS64500", "as64500", "64500", "AS0064500", "0064500",
		"\ufeff9.9.9.0/24", "9.9.9.0/24\r\n\r\n", "\ufeff# wishes\r\nAS64500 # a provider\r\n", "\t9.9.9.129 \u00a0", "9.9.9.129#x",
	} {
		list, err := ReadOptOut(strings.NewReader(text))
		if p := (Policy{OptOut: list, Facts: facts}); err != nil || p.Allow(inside) || p.Allow(netip.AddrFrom16(inside.As16())) || !p.Allow(beside) {
			t.Errorf("%q: %v; inside is allowed: %v, beside: %v", text, err, p.Allow(inside), p.Allow(beside))
		}
	}
	for _, text := range []string{"", "\n\n", "# nobody\n", "\ufeff"} {
		if list, err := ReadOptOut(strings.NewReader(text)); err != nil || !list.Empty() {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestOptOutRefusesWhatItCannotHonour checks that a line which is no wish is
// named, and why.
func TestOptOutRefusesWhatItCannotHonour(t *testing.T) {
	const node, peer = "0123456789abcdef0123456789abcdef01234567", "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP"
	for text, why := range map[string]string{
		peer[:len(peer)-1]: "is no peer ID", peer[1:]: "is no peer ID", peer + "0": "is no peer ID", peer[:20]: "is no peer ID", node[1:]: "is no peer ID", node + "0": "is no peer ID",
		"bafybeiaysi4s6lnjev27ln5icwm6tueaw2vdykrtjkwiphwekaywqhcjze": "CID of content", "/ip4/9.9.9.9/tcp/4001": "does not end in /p2p/", "/ip4/9.9.9.9/tcp/4001/p2p/" + peer + "/p2p-circuit": "does not end in /p2p/",
		"AS": "neither an address", "AS0": "AS 0", "0": "AS 0", "AS4294967296": "no AS number", "AS99999999999": "no AS number", "5000000000": "no AS number", "AS-5": "no AS number", "1.10": "neither an address",
		"1.2.3.4/33": "nor a prefix", "1.2.3": "neither an address", "1.2.3.04": "neither an address", "::ffff:1.2.3.0/90": "each on its own", "2001:db8::1::": "nor a prefix", "fe80::%eth0/64": "nor a prefix",
		"1.2.3.4:6881": "has a port", "[2001:db8::1]:6881": "has a port", "https://1.2.3.4/": "is a URL", "http://example.org:8080": "is a URL", "example.org": "neither an address",
		"1.2.3.4 5.6.7.8": "neither an address", "1.2.3.4, 5.6.7.8": "neither an address", "AS64500 ; a comment": "no AS number", "1.2.3.4\x00": `\x00`, "АS64500": `\u0410`, "AS６4500": `\uff16`, "1.2.3.4\u200b": `\u200b`,
		"1.2.3.4\rAS64500": `\r`, "\x1b[2J": `\x1b`,
	} {
		_, err := ReadOptOut(strings.NewReader("# wishes\n8.8.8.8\n" + text + "\n"))
		if err == nil || !strings.Contains(err.Error(), "line 3: ") || !strings.Contains(err.Error(), why) || strings.ContainsAny(err.Error(), "\n\r\x00\x1b\u200b") {
			t.Errorf("%q: %v, want %s", text, err, why)
		}
	}
	for text, why := range map[string]string{"\xff\xfe1\x00": "UTF-16", "\xfe\xff\x001": "UTF-16", "8.8.8.8\n" + strings.Repeat("1", 1<<17): "line 2: "} {
		if _, err := ReadOptOut(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.20q: %v, want %s", text, err, why)
		}
	}
}

func FuzzReadOptOut(f *testing.F) {
	for _, text := range []string{"", "1.2.3.4\n", "\ufeffAS64500\r\n", "/p2p/QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6 # x", "::ffff:1.2.3.0/120", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ReadOptOut(strings.NewReader(text))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x00\x1b") {
				t.Errorf("%q: %q", text, err)
			}
			return
		}
		for peer := range list.peers {
			if id, err := identifier.Peer(peer); id != peer || err != nil || !list.HasPeer(peer) {
				t.Errorf("%q: keeps %q, which is %q, %v", text, peer, id, err)
			}
		}
	})
}

// namingWalker writes peers as hexadecimal IDs.
type namingWalker struct{ fakeWalker }

func (w *namingWalker) PeerID(peer int) string { return fmt.Sprintf("%040x", peer) }

func TestPeersThatOptedOutAreNeverHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &namingWalker{fakeWalker{graph: map[int][]int{0: {1, 2}, 1: {0, 3}, 2: {4}}}}
		list, err := ReadOptOut(strings.NewReader(w.PeerID(2)))
		if err != nil {
			t.Fatal(err)
		}
		sink := &memorySink{}
		crawl, err := Run(t.Context(), w, sink, Options{OptOut: list, Edges: true})
		if err != nil || crawl.State != observation.Complete || crawl.Discovered != 4 || crawl.Reachable != 3 {
			t.Fatal(crawl, err)
		}
		if w.attempts[2] != 0 || sink.outcomes()[w.PeerID(2)] != observation.NoAddress {
			t.Errorf("%d visits, outcomes %v", w.attempts[2], sink.outcomes())
		}
		for _, e := range sink.edges {
			if e.Partial {
				t.Errorf("the table of %d counts as partial", e.Peer)
			}
		}
	})
}
