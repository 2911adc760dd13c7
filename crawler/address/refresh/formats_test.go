package refresh

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"canopy/crawler/address"
	"canopy/crawler/observation"
)

func TestEverySourceBecomesFacts(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	for _, r := range run(t, dir, few(t), options(m.URL)) {
		if r.State != Updated || r.Version.Rows == 0 || r.Version.SHA256 == "" {
			t.Errorf("%s: %+v", r.Source, r)
		}
	}
	table := openTable(t, dir, time.Time{})
	for addr, want := range map[string]struct {
		hosting observation.Hosting
		country string
		reason  string
		asn     uint32
	}{
		"192.0.2.9":           {observation.HostingHosting, "NL", "Amazon Web Services EC2, eu-west-1", 64500},
		"192.0.2.1":           {observation.HostingAnonymiser, "NL", "Tor", 64500},
		"192.0.2.130":         {observation.HostingHosting, "NL", "as Google.", 64500},
		"192.0.2.161":         {observation.HostingHosting, "NL", "Google Cloud, europe-west4", 64500},
		"192.0.2.193":         {observation.HostingHosting, "NL", "Microsoft Azure ActionGroup", 64500},
		"192.0.2.209":         {observation.HostingHosting, "NL", "Oracle Cloud OCI, eu-zurich-1", 64500},
		"192.0.2.225":         {observation.HostingHosting, "NL", "DigitalOcean", 64500},
		"192.0.2.241":         {observation.HostingHosting, "DE", "Linode", 64500},
		"192.0.2.249":         {observation.HostingHosting, "JP", "Vultr", 64500},
		"192.0.2.253":         {observation.HostingHosting, "NL", "Cloudflare", 64500},
		"192.0.2.255":         {observation.HostingHosting, "NL", "Fastly", 64500},
		"198.51.100.9":        {observation.HostingResidential, "FR", "broadband", 64501},
		"198.51.100.77":       {observation.HostingAnonymiser, "FR", "Tor", 64501},
		"198.51.100.81":       {observation.HostingAnonymiser, "US", "Apple's private relay", 64501},
		"203.0.113.7":         {observation.HostingUnknown, "ZA", "", 0},
		"203.0.113.200":       {observation.HostingUnknown, "BR", "", 0},
		"2001:db8:1fff::1":    {observation.HostingHosting, "US", "CLOUDFRONT", 4200000000},
		"::ffff:192.0.2.241":  {observation.HostingHosting, "DE", "Linode", 64500},
		"2001:db8:4000::beef": {observation.HostingHosting, "SG", "DigitalOcean", 4200000000},
		"2001:db8:a000::beef": {observation.HostingUnknown, "US", "", 4200000000},
	} {
		f, why, _ := table.Explain(netip.MustParseAddr(addr))
		if f.Hosting != want.hosting || f.Country != want.country || f.ASN != want.asn || !strings.Contains(why.Reason, want.reason) {
			t.Errorf("%s: %+v because %q, want %+v", addr, f, why.Reason, want)
		}
		if got := table.Lookup(netip.MustParseAddr(addr)); got != f {
			t.Errorf("%s: look-up %+v, explanation %+v", addr, got, f)
		}
	}
	for _, s := range table.Status() {
		if s.Licence == "" || s.Credit == "" || s.Date.IsZero() || s.DateFrom == "" || s.Rows == 0 {
			t.Errorf("%s lacks licence, credit or date: %+v", s.Name, s)
		}
	}
}

