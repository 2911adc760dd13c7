package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"canopy/crawler"
	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

// inOneSecond counts the questions that a pacer lets through within one second
// to the addresses that next makes, by a clock of its own.
func inOneSecond(p *crawler.Pacer, next func(i int) netip.Addr) (n int) {
	start := time.Unix(1_700_000_000, 0)
	for i, now := 0, start; ; i++ {
		wait := p.Take(next(i), now)
		if wait == 0 {
			n++
			continue
		}
		if now = now.Add(wait); now.Sub(start) >= time.Second {
			return n
		}
	}
}

// TestPaceFlags asks the real pacer what each setting comes to.
func TestPaceFlags(t *testing.T) {
	t.Parallel()
	address := netip.MustParseAddr("192.0.2.1")
	one := func(int) netip.Addr { return address }
	block := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
	for name, c := range map[string]struct {
		args               []string
		toAddress, toBlock int // within the first second, the burst included; 0: not asked, for there is no bound
	}{
		"default":                     {nil, 8 + 1, 256 + 63},
		"lower":                       {[]string{"--rate-per-address=0.5", "--rate-per-block=1"}, 2, 4},
		"local":                       {[]string{"--local", "--rate=100000"}, 8 + 1, 0},
		"local, higher":               {[]string{"--local", "--rate=100000", "--rate-per-address=20", "--rate-per-block=100"}, 80 + 19, 400 + 99},
		"local, block of the default": {[]string{"--local", "--rate=100000", "--rate-per-block=64"}, 8 + 1, 256 + 63},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range networks {
				o := crawlOptions{paceOptions: paceOptions{pace: crawler.DefaultPace()}}
				flags := pflag.NewFlagSet(n.name, pflag.ContinueOnError)
				walkFlags(flags, n, &o)
				if err := flags.Parse(c.args); err != nil {
					t.Fatal(err)
				}
				if got := inOneSecond(crawler.NewPacer(o.pacing()), one); got != c.toAddress {
					t.Errorf("%s: %d to one address, want %d", n.name, got, c.toAddress)
				}
				if c.toBlock == 0 {
					if o.pacing().PerPrefix != (crawler.Rate{}) {
						t.Errorf("%s: %+v", n.name, o.pacing())
					}
				} else if got := inOneSecond(crawler.NewPacer(o.pacing()), block); got != c.toBlock {
					t.Errorf("%s: %d to one block, want %d", n.name, got, c.toBlock)
				}
			}
		})
	}
}

// The checks of an observer keep to the pace of each network.
func TestChecksOfAnObserverKeepThePace(t *testing.T) {
	t.Parallel()
	o := observeOptions{}
	for _, n := range networks {
		_, s := newObserveSection(n)
		s.crawl.local = true
		o.sections = append(o.sections, s)
	}
	o.sections[1].crawl.perAddress, o.sections[1].crawl.toldAddress = 50, true
	c := o.checkOptions()
	for i, want := range []float64{2, 50} {
		walk := c.crawlOptions
		walk.paceOptions = c.paces[networks[i].name]
		if got := walk.pacing(); got.PerAddress.PerSecond != want || got.Global.PerSecond != 200 {
			t.Errorf("%s: %+v", networks[i].name, got)
		}
	}
}

