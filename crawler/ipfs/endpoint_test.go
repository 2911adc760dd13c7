package ipfs

import (
	"encoding/csv"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"canopy/crawler/ipfs/endpoint"
)

// TestMultiaddrsAsInImports reads the multiaddrs that the importer is tested with:
// what is dialled, where and how, is the same for both.
func TestMultiaddrsAsInImports(t *testing.T) {
	f, err := os.Open(filepath.Join("endpoint", "testdata", "multiaddrs.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := csv.NewReader(f)
	c.Comment = '#'
	lines, err := c.ReadAll()
	if err != nil || len(lines) < 50 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	self, other := keyOf(1), keyOf(2)
	names := strings.NewReplacer("SELF", self.String(), "PEER", other.String(), "HASH", "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g")
	w := &Walker{cfg: Config{Allow: func(netip.Addr) bool { return true }}.withDefaults()}
	for _, line := range lines[1:] {
		text, kind, address, transport, relay := names.Replace(line[0]), line[1], line[2], line[3], names.Replace(line[4])
		var r route
		got, k := w.add(&r, self, ma(t, text))
		switch kind {
		case "direct":
			if len(r.candidates) != 1 || r.candidates[0].addr.String() != address || string(r.candidates[0].transport) != transport || len(r.others)+len(r.relays) > 0 {
				t.Errorf("%s is dialled at %+v", text, r)
			}
		case "named":
			if k != endpoint.Named || string(got.transport) != transport || len(r.candidates)+len(r.others)+len(r.relays) > 0 {
				t.Errorf("%s is %+v, %+v", text, got, r)
			}
		case "relayed":
			if !slices.Equal(r.relays, []string{relay}) || len(r.candidates)+len(r.others) > 0 {
				t.Errorf("%s is %+v", text, r)
			}
		case "other":
			if len(r.others) != 1 || len(r.candidates)+len(r.relays) > 0 {
				t.Errorf("%s is %+v", text, r)
			}
		default:
			t.Errorf("%s: there is no kind %q", text, kind)
		}
	}
}
