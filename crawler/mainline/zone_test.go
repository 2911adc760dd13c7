package mainline_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"canopy/crawler/mainline"
	"canopy/crawler/mainline/krpc"
)

func TestZonesAreReadInHexAndInBits(t *testing.T) {
	for text, want := range map[string]string{
		"12/a3f": "12/a3f", "12/101000111111": "12/a3f", "10/a3c": "10/a3c", "1/1": "1/8", "1/0": "1/0", "1/8": "1/8", "5/10110": "5/b0", "8/FF": "8/ff",
	} {
		if z, err := mainline.ParseZone(text); err != nil || z.String() != want {
			t.Errorf("%s became %s, %v; want %s", text, z, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "want BITS/PREFIX", "x/1": "want BITS/PREFIX", "0/": "want BITS/PREFIX", "33/000000000": "1 to 32 bits", "8/a": "2 hexadecimal digits",
		"10/a3f": "more than 10 bits", "8/zz": "no hexadecimal number", "8/": "2 hexadecimal digits", "-1/0": "want BITS",
	} {
		if z, err := mainline.ParseZone(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q became %s, %v; want an error with %q", text, z, err, want)
		}
	}
}

func TestZoneContainsWhatSharesItsPrefix(t *testing.T) {
	zone, err := mainline.ParseZone("10/a3c")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[krpc.ID]bool{{0xa3, 0xc0}: true, {0xa3, 0xff, 9}: true, {0xa3, 0x80}: false, {0xa2, 0xc0}: false} {
		if zone.Contains(&id) != want {
			t.Errorf("%s contains %s: %v", zone, id, !want)
		}
	}
	var all mainline.Zone
	if id := (krpc.ID{9}); !all.Contains(&id) || all.String() != "" {
		t.Error("the zero zone is not the whole space")
	}
	if z, err := mainline.ParseZone("20"); err != nil || z.Bits != 20 || !strings.HasPrefix(z.String(), "20/") {
		t.Errorf("a random zone: %s, %v", z, err)
	} else if again, _ := mainline.ParseZone(z.String()); again != z {
		t.Errorf("%s came back as %s", z, again)
	}
}

// TestLookupsHonourOptOut: who asked not to be contacted is left alone also by the lookups beside a walk, whoever names
// it.
func TestLookupsHonourOptOut(t *testing.T) {
	inZone := func(last byte) (id krpc.ID) {
		id[0], id[krpc.IDLen-1] = 0x80, last
		return id
	}
	good := func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte { return [][]byte{answer(r, m)} }
	refused := respond(t, "127.4.1.1:0", inZone(1), good)
	willing := respond(t, "127.4.1.2:0", inZone(2), good)
	entry := respond(t, "127.4.1.3:0", inZone(3), func(r *responder, m *krpc.Message, _ netip.AddrPort) [][]byte {
		return [][]byte{answer(r, m, at(refused.peer.ID, refused.peer.Addr().String()), at(willing.peer.ID, willing.peer.Addr().String()))}
	})
	zone, err := mainline.ParseZone("1/1")
	if err != nil {
		t.Fatal(err)
	}
	cfg := local(entry.peer.Addr().String())
	cfg.Zone, cfg.Refuse = zone, func(id string) bool { return id == refused.peer.ID.String() }
	sizer, err := mainline.NewSizer(cfg, mainline.SizerOptions{Plant: -1, Confirm: 4, Lookups: 4, Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer sizer.Close()
	if _, err := sizer.Mark(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := sizer.Walker().Seeds(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, marks, err := sizer.Measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if refused.queries() > 0 || willing.queries() == 0 {
		t.Errorf("%d queries to who opted out, %d to another", refused.queries(), willing.queries())
	}
	for _, m := range marks {
		if m.PeerID == refused.peer.ID.String() {
			t.Errorf("%+v", m)
		}
	}
}
