package address

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"canopy/crawler/observation"
)

// An organisation with lines for homes, telephones and a cloud under one AS is
// told apart by block; what clouds publish and what the user knows overrule.
func TestMixedOrganisationsAreClassifiedByBlock(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("world.csv", "80.128.0.0,80.191.255.255,3320,Deutsche Telekom AG\n2003::,2003:ffff:ffff:ffff:ffff:ffff:ffff:ffff,3320,Deutsche Telekom AG\n")
	table := open(t, dir, Options{})
	for addr, want := range map[string]observation.Hosting{
		"80.130.1.1": observation.HostingResidential, "80.158.1.1": observation.HostingHosting, "80.187.1.1": observation.HostingMobile, "2003::1": observation.HostingResidential,
	} {
		facts, why, _ := table.Explain(netip.MustParseAddr(addr))
		if facts.Hosting != want || facts.ASN != 3320 || facts.Organisation != "Deutsche Telekom" || facts.Source != "world" {
			t.Errorf("%s: %+v, want %s", addr, facts, want)
		}
		if want != observation.HostingResidential && !strings.Contains(why.Reason, "https://") {
			t.Errorf("%s: %+v", addr, why)
		}
	}
	if n := len(table.Status()); n != 1 {
		t.Errorf("%d sources, want the file alone", n)
	}
	write("mine.csv", "start,end,hosting\n80.158.1.0,80.158.1.255,institutional\n")
	if f := open(t, dir, Options{}).Lookup(netip.MustParseAddr("80.158.1.1")); f.Hosting != observation.HostingInstitutional {
		t.Errorf("%s: the user's own table is overruled: %+v", filepath.Base(dir), f)
	}
}
