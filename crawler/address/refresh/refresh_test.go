package refresh

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/crawler/address"
	"canopy/crawler/observation"
)

// The samples have the form of what is published, with blocks that are
// reserved for documentation.
var samples = map[string]string{
	"iptoasn/ip2asn-combined.tsv.gz": "192.0.2.0\t192.0.2.255\t64500\tNL\tEXAMPLE-CLOUD\n198.51.100.0\t198.51.100.255\t64501\tFR\tExample Broadband\n" +
		"203.0.113.0\t203.0.113.255\t0\tNone\tNot routed\n2001:db8::\t2001:db8:ffff:ffff:ffff:ffff:ffff:ffff\t4200000000\tUS\tFOUR-BYTES\n",
	"aws/ip-ranges.json": `{"syncToken":"1","createDate":"2026-06-17-14-33-09","prefixes":[
		{"ip_prefix":"192.0.2.0/25","region":"eu-west-1","service":"EC2","network_border_group":"eu-west-1"},
		{"ip_prefix":"192.0.2.0/25","region":"eu-west-1","service":"AMAZON","network_border_group":"eu-west-1"}],
		"ipv6_prefixes":[{"ipv6_prefix":"2001:db8:1000::/36","region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"}]}`,
	"google/goog.json":  `{"syncToken":"1","creationTime":"2026-06-16T07:00:33.12345","prefixes":[{"ipv4Prefix":"192.0.2.128/26"},{"ipv6Prefix":"2001:db8:2000::/36"}]}`,
	"google/cloud.json": `{"syncToken":"1","creationTime":"2026-06-15T07:00:33.12345","prefixes":[{"ipv4Prefix":"192.0.2.160/27","service":"Google Cloud","scope":"europe-west4"}]}`,
	"azure/ServiceTags_Public.json": `{"changeNumber":300,"cloud":"Public","values":[{"name":"ActionGroup","id":"ActionGroup","properties":{"changeNumber":1,"region":"","platform":"Azure",
		"systemService":"ActionGroup","addressPrefixes":["192.0.2.192/28","2001:db8:3000::/36"]}},{"name":"AzureCloud","id":"AzureCloud","properties":{"addressPrefixes":["192.0.2.192/28"]}}]}`,
	"oracle/public_ip_ranges.json":     `{"last_updated_timestamp":"2026-06-11T15:32:33.471213","regions":[{"region":"eu-zurich-1","cidrs":[{"cidr":"192.0.2.208/28","tags":["OCI"]}]}]}`,
	"digitalocean/google.csv":          "192.0.2.224/28,NL,NL-NH,Amsterdam,1098 XH\n2001:db8:4000::/36,SG,SG-01,Singapore,\n",
	"linode/geofeed.csv":               "# Akamai Connected Cloud geofeed\n# ip_prefix,country_code,region_code,city,postal_code\n192.0.2.240/29,DE,DE-HE,Frankfurt,\n",
	"vultr/geofeed.csv":                "ip_prefix,alpha2code,region,city,postal_code\n192.0.2.248/30,JP,JP-13,Tokyo,\n",
	"cloudflare/ips-v4":                "192.0.2.252/31\n198.51.100.0/31", // the real list ends without a newline
	"cloudflare/ips-v6":                "2001:db8:5000::/36\n",
	"fastly/public-ip-list.json":       `{"addresses":["192.0.2.254/31"],"ipv6_addresses":["2001:db8:6000::/36"]}`,
	"tor/torbulkexitlist":              "192.0.2.1\n198.51.100.77\n",
	"apple-relay/egress-ip-ranges.csv": "198.51.100.80/31,US,US-CA,LOSANGELES,\n2001:db8:7000::/64,DE,DE-BE,Berlin,\n",
	"rir/delegated-afrinic-extended-latest": "2|afrinic|20260616|1|19700101|20260616|+0000\nafrinic|*|ipv4|*|1|summary\n" +
		"afrinic|ZA|ipv4|203.0.113.0|128|20100101|allocated|x\n",
	"rir/delegated-apnic-extended-latest":  "2|apnic|20260616|1|19700101|20260616|+1000\napnic|*|asn|*|1|summary\napnic|*|ipv6|*|1|summary\napnic|JP|asn|173|1|20020801|allocated|A\napnic|JP|ipv6|2001:db8:a000::|36|20020801|allocated|A\n",
	"rir/delegated-arin-extended-latest":   "2|arin|1|1|19700101|20260615|-0400\narin||ipv4|198.51.100.0|256||available|\n",
	"rir/delegated-lacnic-extended-latest": "2|lacnic|20260616|1|19870101|20260615|-0300\nlacnic|BR|ipv4|203.0.113.128|128|20100101|assigned|x\n",
	"rir/delegated-ripencc-extended-latest": "2|ripencc|1750000000|1|19830705|20260616|+0200\nripencc|*|ipv4|*|1|summary\n" +
		"ripencc|EU|ipv4|192.0.2.0|256|19930901|allocated|x\n",
}

