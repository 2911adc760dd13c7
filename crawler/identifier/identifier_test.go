package identifier

import (
	"net/netip"
	"strings"
	"testing"
)

// The IDs of peers whose keys are of three kinds, each in the form of the record.
const (
	ed25519   = "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP"
	rsa       = "QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6"
	secp256k1 = "16Uiu2HAm4A1jA9DudCdRbVZLzWBtt24jtpLCYsB6KDy5EQGuqLJ4"
	node      = "0123456789abcdef0123456789abcdef01234567"
	decimal   = "0000000000000000000000000000000000064500" // a node ID may look like a number
)

// spelt are names with the form that the record keeps.
var spelt = map[string]string{
	ed25519: ed25519, rsa: rsa, secp256k1: secp256k1, node: node, strings.ToUpper(node): node, decimal: decimal,
	"bafzaajaiaejcak6ya3ex6dqav4nb7qzsr6twhkjgs4r4rw4pvrhzhl3r3mmg23uq": ed25519,
	"BAFZAAJAIAEJCAK6YA3EX6DQAV4NB7QZSR6TWHKJGS4R4RW4PVRHZHL3R3MMG23UQ": ed25519,
	"k51qzi5uqu5dh9xfmynw5q9n619fostvy6tu736bxnplmrcanj9boobiqxa1e8":    ed25519,
	"K51QZI5UQU5DH9XFMYNW5Q9N619FOSTVY6TU736BXNPLMRCANJ9BOOBIQXA1E8":    ed25519,
	"z5AanNVJCxnHnXqbzBdzWvTWKB4rGAKNsvm4gvNUNxvwg6uWrs5Jh9y":           ed25519,
	"bafzbeiebwy35r7gsy3nggwpgsyyrhiixbxtzlzfxew4e2hqljt6z5rmm5e":       rsa,
	"/p2p/" + ed25519: ed25519, "/ipfs/" + rsa: rsa,
	"/p2p/bafzaajaiaejcak6ya3ex6dqav4nb7qzsr6twhkjgs4r4rw4pvrhzhl3r3mmg23uq": ed25519,
	"/ip4/192.0.2.1/tcp/4001/p2p/" + rsa:                                     rsa,
	"/dns4/example.org/udp/4001/quic-v1/webtransport/ipfs/" + secp256k1:      secp256k1,
	"/ip4/192.0.2.1/tcp/4001/p2p/" + rsa + "/p2p-circuit/p2p/" + ed25519:     ed25519,
}

func TestPeer(t *testing.T) {
	for text, want := range spelt {
		if got, err := Peer(text); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %s", text, got, err, want)
		}
		if got := Recorded(text); got != want {
			t.Errorf("a record of %s: %q", text, got)
		}
	}
	for text, why := range map[string]string{
		ed25519[:len(ed25519)-1]: "no peer ID", rsa[:len(rsa)-1]: "no peer ID", secp256k1[:len(secp256k1)-1]: "no peer ID", node[1:]: "no peer ID",
		ed25519[1:]: "no peer ID", ed25519 + "x": "no peer ID", node + "0": "no peer ID", ed25519[:12]: "no peer ID", "Qm": "no peer ID", "1": "no peer ID", "11": "holds no key", "": "no peer ID",
		"bafybeiaysi4s6lnjev27ln5icwm6tueaw2vdykrtjkwiphwekaywqhcjze": "CID of content", "/ip4/192.0.2.1/tcp/4001": "does not end in /p2p/",
		"/ip4/192.0.2.1/tcp/4001/p2p/" + rsa + "/p2p-circuit": "does not end in /p2p/", "/p2p/" + rsa[1:]: "no peer ID", "/p2p/": "no peer ID", "p2p/" + rsa: "no peer ID",
		rsa + " ": "U+0020", rsa + "\x00": "U+0000", "\ufeff" + rsa: "U+FEFF", "Ԛ" + rsa[1:]: "U+051A", rsa + "," + ed25519: "no peer ID", strings.Repeat("1", 2000): "longer than",
	} {
		if got, err := Peer(text); err == nil || !strings.Contains(err.Error(), why) || strings.ContainsAny(err.Error(), "\n\x00\ufeff") || len(err.Error()) > 700 {
			t.Errorf("%q: %q, %v, want %s", text, got, err, why)
		}
		if got := Recorded(text); got != text {
			t.Errorf("a record of %q: %q", text, got)
		}
	}
}

