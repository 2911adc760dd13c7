package address

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxmind/mmdbwriter/mmdbtype"

	"canopy/crawler/observation"
)

// FuzzReadMMDB feeds files of any content to the reader: it refuses them or
// makes a table that holds nothing but facts in their form.
func FuzzReadMMDB(f *testing.F) {
	dir := f.TempDir()
	for i, record := range []mm{
		{"asn": ms("AS64500"), "as_name": ms("Example Net"), "country": mm{"iso_code": ms("NL"), "names": mm{"en": ms("Netherlands")}}},
		{"traits": mm{"autonomous_system_number": mmdbtype.Uint64(64500), "isp": ml{ms("a"), ms("b")}}, "x": mmdbtype.Bool(true)},
		{"as": mmdbtype.Float64(64500), "location": mm{"country": ms("A1")}, "name": mmdbtype.Bytes("x")},
	} {
		path := filepath.Join(dir, string(rune('a'+i)))
		writeMMDB(f, path, "test", map[string]mm{here: record, "2001:db8::/32": record})
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	classes, err := loadClasses()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<14 {
			return
		}
		b := newBuilder(classes, Source{Name: "fuzz", File: "fuzz.mmdb"})
		if err := b.readMMDB(bytes.NewReader(raw)); err != nil {
			return
		}
		if len(b.spans) == 0 {
			t.Fatal("a file that says nothing was taken")
		}
		for _, r := range b.rows {
			if _, ok := Country(r.facts.Country); !ok && r.facts.Country != "" {
				t.Errorf("country %q", r.facts.Country)
			}
			if len(r.facts.Organisation) > observation.MaxText || r.facts.ASN == 0 && r.facts.Organisation == "" && r.facts.Country == "" {
				t.Errorf("facts %+v", r.facts)
			}
		}
	})
}
