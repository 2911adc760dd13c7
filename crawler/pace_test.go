package crawler

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// sent counts the queries that the pacer lets through to addrs within d when
// every address is asked for as often as possible.
func sent(p *Pacer, start time.Time, d time.Duration, addrs ...netip.Addr) map[netip.Addr]int {
	got := map[netip.Addr]int{}
	for now := start; now.Before(start.Add(d)); now = now.Add(time.Millisecond) {
		for _, a := range addrs {
			if p.Take(a, now) == 0 {
				got[a]++
			}
		}
	}
	return got
}

func TestPacerKeepsEveryLimit(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	far := netip.MustParseAddr("2001:db8::1")

	got := sent(NewPacer(Pace{PerAddress: Rate{2, 8}}), start, 10*time.Second, a, far)
	for _, addr := range []netip.Addr{a, far} {
		if got[addr] < 26 || got[addr] > 28 { // burst of 8, then 2 a second
			t.Errorf("%s got %d queries in 10 s, want 27", addr, got[addr])
		}
	}
	got = sent(NewPacer(Pace{PerPrefix: Rate{5, 1}}), start, 10*time.Second, a, b, far)
	if both := got[a] + got[b]; both < 49 || both > 51 || got[far] < 49 {
		t.Errorf("one /24 got %d, another prefix %d; want 50 each", both, got[far])
	}
	if n := sent(NewPacer(Pace{Global: Rate{1000, 1}}), start, 500*time.Millisecond, a)[a]; n > 251 {
		t.Errorf("%d queries in the first half second: no slow start", n)
	}
	if n := sent(NewPacer(Pace{}), start, time.Second, a)[a]; n != 1000 {
		t.Errorf("no limit let %d of 1000 through", n)
	}
}

func TestPacerWaitIsExact(t *testing.T) {
	p, now := NewPacer(Pace{PerAddress: Rate{2, 1}}), time.Unix(1_800_000_000, 0)
	mapped := netip.MustParseAddr("::ffff:192.0.2.1")
	p.Take(mapped.Unmap(), now)
	wait := p.Take(mapped, now)
	if wait != 500*time.Millisecond {
		t.Fatalf("wait %s, want 500ms: IPv4-mapped must be the same address", wait)
	}
	if again := p.Take(mapped, now.Add(wait)); again != 0 {
		t.Errorf("asked again after the wait: %s", again)
	}
}

func TestPacerForgets(t *testing.T) {
	p, now := NewPacer(DefaultPace()), time.Unix(1_800_000_000, 0)
	r := rand.New(rand.NewPCG(1, 2))
	for range 2_000_000 {
		now = now.Add(200 * time.Microsecond)
		var ip [4]byte
		for i := range ip {
			ip[i] = byte(r.Uint32())
		}
		p.Take(netip.AddrFrom4(ip), now)
	}
	if n := len(p.address) + len(p.prefix); n > 2*purgeFrom {
		t.Errorf("%d buckets kept after 2,000,000 addresses", n)
	}
}

func TestPolicy(t *testing.T) {
	optOut, err := ReadOptOut(strings.NewReader("# wishes\n5.5.5.0/24  # a club\n2a00:1::7\n::ffff:6.6.6.6\n"))
	if err != nil {
		t.Fatal(err)
	}
	global, local := Policy{OptOut: optOut}, Policy{Local: true, OptOut: optOut}
	for addr, want := range map[string][2]bool{ // allowed globally, allowed with Local
		"8.8.8.8": {true, true}, "2a00:1::8": {true, true}, "::ffff:8.8.8.8": {true, true},
		"127.0.0.1": {false, true}, "10.1.2.3": {false, true}, "100.64.0.1": {false, true}, "::1": {false, true},
		"::ffff:127.0.0.1": {false, true}, "fe80::1%eth0": {false, true}, "2002:7f00:1::": {false, true}, "64:ff9b::7f00:1": {false, true},
		"240.0.0.1": {false, true}, "0.0.0.0": {false, false}, "::": {false, false}, "224.0.0.1": {false, false}, "ff02::1": {false, false},
		"5.5.5.9": {false, false}, "2a00:1::7": {false, false}, "6.6.6.6": {false, false}, "::ffff:5.5.5.9": {false, false},
	} {
		a := netip.MustParseAddr(addr)
		if got := [2]bool{global.Allow(a), local.Allow(a)}; got != want {
			t.Errorf("%s: allowed %v, want %v", addr, got, want)
		}
	}
	if (Policy{Local: true}).Allow(netip.Addr{}) {
		t.Error("the zero address is allowed")
	}
	if _, err := ReadOptOut(strings.NewReader("1.2.3.4\nnot an address\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Error("a mistyped wish went unnoticed:", err)
	}
}

func TestFIFOKeepsOrder(t *testing.T) {
	var q fifo[int]
	r := rand.New(rand.NewPCG(3, 4))
	next, want := 0, 0
	for range 2000 {
		for range r.IntN(50) {
			q.push(next)
			next++
		}
		for _, got := range q.pop(r.IntN(60)) {
			if got != want {
				t.Fatalf("popped %d, want %d", got, want)
			}
			want++
		}
		if q.len() != next-want {
			t.Fatalf("length %d, want %d", q.len(), next-want)
		}
	}
	if next < 10*chunkSize {
		t.Fatal("the test never filled a chunk")
	}
}
