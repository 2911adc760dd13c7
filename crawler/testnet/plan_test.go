package testnet_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"canopy/crawler/testnet"
)

func population() testnet.Population {
	agents := []testnet.Agent{{Wire: "a", Read: "A", Weight: 3}, {Wire: "b", Read: "B", Weight: 1}}
	homes := testnet.Churn{Online: 40 * time.Minute, Offline: time.Hour}
	return testnet.Population{
		Network: "test", K: 8, Port: 20000, Slots: 2,
		Personas: []testnet.Persona{
			{Name: "home", Land: testnet.HomeDE, Operator: testnet.Community, Share: 0.6, Agents: agents, Churn: homes},
			{Name: "campus", Land: testnet.CampusCH, Operator: testnet.Institutional, Share: 0.1, Agents: agents},
			{Name: "fleet", Land: testnet.CloudUS, Operator: testnet.Commercial, Share: 0.2, Agents: agents, Dense: 100},
			{Name: "late", Land: testnet.CloudSG, Operator: testnet.Commercial, Share: 0.1, Agents: agents, Dense: 50, Churn: testnet.Churn{Arrival: 0.5}},
		},
		Slot: func(n testnet.Node) int { return n.Number % 2 },
		Identity: func(seed uint64, number int) (testnet.Key, string) {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:], seed)
			binary.BigEndian.PutUint64(b[8:], uint64(number))
			k := testnet.Key(sha256.Sum256(b[:]))
			return k, hex.EncodeToString(k[:])
		},
	}
}

func plan(t *testing.T, size testnet.Size, seed uint64) *testnet.Plan {
	t.Helper()
	if size.Horizon == 0 {
		size.Horizon = 24 * time.Hour
	}
	p, err := testnet.New(population(), size, seed)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanIsAFunctionOfItsSeed(t *testing.T) {
	size := testnet.Size{Nodes: 300, Real: 20, Dead: 0.2}
	a, b, other := plan(t, size, 7), plan(t, size, 7), plan(t, size, 8)
	if diff := cmp.Diff(a.Truth(nil), b.Truth(nil)); diff != "" {
		t.Errorf("same seed, other truth:\n%s", diff)
	}
	for number := range a.Nodes {
		if !slices.Equal(a.At(0).Table(number), b.At(0).Table(number)) {
			t.Fatalf("same seed, other table of node %d", number)
		}
	}
	if cmp.Equal(a.Truth(nil), other.Truth(nil)) {
		t.Error("another seed made the same truth")
	}
}

func TestPlanHoldsItsShares(t *testing.T) {
	p := plan(t, testnet.Size{Nodes: 2000, Real: 24, Dead: 0.25}, 1)
	count := map[string]int{}
	agents := map[string]int{}
	dead, realNodes := 0, 0
	for _, n := range p.Nodes {
		switch {
		case n.Life != testnet.Living:
			dead++
			if len(n.Sessions) != 0 {
				t.Errorf("dead node %d has sessions", n.Number)
			}
			continue
		case n.Real:
			realNodes++
		}
		count[n.Persona.Name]++
		agents[n.Agent.Read]++
	}
	want := map[string]int{"home": 1200, "campus": 200, "fleet": 400, "late": 200}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Error(diff)
	}
	if realNodes != 24 || dead != 667 {
		t.Errorf("%d real and %d dead nodes, want 24 and 667 (a quarter of 2667)", realNodes, dead)
	}
	if share := float64(agents["A"]) / 2000; math.Abs(share-0.75) > 0.03 {
		t.Errorf("agent A has share %.3f, want 0.75", share)
	}
}

func TestTablesHoldTheDeadShare(t *testing.T) {
	for _, share := range []float64{0, 0.1, 0.3} {
		p := plan(t, testnet.Size{Nodes: 1500, Dead: share}, 3)
		v := p.At(6 * time.Hour)
		entries, stale := 0, 0
		for _, number := range v.Alive() {
			for _, other := range v.Table(int(number)) {
				entries++
				if !v.Up(int(other)) {
					stale++
				}
			}
		}
		if got := float64(stale) / float64(entries); math.Abs(got-share) > 0.02 {
			t.Errorf("dead share %.2f: tables hold %.3f of %d entries", share, got, entries)
		}
	}
}

