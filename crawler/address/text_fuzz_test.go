package address

import (
	"net/netip"
	"strings"
	"testing"

	"canopy/crawler/observation"
)

// FuzzReadText feeds tables of any content to the reader: it refuses them or
// makes a table whose every range is found where it says.
func FuzzReadText(f *testing.F) {
	for _, s := range []string{
		"192.0.2.0,192.0.2.255,64500,\"Example, Inc.\"\n",
		"start,end,asn,organisation,country,hosting\n10.0.0.0,10.255.255.255,64500,A,NL,mobile\n10.0.0.7,10.0.1.6,64501,B,,\n",
		"2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,DE\n",
		"0.0.0.0,255.255.255.255,1,A\n::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,2,B\n",
		"::ffff:1.2.3.4,1.2.3.9,3,C\n1.2.3.1,1.2.3.5,4,D\n",
		"<html>\n", "", "\xef\xbb\xbfstart,end\n",
	} {
		f.Add(s, false)
	}
	f.Add("192.0.2.0\t192.0.2.255\t0\tNone\tNot routed\n", true)
	classes, err := loadClasses()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content string, tabs bool) {
		b := newBuilder(classes, Source{Name: "fuzz"})
		if _, err := b.readText(strings.NewReader(content), tabs); err != nil {
			return
		}
		spans := append([]span(nil), b.spans...)
		l := b.layer(rankAS)
		table := &Table{layers: []*layer{l}}
		for _, s := range spans {
			for _, addr := range []netip.Addr{s.from, s.to} {
				host, _ := hostPrefix(addr)
				block, row, ok := l.blocks.LookupPrefixLPM(host)
				if want := smallestOver(spans, addr); !ok || !block.Contains(addr) || row != want.row {
					t.Fatalf("%v: found %v in %v, row %d; want row %d of %v-%v", addr, ok, block, row, want.row, want.from, want.to)
				}
				if facts := table.Lookup(addr); len(facts.Organisation) > observation.MaxText || facts.Hosting == "" {
					t.Fatalf("%v: %+v", addr, facts)
				}
			}
		}
	})
}

// smallestOver is the slow and plain way to find who owns an address: the
// smallest span over it, the last of equal ones.
func smallestOver(spans []span, addr netip.Addr) (best span) {
	for _, s := range spans {
		covers := s.from.Compare(addr) <= 0 && addr.Compare(s.to) <= 0
		if covers && (!best.from.IsValid() || size(s).Compare(size(best)) <= 0) {
			best = s
		}
	}
	return best
}