// mirror serves samples, with ETags, and counts what it was asked.
type mirror struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string]string
	whole map[string]int // answers with content
	cut   string         // a file that breaks off half-way
}

func newMirror(t *testing.T) *mirror {
	m := &mirror{files: map[string]string{}, whole: map[string]int{}}
	for name, content := range samples {
		m.files[name] = content
		if strings.HasSuffix(name, ".gz") {
			m.files[name] = packed(t, content)
		}
	}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	content, ok := m.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	tag := `"` + digest([]byte(content))[:8] + `"`
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	m.whole[name]++
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	if name == m.cut {
		content = content[:len(content)/2]
	}
	_, _ = w.Write([]byte(content))
}

func (m *mirror) set(name, content string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = content
}

func packed(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// today is the day of these tests.
var today = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func options(from string) Options {
	o := DefaultOptions()
	o.From, o.Now = from, func() time.Time { return today }
	return o
}

// few is the named sources, content with few ranges.
func few(t *testing.T, names ...string) []Source {
	t.Helper()
	picked, unknown := Named(names...)
	if unknown != "" {
		t.Fatalf("no source %q", unknown)
	}
	for i := range picked {
		picked[i].Min = 1
	}
	return picked
}

func run(t *testing.T, dir string, sources []Source, o Options) []Result {
	t.Helper()
	results, err := Update(t.Context(), dir, sources, o)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func openTable(t *testing.T, dir string, asOf time.Time) *address.Table {
	t.Helper()
	table, err := address.Open(dir, address.Options{AsOf: asOf, Now: func() time.Time { return today }})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

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

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	sources := few(t, "google", "tor")
	run(t, dir, sources, options(m.URL))
	for _, r := range run(t, dir, sources, options(m.URL)) {
		if r.State != Unchanged || r.Version.Rows == 0 {
			t.Errorf("%+v", r)
		}
	}
	if m.whole["google/goog.json"] != 1 || m.whole["tor/torbulkexitlist"] != 1 {
		t.Errorf("sent %v", m.whole)
	}
	m.set("google/cloud.json", strings.NewReplacer("2026-06-15", "2026-06-20", "west4", "west9").Replace(samples["google/cloud.json"]))
	r := run(t, dir, sources, options(m.URL))
	if r[0].State != Updated || r[0].Version.Date.Day() != 20 || r[0].Version.Rows != 3 || r[1].State != Unchanged {
		t.Errorf("one of two files changed: %+v", r)
	}
}

func TestVersionsAnswerAsOfTheirDay(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	sources := few(t, "aws")
	run(t, dir, sources, options(m.URL))
	m.set("aws/ip-ranges.json", strings.NewReplacer("192.0.2.0/25", "203.0.113.0/25", "2026-06-17", "2026-06-27").Replace(samples["aws/ip-ranges.json"]))
	run(t, dir, sources, options(m.URL))
	old, new := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("203.0.113.9")
	day := func(d int) time.Time { return time.Date(2026, 6, d, 8, 0, 0, 0, time.UTC) }
	for asOf, want := range map[time.Time][2]observation.Hosting{
		{}:      {observation.HostingUnknown, observation.HostingHosting},
		day(30): {observation.HostingUnknown, observation.HostingHosting},
		day(26): {observation.HostingHosting, observation.HostingUnknown},
		day(1):  {observation.HostingHosting, observation.HostingUnknown},
	} {
		table := openTable(t, dir, asOf)
		if got := [2]observation.Hosting{table.Lookup(old).Hosting, table.Lookup(new).Hosting}; got != want {
			t.Errorf("as of %s: %v, want %v", asOf, got, want)
		}
		if warned := strings.Contains(strings.Join(table.Warnings(), " "), "no version is as old"); warned != asOf.Equal(day(1)) {
			t.Errorf("as of %s: warnings %q", asOf, table.Warnings())
		}
	}
}

func TestBrokenUpdatesKeepTheOldData(t *testing.T) {
	aws := samples["aws/ip-ranges.json"]
	for _, c := range []struct{ name, content, want string }{
		{"web page", "\n <!DOCTYPE html><title>Sign in</title>", "web page (HTML)"},
		{"empty", " \n", "is empty"},
		{"cut within", aws[:200], "cut short"},
		{"another form", `{"prefixes":"none"}`, "cannot unmarshal"},
		{"nothing in it", `{"prefixes":[]}`, "no range at all"},
		{"no address", strings.Replace(aws, "192.0.2.0/25", "192.0.2.0/33", 1), "192.0.2.0/33"},
		{"claims everybody", strings.Replace(aws, "192.0.2.0/25", "0.0.0.0/0", 1), "too much of the internet"},
		{"future", strings.NewReplacer("2026-06", "2027-06", "eu-west-1", "eu-west-2").Replace(aws), "lies in the future"},
		{"stale", strings.NewReplacer("2026-06", "2025-06", "eu-west-1", "eu-west-2").Replace(aws), "the mirror is stale"},
		{"shrunken", `{"createDate":"2026-06-18-00-00-00","prefixes":[{"ip_prefix":"192.0.2.0/25","service":"EC2"}]}`, "suspiciously small"},
		{"damaged packing", "\x1f\x8b\x08\x00broken", "unpack"},
	} {
		m, dir := newMirror(t), t.TempDir()
		sources := few(t, "aws")
		before := run(t, dir, sources, options(m.URL))[0]
		m.set("aws/ip-ranges.json", c.content)
		r := run(t, dir, sources, options(m.URL))[0]
		if r.State != Failed || !strings.Contains(r.Reason, c.want) || r.Version != before.Version {
			t.Errorf("%s: %+v, want failure %q", c.name, r, c.want)
		}
		if h := openTable(t, dir, time.Time{}).Lookup(netip.MustParseAddr("192.0.2.9")).Hosting; h != observation.HostingHosting {
			t.Errorf("%s: the old data are gone: %s", c.name, h)
		}
		if files, _ := filepath.Glob(filepath.Join(dir, address.VersionsName, "aws", "*")); len(files) != 1 {
			t.Errorf("%s: left behind %v", c.name, files)
		}
	}
}

func TestShrinkIsTakenWhenAskedFor(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	run(t, dir, few(t, "aws"), options(m.URL))
	m.set("aws/ip-ranges.json", `{"createDate":"2026-06-18-00-00-00","prefixes":[{"ip_prefix":"192.0.2.0/25","service":"EC2"}]}`)
	o := options(m.URL)
	o.Shrink = true
	if r := run(t, dir, few(t, "aws"), o)[0]; r.State != Updated || r.Version.Rows != 1 {
		t.Errorf("%+v", r)
	}
}

func TestTroubleOnTheWay(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	m.cut = "tor/torbulkexitlist"
	r := run(t, dir, few(t, "tor", "aws", "npm"), options(m.URL))
	if r[0].State != Failed || !strings.Contains(r[0].Reason, "broke off") || r[1].State != Updated || r[2].State != Absent {
		t.Errorf("%+v", r)
	}
	small, _ := Named("aws")
	if r := run(t, t.TempDir(), small, options(m.URL))[0]; r.State != Failed || !strings.Contains(r.Reason, "at least 1000") {
		t.Errorf("a first version that is far too small: %+v", r)
	}
	always := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }))
	defer always.Close()
	if r := run(t, t.TempDir(), few(t, "aws"), options(always.URL))[0]; r.State != Failed {
		t.Errorf("nothing changed, says a server that never sent anything: %+v", r)
	}
}

