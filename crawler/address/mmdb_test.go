package address

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"canopy/crawler/observation"
)

// writeMMDB makes a database of the given type with one record per network.
func writeMMDB(t testing.TB, path, kind string, records map[string]mmdbtype.Map) {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, BuildEpoch: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC).Unix(), IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for cidr, record := range records {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
}

func TestMaxMindSchemas(t *testing.T) {
	dir := t.TempDir()
	writeMMDB(t, filepath.Join(dir, "asn.mmdb"), "GeoLite2-ASN", map[string]mmdbtype.Map{
		"192.0.2.0/24":  {"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": mmdbtype.String("Example Hosting")},
		"2001:db8::/32": {"autonomous_system_number": mmdbtype.Uint32(4200000000), "autonomous_system_organization": mmdbtype.String("Example Broadband")},
	})
	writeMMDB(t, filepath.Join(dir, "country.mmdb"), "GeoLite2-Country", map[string]mmdbtype.Map{
		"192.0.2.0/25": {"country": mmdbtype.Map{"iso_code": mmdbtype.String("NL"), "geoname_id": mmdbtype.Uint32(1)}},
	})
	writeMMDB(t, filepath.Join(dir, "flat.mmdb"), "ipinfo lite", map[string]mmdbtype.Map{
		"198.51.100.0/24": {"asn": mmdbtype.String("AS64501"), "as_name": mmdbtype.String("Example University"), "country": mmdbtype.String("Germany"), "country_code": mmdbtype.String("DE")},
	})
	table := open(t, dir, Options{})
	for addr, want := range map[string]observation.Facts{
		"192.0.2.1":    {Prefix: netip.MustParsePrefix("192.0.2.0/24"), ASN: 64500, Organisation: "Example Hosting", Country: "NL", Hosting: observation.HostingHosting, Source: "asn"},
		"192.0.2.200":  {Prefix: netip.MustParsePrefix("192.0.2.0/24"), ASN: 64500, Organisation: "Example Hosting", Hosting: observation.HostingHosting, Source: "asn"},
		"2001:db8::1":  {Prefix: netip.MustParsePrefix("2001:db8::/32"), ASN: 4200000000, Organisation: "Example Broadband", Hosting: observation.HostingResidential, Source: "asn"},
		"198.51.100.1": {Prefix: netip.MustParsePrefix("198.51.100.0/24"), ASN: 64501, Organisation: "Example University", Country: "DE", Hosting: observation.HostingInstitutional, Source: "flat"},
	} {
		want.Date = time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
		if got := table.Lookup(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", addr, got, want)
		}
	}
	for _, s := range table.Status() {
		if s.DateFrom != "build time" {
			t.Errorf("%s: date from %q", s.File, s.DateFrom)
		}
	}
}

func TestMaxMindFilesThatCannotServe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.mmdb")
	writeMMDB(t, path, "Domains", map[string]mmdbtype.Map{"192.0.2.0/24": {"domain": mmdbtype.String("example.org")}})
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "no record of this Domains database") {
		t.Errorf("a database of something else: %v", err)
	}
	writeMMDB(t, path, "GeoLite2-ASN", map[string]mmdbtype.Map{"192.0.2.0/24": {"autonomous_system_number": mmdbtype.Uint32(64500)}})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 10, len(whole) / 2} {
		if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "a.mmdb") {
			t.Errorf("cut at %d of %d bytes: %v", n, len(whole), err)
		}
	}
}
