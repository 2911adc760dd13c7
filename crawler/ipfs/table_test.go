package ipfs

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	pstoremem "github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
)

// owner is a routing table of kad-dht's own making, with the rule by which
// kad-dht answers from it: the k nearest, less those without an address.
type owner struct {
	id    kbucket.ID
	table *kbucket.RoutingTable
	mute  map[Peer]bool // entries without an address
	asked int
}

func keyOf(n uint64) Peer {
	id := [34]byte{0x12, 32}
	binary.BigEndian.PutUint64(id[2:], n)
	return Peer(id[:])
}

func newOwner(t testing.TB, rng *rand.Rand, offered, mutePercent int) *owner {
	t.Helper()
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	o := &owner{id: kbucket.ConvertPeerID(keyOf(rng.Uint64())), mute: make(map[Peer]bool)}
	if o.table, err = kbucket.NewRoutingTable(20, o.id, time.Hour, store, time.Hour, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.table.Close() })
	for range offered {
		p := keyOf(rng.Uint64())
		_, _ = o.table.TryAddPeer(p, true, false)
		o.mute[p] = rng.IntN(100) < mutePercent
	}
	return o
}

func (o *owner) ask(_ context.Context, targets []Peer) ([]reply, error) {
	var replies []reply
	for _, t := range targets {
		o.asked++
		nearest := o.table.NearestPeers(kbucket.ConvertPeerID(t), 20)
		replies = append(replies, replyOf(slices.DeleteFunc(nearest, func(p Peer) bool { return o.mute[p] })))
	}
	return replies, nil
}

func replyOf(peers []Peer) (r reply) {
	for _, p := range peers {
		r.peers = append(r.peers, mention{p, keyPrefix(p)})
	}
	return r
}

// named are the entries that the owner could name to anybody.
func (o *owner) named() []Peer {
	return sorted(slices.DeleteFunc(o.table.ListPeers(), func(p Peer) bool { return o.mute[p] }))
}

// TestDumpReadsWholeTables compares dumps with tables of all sizes.
func TestDumpReadsWholeTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	for _, offered := range []int{0, 1, 19, 20, 21, 60, 300, 3000, 30000} {
		for _, mute := range []int{0, 30} {
			o := newOwner(t, rng, offered, mute)
			got, partial, err := dump(t.Context(), binary.BigEndian.Uint16(o.id), o.ask)
			if err != nil || partial {
				t.Fatal(partial, err)
			}
			if diff := cmp.Diff(o.named(), sorted(got)); diff != "" && len(got)+len(o.named()) > 0 {
				t.Errorf("table of %d offered, %d %% without address (-want +got):\n%s", offered, mute, diff)
			}
			if want := fewest(o); mute == 0 && o.asked != want {
				t.Errorf("%d offered: %d requests, want %d", offered, o.asked, want)
			}
		}
	}
}

// fewest is how many requests the proof takes: one that shows the k nearest,
// one for each bucket that these do not cover, and where bucket 0 fills a
// reply or is likely to, one that looks at it from the other side.
func fewest(o *owner) int {
	left, buckets := o.table.Size(), 0
	for ; left >= 20; buckets++ {
		left -= o.table.NPeersForCpl(uint(buckets))
	}
	first := o.table.NPeersForCpl(0)
	if buckets > 1 || first > 0 && first == min(20, o.table.Size()) {
		return 2 + max(buckets, 1)
	}
	return 1 + max(buckets, 1)
}

// TestDumpKeepsWhatCameBeforeAnError loses the connection in the second round.
func TestDumpKeepsWhatCameBeforeAnError(t *testing.T) {
	o := newOwner(t, rand.New(rand.NewPCG(1, 1)), 1000, 0)
	gone := errors.New("gone")
	ask := func(ctx context.Context, targets []Peer) ([]reply, error) {
		if o.asked > 0 {
			r, _ := o.ask(ctx, targets[:1])
			return r, gone
		}
		return o.ask(ctx, targets)
	}
	got, partial, err := dump(t.Context(), binary.BigEndian.Uint16(o.id), ask)
	if len(got) != 40 || !partial || !errors.Is(err, gone) {
		t.Errorf("got %d peers, partial %v, %v", len(got), partial, err)
	}
}

// TestDumpReadsWideTables reads tables that keep all they hear of, as js-libp2p
// nearly does.
func TestDumpReadsWideTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, size := range []int{10, 30, 50, 100, 500} {
		id := kbucket.ConvertPeerID(keyOf(rng.Uint64()))
		var all []Peer
		for range size {
			all = append(all, keyOf(rng.Uint64()))
		}
		asked := 0
		ask := func(_ context.Context, targets []Peer) (replies []reply, _ error) {
			for _, target := range targets {
				asked++
				nearest := kbucket.SortClosestPeers(all, kbucket.ConvertPeerID(target))
				replies = append(replies, replyOf(nearest[:min(20, size)]))
			}
			return replies, nil
		}
		got, partial, err := dump(t.Context(), binary.BigEndian.Uint16(id), ask)
		if diff := cmp.Diff(sorted(all), sorted(got)); diff != "" || partial || err != nil {
			t.Errorf("table of %d: %d read by %d requests, partial %v, %v", size, len(got), asked, partial, err)
		}
	}
}

// TestKeyWith finds a key for every prefix.
func TestKeyWith(t *testing.T) {
	for prefix := range 1 << 16 {
		p, err := keyWith(uint16(prefix))
		if got := binary.BigEndian.Uint16(kbucket.ConvertPeerID(p)); err != nil || int(got) != prefix {
			t.Fatalf("prefix %016b: got %016b, %v", prefix, got, err)
		}
	}
}