// TestLinkedFiles goes the way to files whose address stands in a document.
func TestLinkedFiles(t *testing.T) {
	var tarball bytes.Buffer
	z := gzip.NewWriter(&tarball)
	w := tar.NewWriter(z)
	for name, content := range map[string]string{
		"package/package.json":  `{"name":"@ip-location-db/asn","version":"2.3.2026061719"}`,
		"package/asn-ipv4.csv":  "192.0.2.0,192.0.2.255,64500,\"Example, Hosting\"\n",
		"package/asn-ipv6.csv":  "2001:db8::,2001:db8::ffff,64500,Example\n",
		"package/asn-other.csv": "rubbish",
	} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if w.Close() != nil || z.Close() != nil {
		t.Fatal("pack")
	}
	sum := sha512.Sum512(tarball.Bytes())
	integrity := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	m := newMirror(t)
	m.set("t.tgz", tarball.String())
	m.set("@ip-location-db/asn/latest", `{"dist":{"tarball":"`+m.URL+`/t.tgz","integrity":"`+integrity+`"}}`)
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed")
	}
	t.Setenv("npm_config_registry", m.URL)
	source := few(t, "npm")
	dir := t.TempDir()
	r := run(t, dir, source, options(""))[0]
	if r.State != Updated || r.Version.Rows != 2 || r.Version.Date.Format(time.DateOnly) != "2026-06-17" {
		t.Errorf("%+v", r)
	}
	if r := run(t, dir, source, options(""))[0]; r.State != Unchanged || m.whole["t.tgz"] != 1 {
		t.Errorf("%+v, sent %v", r, m.whole)
	}
	m.set("t.tgz", tarball.String()+"x")
	if r := run(t, t.TempDir(), source, options(""))[0]; r.State != Failed || !strings.Contains(r.Reason, "wrong checksum") {
		t.Errorf("%+v", r)
	}
	url, _, err := azureLink([]byte(`<a href="https://download.microsoft.com/download/7/1/d/x/ServiceTags_Public_20260615.json">`))
	if err != nil || !strings.HasSuffix(url, "ServiceTags_Public_20260615.json") {
		t.Errorf("%q, %v", url, err)
	}
	if _, _, err := azureLink([]byte("moved")); err == nil || !strings.Contains(err.Error(), "holds no link") {
		t.Errorf("a page without the link: %v", err)
	}
}

func FuzzFormats(f *testing.F) {
	all, _ := Named()
	for i, s := range all {
		for _, file := range s.Files {
			f.Add(uint8(i), samples[s.Name+"/"+file.Name])
		}
	}
	f.Fuzz(func(t *testing.T, source uint8, content string) {
		s := all[int(source)%len(all)]
		r := &rows{}
		if err := s.parse(r, []byte(content)); err != nil || r.finish() != nil || r.n == 0 || s.Name == "iptoasn" {
			return
		}
		path := filepath.Join(t.TempDir(), "t"+r.ext)
		if err := os.WriteFile(path, r.out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		if n, err := address.Check(path); err != nil || n > r.n {
			t.Fatalf("%s: what was written can't be read: %d of %d rows, %v\n%s", s.Name, n, r.n, err, r.out.Bytes())
		}
	})
}

// TestCodesThatAreNoCountry: registries and geofeeds write EU, AP or ZZ where no
// country is known; these are no countries, and the result tells how many.
func TestCodesThatAreNoCountry(t *testing.T) {
	var delegated, feed rows
	err := parseDelegated(&delegated, []byte("ripencc|EU|ipv4|192.0.2.0|256|20200101|allocated\nripencc|nl|ipv4|198.51.100.0|256|20200101|assigned\nripencc|ZZ|ipv4|203.0.113.0|256||available\n"))
	if err != nil || delegated.out.String() != "198.51.100.0,198.51.100.255,NL\n" || delegated.note() != "codes that are no country's, taken for unknown: EU (1)" {
		t.Errorf("delegations: %v, %q, note %q", err, delegated.out.String(), delegated.note())
	}
	if err := geofeed("x", observation.HostingHosting)(&feed, []byte("192.0.2.0/25,A1,,,\n192.0.2.128/25,ap,,,\n198.51.100.0/24,,,,\n203.0.113.0/24,de,,,\n")); err != nil {
		t.Fatal(err)
	}
	if err := feed.finish(); err != nil {
		t.Fatal(err)
	}
	want := "start,end,country,hosting,note\n192.0.2.0,192.0.2.127,,hosting,x\n192.0.2.128,192.0.2.255,,hosting,x\n198.51.100.0,198.51.100.255,,hosting,x\n203.0.113.0,203.0.113.255,DE,hosting,x\n"
	if feed.out.String() != want || feed.note() != "codes that are no country's, taken for unknown: A1 (1), ap (1)" {
		t.Errorf("geofeed: %q, note %q", feed.out.String(), feed.note())
	}
	if empty := (&rows{}).note(); empty != "" {
		t.Errorf("a note of nothing: %q", empty)
	}
}
