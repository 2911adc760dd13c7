package mainline

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// TestBEP42 checks the vectors that BEP 42 prints.
func TestBEP42(t *testing.T) {
	for _, v := range []struct {
		addr string
		rand byte
		head string
	}{
		{"124.31.75.21", 1, "5fbfbf"},
		{"21.75.31.124", 86, "5a3ce9"},
		{"65.23.51.170", 22, "a5d432"},
		{"84.124.73.14", 65, "1b0321"},
		{"43.213.53.83", 90, "e56f6c"},
	} {
		var id krpc.ID
		if _, err := hex.Decode(id[:3], []byte(v.head)); err != nil {
			t.Fatal(err)
		}
		id[19] = v.rand
		addr := netip.MustParseAddr(v.addr)
		if got := bep42(&id, addr); got != "valid" {
			t.Errorf("%s: %s", v.addr, got)
		}
		if got := bep42(&id, netip.AddrFrom16(addr.As16())); got != "valid" {
			t.Errorf("%s mapped into IPv6: %s", v.addr, got)
		}
		id[2] ^= 0x08
		if got := bep42(&id, addr); got != "invalid" {
			t.Errorf("%s with a bit turned over: %s", v.addr, got)
		}
		if got := bep42(&id, netip.MustParseAddr("192.168.1.1")); got != "exempt" {
			t.Errorf("a private address is %s", got)
		}
	}
}

func TestAgents(t *testing.T) {
	for v, want := range map[string]string{
		"LT\x02\x08":             "libtorrent 2.0.8",
		"LT\x01\x2f":             "libtorrent 1.2.15",
		"LT\x00\x0f":             "libtorrent 0.15",
		"lt\x0d\x80":             "rTorrent libtorrent 0.13.8",
		"UT\xb4\x2f":             "µTorrent 46127",
		"TR\x25\x3d":             "Transmission r9533",
		"A2\x00\x03":             "aria2 DHT 3",
		"CY\x00\x01":             "Canopy 0.1",
		"XY12":                   "XY12",
		"\x01\x02":               "v=0102",
		"LT":                     "LT",
		"LT\x1b[31m":             "v=4c541b5b33316d",
		"<script>":               "<script>",
		"":                       "",
		strings.Repeat("a", 999): strings.Repeat("a", observation.MaxText-len("…")) + "…",
	} {
		if got := agent([]byte(v)); got != want {
			t.Errorf("%q is %q, want %q", v, got, want)
		}
	}
}

func TestNamesAreBounded(t *testing.T) {
	var n names
	for i := range 3 * maxNames {
		name, raw := n.of(fmt.Appendf(nil, "%08d", i))
		if name != fmt.Sprintf("%08d", i) || raw != "v="+hex.EncodeToString([]byte(name)) {
			t.Fatalf("%q, %q", name, raw)
		}
	}
	if len(n.known) > maxNames {
		t.Errorf("%d versions are kept", len(n.known))
	}
}

func TestTimeoutFollowsRoundTrips(t *testing.T) {
	r := rtt{low: time.Millisecond, high: 5 * time.Second}
	if got := r.timeout(); got != firstWait {
		t.Errorf("%v before the first sample", got)
	}
	for range 1000 {
		r.sample(50 * time.Millisecond)
	}
	if got := r.timeout(); got < 50*time.Millisecond || got > 70*time.Millisecond {
		t.Errorf("%v after steady round trips of 50 ms", got)
	}
	for i := range 1000 {
		r.sample(time.Duration(50+i%2*400) * time.Millisecond)
	}
	if got := r.timeout(); got < 450*time.Millisecond {
		t.Errorf("%v where every other round trip takes 450 ms", got)
	}
	r.low, r.high = time.Second, 2*time.Second
	if got := r.timeout(); got < r.low || got > r.high {
		t.Errorf("%v is out of bounds", got)
	}
}

func TestAgendaIsInOrder(t *testing.T) {
	var h agenda[int]
	var want []time.Duration
	for i := range 500 {
		at := time.Duration(i * 7919 % 503)
		h.push(at, int(at))
		want = append(want, at)
	}
	slices.Sort(want)
	if _, ok := h.pop(-1); ok {
		t.Error("something came before it was due")
	}
	for _, at := range want {
		if got, ok := h.pop(1000); !ok || time.Duration(got) != at {
			t.Fatalf("%d, want %d", got, at)
		}
	}
	if _, ok := h.pop(1000); ok {
		t.Error("something came twice")
	}
}

