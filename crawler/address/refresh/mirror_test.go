package refresh

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/crawler/address"
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
