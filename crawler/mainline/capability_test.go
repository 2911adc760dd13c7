package mainline_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// TestCapabilities: a sampled peer is asked what else it can do, and whatever
// comes of that leaves the visit as it was.
func TestCapabilities(t *testing.T) {
	sample, filter := idOf(70), make([]byte, 256)
	other := at(idOf(71), "[2001:db8::1]:1000")
	extra := func(change func(a *krpc.Answer, m *krpc.Message)) func(*responder, *krpc.Message, netip.AddrPort) [][]byte {
		return func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
			if m.Method == krpc.FindNode {
				return [][]byte{answer(r, m, at(idOf(50), "127.9.9.9:1000"))}
			}
			a := krpc.Answer{ID: r.peer.ID, Version: []byte("LT\x02\x08")}
			change(&a, m)
			return [][]byte{a.Append(nil, m.TID)}
		}
	}
	for _, c := range []struct {
		name  string
		reply func(*responder, *krpc.Message, netip.AddrPort) [][]byte
		signs string
		asked int // beyond the walk
	}{
		{"can do all", extra(func(a *krpc.Answer, m *krpc.Message) {
			if m.Method == krpc.SampleInfohashes {
				a.Samples, a.Nodes6 = sample[:], krpc.AppendNode(nil, other)
			} else if m.Method == krpc.GetPeers && m.Scrape && m.InfoHash == sample {
				a.Seeds, a.Peers = filter, filter
			}
		}), "ipv6 asked=bep51 bep51 asked=bep33 bep33", 2},
		{"holds nothing", extra(func(a *krpc.Answer, _ *krpc.Message) { a.Samples = []byte{} }), "asked=bep51 bep51", 1},
		{"can't be scraped", extra(func(a *krpc.Answer, m *krpc.Message) {
			if m.Method == krpc.SampleInfohashes {
				a.Samples = sample[:]
			}
		}), "asked=bep51 bep51 asked=bep33", 2},
		{"knows no samples", extra(func(*krpc.Answer, *krpc.Message) {}), "asked=bep51", 1},
		{"answers as another", extra(func(a *krpc.Answer, _ *krpc.Message) { a.ID, a.Samples = idOf(72), sample[:] }), "asked=bep51", 1},
		{"says no", func(r *responder, m *krpc.Message, from netip.AddrPort) [][]byte {
			if m.Method != krpc.FindNode {
				return [][]byte{krpc.AppendError(nil, m.TID, nil, krpc.CodeMethodUnknown, "Method Unknown")}
			}
			return [][]byte{answer(r, m, at(idOf(50), "127.9.9.9:1000"))}
		}, "asked=bep51", 1},
		{"says nothing", func(r *responder, m *krpc.Message, from netip.AddrPort) [][]byte {
			if m.Method != krpc.FindNode {
				return nil
			}
			return [][]byte{answer(r, m, at(idOf(50), "127.9.9.9:1000"))}
		}, "asked=bep51", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := local()
			cfg.ReadTables = false
			plain := respond(t, "127.2.0.70:0", idOf(69), c.reply)
			before := one(t, newWalker(t, cfg), plain.peer)
			cfg.Capabilities = 1
			r := one(t, newWalker(t, cfg), plain.peer)
			if got := strings.Join(r.Visit.Protocols, " "); !strings.HasSuffix(got, " "+c.signs) {
				t.Errorf("signs %q, want %q", got, c.signs)
			}
			if asked := int(r.Visit.Queries - before.Visit.Queries); asked != c.asked {
				t.Errorf("%d queries more, want %d", asked, c.asked)
			}
			if v := r.Visit; v.Outcome != observation.Answered || v.Partial || v.Detail != "" || !slices.Equal(r.Neighbours, before.Neighbours) {
				t.Errorf("the visit changed: %+v", v)
			}
		})
	}
}