func TestHeard(t *testing.T) {
	var h heard
	at := func(i int) Peer {
		return NewPeer(idOf(i), netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(i >> 8), byte(i)}), 1))
	}
	for round := range 2 {
		h.reset()
		for i := range maxHeard {
			if !h.add(at(i)) || h.add(at(i)) {
				t.Fatalf("round %d, peer %d", round, i)
			}
		}
		if h.full || h.add(at(maxHeard)) || !h.full {
			t.Errorf("round %d: the bound does not hold", round)
		}
	}
	if got := h.take(); len(got) != maxHeard || got[17] != at(17) {
		t.Errorf("%d peers", len(got))
	}
}

// TestPeerHash: every byte of a peer counts, and no two of many peers that
// differ little meet.
func TestPeerHash(t *testing.T) {
	p := NewPeer(idOf(1), netip.MustParseAddrPort("[2001:db8::1]:1"))
	sums := map[uint64]bool{p.hash(): true}
	different := func(q Peer) {
		if sum := q.hash(); sums[sum] || q.is(&p) {
			t.Fatalf("%v meets another", q)
		}
		sums[q.hash()] = true
	}
	for i := range p.ID {
		for x := 1; x < 256; x++ {
			q := p
			q.ID[i] ^= byte(x)
			different(q)
			if i < len(p.addr) {
				q = p
				q.addr[i] ^= byte(x)
				different(q)
			}
		}
	}
	for port := 2; port < 1<<16; port++ {
		q := p
		q.port = uint16(port)
		different(q)
	}
}

// TestPeerIsSmall: a frontier holds millions of them.
func TestPeerIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Peer{}); size > 40 {
		t.Errorf("%d bytes", size)
	}
	for _, s := range []string{"192.0.2.1:6881", "[2001:db8::1]:1"} {
		addr := netip.MustParseAddrPort(s)
		if p := NewPeer(idOf(1), addr); p.Addr() != addr {
			t.Errorf("%v became %v", addr, p.Addr())
		}
	}
}

// TestOwnAddressIsVoted: what most peers see us as is ours, what a few say is
// not.
func TestOwnAddressIsVoted(t *testing.T) {
	ours, victim := netip.MustParseAddrPort("192.0.2.1:6881"), netip.MustParseAddrPort("192.0.2.2:6881")
	s := &self{id: idOf(1)}
	for range enoughVotes - 1 {
		s.told(victim)
	}
	if s.outside()[ipv4].IsValid() {
		t.Error("a few votes were enough")
	}
	for range 100 {
		s.told(ours)
	}
	outside := s.outside()
	if outside[ipv4] != ours {
		t.Fatalf("%v", outside)
	}
	other := idOf(2)
	if !s.is(&other, ours, &outside) || s.is(&other, victim, &outside) {
		t.Error("the vote does not count")
	}
}

// TestCensus: an IPv4 address and an IPv6 /64 are one each, and so are a /24 and
// a /56.
func TestCensus(t *testing.T) {
	c := newCensus(&Config{MaxPerAddress: 3, MaxPerBlock: 5})
	at := func(i int, addr string) Peer { return NewPeer(idOf(i), netip.MustParseAddrPort(addr)) }
	for i, p := range []struct {
		addr string
		want bool
	}{
		{"192.0.2.1:1", true}, {"192.0.2.1:2", true}, {"192.0.2.1:3", true}, {"192.0.2.1:4", false}, {"192.0.2.2:1", true},
		{"[2001:db8::1]:1", true}, {"[2001:db8::2]:1", true}, {"[2001:db8::3]:1", true}, {"[2001:db8::4]:1", false},
		{"[2001:db8:0:1::1]:1", true},
		{"192.0.2.3:1", true}, {"192.0.2.4:1", false}, {"192.0.3.4:1", true},
		{"[2001:db8:0:2::1]:1", true}, {"[2001:db8:0:3::1]:1", false}, {"[2001:db8:0:100::1]:1", true},
	} {
		if got := c.admits(at(i, p.addr)); got != p.want {
			t.Errorf("%s: %v", p.addr, got)
		}
	}
}