func TestSpellings(t *testing.T) {
	for _, id := range []string{ed25519, rsa, secp256k1, node} {
		list := Spellings(id)
		if list[0] != id || len(list) < 2 {
			t.Errorf("%s: %q", id, list)
		}
		for _, text := range list {
			if got, err := Peer(text); got != id || err != nil {
				t.Errorf("%s: %q, %v, want %s", text, got, err, id)
			}
		}
	}
	if list := Spellings("anything"); len(list) != 1 || list[0] != "anything" {
		t.Errorf("of no peer: %q", list)
	}
}

func TestPrefix(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "192.0.2.0/24": "192.0.2.0/24", "192.0.2.77/24": "192.0.2.0/24", "::ffff:192.0.2.0/120": "192.0.2.0/24", "::ffff:192.0.2.9": "192.0.2.9/32",
		"::ffff:0.0.0.0/96": "0.0.0.0/0", "2001:db8::7/32": "2001:db8::/32", "fe80::1%eth0": "fe80::1/128", "2001:DB8::": "2001:db8::/128", "2001:0db8:0000::1": "2001:db8::1/128", "::/0": "::/0",
	} {
		if got, err := Prefix(text); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
	for text, why := range map[string]string{
		"192.0.2.1:4001": "neither", "[2001:db8::1]:4001": "neither", "192.000.002.001": "neither", "192.0.2.0/33": "neither", "192.0.2.0/024": "neither", "192.0.2": "neither", "192.0.2.0/-1": "neither",
		"::ffff:192.0.2.0/90": "each on its own", "fe80::%eth0/64": "neither", "example.org": "neither", "": "neither", "１92.0.2.1": "U+FF11", "192.0.2.1\x00": "U+0000", "192.0.2.1 192.0.2.2": "U+0020",
	} {
		if got, err := Prefix(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, %v, want %s", text, got, err, why)
		}
	}
	if _, err := Masked(netip.Prefix{}); err == nil || err.Error() != "it is no prefix" {
		t.Errorf("no prefix: %v", err)
	}
}

func TestAS(t *testing.T) {
	for text, want := range map[string]uint32{"AS64500": 64500, "as64500": 64500, "aS64500": 64500, "64500": 64500, "AS0064500": 64500, "0064500": 64500, "4294967295": 4294967295, "AS0": 0} {
		if got, err := AS(text); got != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "AS", "AS-1", "+5", "4294967296", "AS99999999999", "64500.5", "1.10", "AS 64500", "АS64500", "AS６4500", "0x10", "1_000", "AS64500\x00", decimal, "ASAS1"} {
		if got, err := AS(text); err == nil || !strings.Contains(err.Error(), "is no AS number") {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

// FuzzNames checks that what is read is in the form of the record, and reads the
// same again, and that errors are of one line.
func FuzzNames(f *testing.F) {
	for text := range spelt {
		f.Add(text)
	}
	for _, text := range []string{"", "AS64500", "::ffff:1.2.3.0/120", "fe80::1%eth0", "/p2p-circuit", "bafkqaaa", "1.2.3.4:5", "\xff\xfe"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := Peer(text)
		if err == nil {
			if again, err := Peer(id); again != id || err != nil || Spellings(id)[0] != id {
				t.Errorf("%q is read as %q, and that as %q, %v", text, id, again, err)
			}
		} else if strings.ContainsAny(err.Error(), "\n\r\x00\x1b") {
			t.Errorf("%q: %q", text, err)
		}
		if p, err := Prefix(text); err == nil {
			if again, err := Prefix(p.String()); again != p || err != nil || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
				t.Errorf("%q is read as %v, and that as %v, %v", text, p, again, err)
			}
			if id != "" {
				t.Errorf("%q is both %v and %s", text, p, id)
			}
		}
		if asn, err := AS(text); err == nil && id != "" {
			t.Errorf("%q is both AS%d and %s", text, asn, id)
		}
	})
}