// TestEveryNodeIsFound walks the tables from the bootstrap nodes, through
// nodes that are up only.
func TestEveryNodeIsFound(t *testing.T) {
	for _, nodes := range []int{1, 2, 9, 150, 1200} {
		p := plan(t, testnet.Size{Nodes: nodes, Dead: 0.3}, uint64(nodes))
		for at := time.Duration(0); at <= p.Size.Horizon; at += 97 * time.Minute {
			v := p.At(at)
			seen := make([]bool, len(p.Nodes))
			var queue []uint32
			for _, b := range p.Bootstraps {
				if !v.Up(b) {
					t.Fatalf("bootstrap node %d is down at %s", b, at)
				}
				seen[b] = true
				queue = append(queue, uint32(b))
			}
			found := 0
			for ; len(queue) > 0; queue = queue[1:] {
				found++
				for _, n := range v.Table(int(queue[0])) {
					if !seen[n] && v.Up(int(n)) {
						seen[n] = true
						queue = append(queue, n)
					}
				}
			}
			if alive := p.AliveAt(at); found != len(alive) || found != len(v.Alive()) {
				t.Fatalf("%d nodes at %s: found %d of %d", nodes, at, found, len(alive))
			}
		}
	}
}

func TestTableIsAKademliaTable(t *testing.T) {
	p := plan(t, testnet.Size{Nodes: 800, Dead: 0.2}, 5)
	v := p.At(3 * time.Hour)
	for number := range p.Nodes[:100] {
		table := v.Table(number)
		bucket := map[int]int{}
		for i, other := range table {
			if int(other) == number || slices.Contains(table[:i], other) {
				t.Fatalf("table of %d holds itself or a double", number)
			}
			bucket[shared(p.Nodes[number].Key, p.Nodes[other].Key)]++
		}
		for b, n := range bucket {
			if n > p.K {
				t.Fatalf("bucket %d of %d holds %d entries", b, number, n)
			}
		}
	}
}