// crowd runs n nodes of Mainline that know each other, at the addresses that
// where gives them, and returns the entry point and what counts their queries.
func crowd(t *testing.T, n int, where func(i int) net.IP) (entry string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	nodes := make([]krpc.Node, n)
	conns := make([]*net.UDPConn, n)
	for i := range nodes {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: where(i)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[i], nodes[i] = conn, krpc.Node{ID: krpc.ID{byte(i), byte(i >> 8), 1}, Addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	}
	for i, conn := range conns {
		var table []byte
		for j := range min(8, n) {
			table = krpc.AppendNode(table, nodes[(8*i+1+j)%n])
		}
		go func() {
			in := make([]byte, 4096)
			for {
				size, from, err := conn.ReadFromUDPAddrPort(in)
				if err != nil {
					return
				}
				asked.Add(1)
				var query krpc.Message
				if krpc.Decode(in[:size], &query) == nil {
					answer := krpc.Answer{ID: nodes[i].ID, Nodes: table}
					_, _ = conn.WriteToUDPAddrPort(answer.Append(nil, query.TID), from)
				}
			}
		}()
	}
	return nodes[0].Addr.String(), asked
}

// TestPaceOfManyPeersAtOneAddress crawls as many nodes at one address as the
// default pace would take minutes for, at a pace that was raised, and some at
// another, where the pace of their block holds the crawl up.
func TestPaceOfManyPeersAtOneAddress(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	dir := t.TempDir()
	walk := func(entry string, args ...string) (c observation.Crawl) {
		t.Helper()
		r := canopy(t, append([]string{"crawl", "mainline", "--local", "--json", "--bind", "127.0.0.1", "--capabilities", "0", "--bootstrap", entry,
			"--store", "chdb:" + filepath.Join(dir, "record")}, args...)...)
		if r.code != exitDone {
			t.Fatalf("exit code %d: %s", r.code, r.stderr)
		}
		lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	const many, few = 500, 60
	entry, asked := crowd(t, many, func(int) net.IP { return net.IPv4(127, 60, 0, 1) })
	c := walk(entry, "--rate-per-address", "5000")
	slowest := time.Duration(asked.Load()-8) * time.Second / 2 // what the default pace takes
	if took := c.EndedAt.Sub(c.StartedAt); c.Reachable != many || took >= slowest || asked.Load() < many {
		t.Errorf("%d of %d reached in %s, with %d queries that take %s at the default pace", c.Reachable, many, took, asked.Load(), slowest)
	}
	if want := `"per_address":{"per_second":5000,"burst":20000}`; !strings.Contains(c.Settings, want) {
		t.Errorf("settings do not say %s: %s", want, c.Settings)
	}
	entry, asked = crowd(t, few, func(i int) net.IP { return net.IPv4(127, 61, 0, byte(1+i)) })
	c = walk(entry, "--rate-per-block", "15")
	least := time.Duration(asked.Load()-1-60) * time.Second / 15 // the entry point was asked before the crawl began
	if took := c.EndedAt.Sub(c.StartedAt); c.Reachable != few || took < least || least < time.Second {
		t.Errorf("%d of %d reached in %s, with %d queries that take %s at this pace", c.Reachable, few, took, asked.Load(), least)
	}
}

// A peer that is remembered enters by the address that answered, and not by the
// first by the alphabet.
func TestRememberedPeersEnterWhereTheyAnswered(t *testing.T) {
	t.Parallel()
	anything := func(form string) (string, error) {
		if !strings.HasPrefix(form, "/") {
			return "", fmt.Errorf("no multiaddr")
		}
		return form, nil
	}
	addresses := []string{"/ip4/10.0.0.1/tcp/4001", "/ip4/172.17.0.1/tcp/4001", "/ip4/192.0.2.9/tcp/4001", "/ip4/192.0.2.9/udp/4002/quic-v1"}
	if got := entryForms(anything, "X", "192.0.2.9", "4002", addresses); !slices.Equal(got, []string{"/ip4/192.0.2.9/udp/4002/quic-v1/p2p/X"}) {
		t.Errorf("%q", got)
	}
	if got := entryForms(anything, "X", "192.0.2.10", "4002", addresses); len(got) != 4 {
		t.Errorf("where none tells: %q", got)
	}
	hostPort := func(form string) (string, error) {
		_, err := netip.ParseAddrPort(form)
		return form, err
	}
	if got := entryForms(hostPort, "X", "192.0.2.9", "4002", nil); !slices.Equal(got, []string{"192.0.2.9:4002"}) {
		t.Errorf("%q", got)
	}
}