func TestFolderAsMirror(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	stamp := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	for _, name := range []string{"cloudflare/ips-v4", "cloudflare/ips-v6"} {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(samples[name]), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, dir, few(t, "cloudflare", "fastly"), options(from))
	if r[0].State != Updated || !r[0].Version.Date.Equal(stamp) || r[0].Version.DateFrom != "last modified" || r[1].State != Absent {
		t.Errorf("%+v", r)
	}
	if r := run(t, dir, few(t, "cloudflare"), options(from)); r[0].State != Unchanged {
		t.Errorf("%+v", r)
	}
}

func TestChangedFilesAreNoticed(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	r := run(t, dir, few(t, "tor"), options(m.URL))[0]
	path := filepath.Join(dir, address.VersionsName, r.Version.File)
	if err := os.WriteFile(path, []byte("start,end,hosting\n192.0.2.0,192.0.2.255,residential\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := address.Open(dir, address.Options{}); err == nil || !strings.Contains(err.Error(), "checksum") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
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
	if _, _, err := azureLink([]byte("moved")); err == nil {
		t.Error("a page without the link passed")
	}
}

func TestStale(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	for want, when := range map[bool]time.Time{false: today.Add(29 * 24 * time.Hour), true: today.Add(31 * 24 * time.Hour)} {
		run(t, dir, few(t, "tor"), options(m.URL))
		if got, err := Stale(dir, 30*24*time.Hour, when); err != nil || got != want {
			t.Errorf("%s: %v, %v", when, got, err)
		}
	}
	if got, err := Stale(t.TempDir(), time.Hour, today); err != nil || !got {
		t.Errorf("an empty folder is not stale: %v", err)
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