func TestAppendClosestAgreesWithTheWholeTable(t *testing.T) {
	p := plan(t, testnet.Size{Nodes: 500, Dead: 0.2}, 6)
	v := p.At(time.Hour)
	for i := range 300 {
		number := i * 7 % len(p.Nodes)
		target := testnet.Key(sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
		if i%3 == 0 { // near its own place, where buckets are few
			target = p.Nodes[number].Key
			target[i/3%4] ^= 1 << (i % 8)
		}
		want := v.Table(number)
		slices.SortFunc(want, func(a, b uint32) int {
			x, y := distance(p.Nodes[a].Key, target), distance(p.Nodes[b].Key, target)
			return bytes.Compare(x[:], y[:])
		})
		want = want[:min(8, len(want))]
		if got := v.AppendClosest(nil, number, target, 8); !slices.Equal(got, want) {
			t.Fatalf("node %d: closest to %x are %v, want %v", number, target[:4], got, want)
		}
	}
}

func TestSessionsAreOrdered(t *testing.T) {
	p := plan(t, testnet.Size{Nodes: 500, Dead: 0.1}, 9)
	several := 0
	for _, n := range p.Nodes[:500] {
		if len(n.Sessions) == 0 {
			t.Fatalf("node %d never lives", n.Number)
		}
		if len(n.Sessions) > 1 {
			several++
		}
		end := -p.Size.Horizon - 1
		for _, s := range n.Sessions {
			if s.Start <= end || s.End-s.Start < testnet.ShortestSession || s.Start >= p.Size.Horizon || s.End <= 0 {
				t.Fatalf("node %d: sessions %v", n.Number, n.Sessions)
			}
			end = s.End
		}
	}
	if several < 100 {
		t.Errorf("only %d of 300 homes come back", several)
	}
	if half := p.Size.Horizon / 2; len(p.AliveAt(half-1)) >= len(p.AliveAt(half+10*time.Minute))-30 {
		t.Error("the late fleet did not arrive")
	}
}

func TestSharesAtCountsWhoIsUp(t *testing.T) {
	p := plan(t, testnet.Size{Nodes: 400}, 2)
	sum, nodes := 0.0, 0
	for _, c := range p.SharesAt(time.Hour) {
		sum += c.Share
		nodes += c.Nodes
		if c.Hosting == "institutional" && c.Nodes != 40 {
			t.Errorf("%d institutional nodes, want all 40", c.Nodes)
		}
	}
	if alive := len(p.AliveAt(time.Hour)); nodes != alive || math.Abs(sum-1) > 1e-9 {
		t.Errorf("cells hold %d of %d nodes, shares sum to %g", nodes, alive, sum)
	}
}

func TestAddressTableCoversEveryNodeOnce(t *testing.T) {
	p := plan(t, testnet.Size{Nodes: 1000, Dead: 0.2}, 4)
	var b strings.Builder
	if err := testnet.WriteAddressTable(&b, p, p); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rows[0], ","); got != "start,end,asn,organisation,country,hosting" {
		t.Fatalf("header %q", got)
	}
	rows = rows[1:]
	covered := 0
	seen := map[netip.Addr]bool{}
	for i, row := range rows {
		start, end := netip.MustParseAddr(row[0]), netip.MustParseAddr(row[1])
		if end.Less(start) || i > 0 && !netip.MustParseAddr(rows[i-1][1]).Less(start) {
			t.Fatalf("row %v overlaps or is upside down", row)
		}
		for _, n := range p.Nodes {
			a := n.Address.Addr()
			if a.Less(start) || end.Less(a) {
				continue
			}
			covered++
			if seen[a] {
				t.Fatalf("address %s given twice", a)
			}
			seen[a] = true
			if l := n.Persona.Land; l.Organisation != row[3] || l.Country != row[4] || string(l.Hosting) != row[5] {
				t.Fatalf("node %d of %s stands in row %v", n.Number, l.Organisation, row)
			}
		}
	}
	if covered != len(p.Nodes) {
		t.Errorf("%d of %d nodes are covered", covered, len(p.Nodes))
	}
}

func TestOnPortMovesEveryNode(t *testing.T) {
	p := plan(t, testnet.Size{Nodes: 50, Dead: 0.2}, 4)
	moved := p.OnPort(30000)
	for i, n := range moved.Nodes {
		if n.Address.Port() != p.Nodes[i].Address.Port()+10000 || n.Address.Addr() != p.Nodes[i].Address.Addr() {
			t.Fatalf("node %d moved from %s to %s", i, p.Nodes[i].Address, n.Address)
		}
	}
	if p.Nodes[0].Address.Port() != 20000 {
		t.Error("the first plan changed")
	}
}

func TestTruthSurvivesJSON(t *testing.T) {
	want := plan(t, testnet.Size{Nodes: 20, Dead: 0.2}, 4).Truth([]string{"127.16.0.1:20000"})
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got testnet.Truth
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestSizesOutOfBoundsAreRefused(t *testing.T) {
	for want, size := range map[string]testnet.Size{
		"0 nodes":                   {},
		"share of dead entries 1":   {Nodes: 10, Dead: 1, Horizon: time.Hour},
		"share of dead entries NaN": {Nodes: 10, Dead: math.NaN(), Horizon: time.Hour},
		"11 real nodes of 10":       {Nodes: 10, Real: 11, Horizon: time.Hour},
		"horizon 0s":                {Nodes: 10},
		"has room for":              {Nodes: 3_000_000, Horizon: time.Minute},
	} {
		if _, err := testnet.New(population(), size, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("size %+v: %v", size, err)
		}
	}
}

func shared(a, b testnet.Key) int {
	d := distance(a, b)
	for i, x := range d {
		for bit := range 8 {
			if x&(0x80>>bit) != 0 {
				return 8*i + bit
			}
		}
	}
	return 256
}

func distance(a, b testnet.Key) (d testnet.Key) {
	for i := range a {
		d[i] = a[i] ^ b[i]
	}
	return d
}
