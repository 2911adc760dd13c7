package address

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"canopy/crawler/observation"
)

var samePrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// folder writes files and returns the folder that holds them.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, dir string, o Options) *Table {
	t.Helper()
	table, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

const npmPackage = `{"name": "@ip-location-db/asn", "version": "2.3.2026061719", "license": "CC-BY-4.0"}`

func TestLayersOverruleInOrder(t *testing.T) {
	dir := folder(t, map[string]string{
		"node_modules/@ip-location-db/asn/package.json": npmPackage,
		"node_modules/@ip-location-db/asn/asn-ipv4.csv": "192.0.2.0,192.0.2.255,64500,\"Example, Hosting\"\n198.51.100.0,198.51.100.255,64501,Example University\n",
		"countries.csv": "192.0.2.0,192.0.2.255,NL\n203.0.113.0,203.0.113.255,FR\n",
		"plan.csv":      "start,end,asn,organisation,country,hosting\n198.51.100.0,198.51.100.127,64502,Plan,DE,mobile\n",
	})
	own := filepath.Join(folder(t, map[string]string{"mine.csv": "start,end,hosting\n192.0.2.7,192.0.2.7,anonymiser\n"}), "mine.csv")
	table := open(t, dir, Options{Own: []string{own}})
	npmDate := time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC)
	for addr, want := range map[string]observation.Facts{
		"192.0.2.1": {Prefix: netip.MustParsePrefix("192.0.2.0/24"), ASN: 64500, Organisation: "Example, Hosting", Country: "NL",
			Hosting: observation.HostingHosting, Source: "@ip-location-db/asn", Date: npmDate},
		"192.0.2.7": {Prefix: netip.MustParsePrefix("192.0.2.0/24"), ASN: 64500, Organisation: "Example, Hosting", Country: "NL",
			Hosting: observation.HostingAnonymiser, Source: "@ip-location-db/asn", Date: npmDate},
		"198.51.100.200": {Prefix: netip.MustParsePrefix("198.51.100.0/24"), ASN: 64501, Organisation: "Example University",
			Hosting: observation.HostingInstitutional, Source: "@ip-location-db/asn", Date: npmDate},
	} {
		got := table.Lookup(netip.MustParseAddr(addr))
		if d := cmp.Diff(want, got, samePrefix); d != "" {
			t.Errorf("%s: -want +got\n%s", addr, d)
		}
	}
	if got := table.Lookup(netip.MustParseAddr("198.51.100.1")); got.Organisation != "Plan" || got.Hosting != observation.HostingMobile || got.Country != "DE" || got.Source != "plan" {
		t.Errorf("the table with a header does not overrule the AS table: %+v", got)
	}
	if got := table.Lookup(netip.MustParseAddr("203.0.113.9")); got.Country != "FR" || got.ASN != 0 || got.Source != "countries" {
		t.Errorf("an address of which only the country is known: %+v", got)
	}
	if got, want := table.Lookup(netip.MustParseAddr("::ffff:192.0.2.1")), table.Lookup(netip.MustParseAddr("192.0.2.1")); got != want {
		t.Errorf("IPv4-mapped: got %+v, want %+v", got, want)
	}
	var names []string
	for _, s := range table.Status() {
		names = append(names, s.Name)
	}
	if d := cmp.Diff([]string{"mine", "plan", "@ip-location-db/asn", "countries"}, names); d != "" {
		t.Errorf("precedence: -want +got\n%s", d)
	}
}

func TestNothingKnownIsAValue(t *testing.T) {
	unknown := observation.Facts{Hosting: observation.HostingUnknown}
	for name, dir := range map[string]string{"no folder": "", "missing folder": filepath.Join(t.TempDir(), "none"), "empty folder": t.TempDir()} {
		table := open(t, dir, Options{})
		if got := table.Lookup(netip.MustParseAddr("192.0.2.1")); got != unknown {
			t.Errorf("%s: got %+v", name, got)
		}
		if !table.Empty() || len(table.Warnings()) != 1 || !strings.Contains(table.Warnings()[0], "make data") {
			t.Errorf("%s: warnings %q", name, table.Warnings())
		}
	}
	dir := folder(t, map[string]string{"a.csv": "192.0.2.0,192.0.2.255,64500,A\n"})
	table := open(t, dir, Options{})
	for _, addr := range []netip.Addr{{}, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.3.0"), netip.MustParseAddr("fe80::1%eth0")} {
		if got := table.Lookup(addr); got != unknown {
			t.Errorf("%v: got %+v", addr, got)
		}
	}
}

func TestBrokenTablesSayWhereAndWhatToDo(t *testing.T) {
	good := "192.0.2.0,192.0.2.255,64500,A\n"
	for _, c := range []struct{ name, file, content, want string }{
		{"cut within a line", "a.csv", good + "192.0.3.0,192.0.3.2", "line 2: it has 2 fields where the first has 4"},
		{"cut within the last field", "a.csv", good + "192.0.3.0,192.0.3.255,64501,Exam", "the last line has no end"},
		{"cut within quotes", "a.csv", good + "192.0.3.0,192.0.3.255,64501,\"Exam", "line 2: "},
		{"web page", "a.csv", "<!DOCTYPE html><html><body>Not found</body></html>\n", "line 1: this is a web page"},
		{"binary", "a.csv", "ab\x00\x01,\n", "line 1: this is binary data"},
		{"compressed", "a.csv", "\x1f\x8b\x08", "gunzip"},
		{"empty", "a.csv", " \n", "the file is empty"},
		{"reversed", "a.csv", good + "192.0.3.255,192.0.3.0,64501,B\n", "line 2: the range is reversed"},
		{"two families", "a.csv", "192.0.2.0,2001:db8::,64501,B\n", "line 1: the range begins in one address family"},
		{"no address", "a.csv", good + good + "192.0.300.0,192.0.3.0,64501,B\n", "line 3: ParseAddr"},
		{"zone", "a.csv", "fe80::1%a,fe80::2%a,64501,B\n", "line 1: an address with a zone"},
		{"AS too large", "a.csv", "192.0.2.0,192.0.2.255,4294967296,B\n", "is no AS number"},
		{"AS no number", "a.csv", "192.0.2.0,192.0.2.255,x,B\n", "is no AS number"},
		{"too few columns", "a.csv", "hello\n", "line 1: this is no table of address ranges"},
		{"country", "a.csv", "192.0.2.0,192.0.2.255,Nether\n", "is no country code"},
		{"unknown column", "a.csv", "start,end,colour\n", `names column "colour"`},
		{"column twice", "a.csv", "start,end,end\n", `named twice`},
		{"no end", "a.csv", "start,asn\n", "lacks the column end"},
		{"hosting", "a.csv", "start,end,hosting\n192.0.2.0,192.0.2.255,castle\n", "line 2: \"castle\" is no hosting class"},
		{"tabs", "a.tsv", "192.0.2.0\t192.0.2.255\t64500\tNL\tA\n192.0.3.0\t192.0.3.255\n", "line 2: it has 2 fields"},
		{"mmdb", "a.mmdb", "no database\n", "no MaxMind DB file"},
		{"manifest key", ManifestName, "sources:\n- file: a.csv\n  nmae: x\n", "nmae"},
		{"manifest file", ManifestName, "sources:\n- file: b.csv\n", "is not there"},
		{"package", "package.json", "{", "package.json"},
	} {
		_, err := Open(folder(t, map[string]string{c.file: c.content}), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
			t.Errorf("%s: got %v, want %q and the file's name", c.name, err, c.want)
		}
	}
}

func TestOverlapsGoToTheSmallestRange(t *testing.T) {
	dir := folder(t, map[string]string{"a.csv": strings.Join([]string{
		"10.0.0.0,10.0.0.255,1,small",
		"10.0.0.1,10.0.1.255,2,crosses the small one",
		"10.0.0.0,10.0.255.255,3,large",
		"10.0.9.0,10.0.9.255,4,first of two equal ones",
		"10.0.9.0,10.0.9.255,5,second of two equal ones",
		"0.0.0.0,255.255.255.255,6,everything",
		"2001:db8::,2001:db8::ffff,7,IPv6",
		"255.255.255.0,255.255.255.255,8,end of IPv4",
	}, "\n") + "\n"})
	table := open(t, dir, Options{})
	for addr, want := range map[string]uint32{
		"10.0.0.0": 1, "10.0.0.200": 1, "10.0.1.1": 2, "10.0.2.0": 3, "10.0.9.77": 5, "9.255.255.255": 6, "10.1.0.0": 6,
		"2001:db8::1": 7, "2001:db8:1::": 0, "255.255.255.255": 8, "0.0.0.0": 6,
	} {
		if got := table.Lookup(netip.MustParseAddr(addr)).ASN; got != want {
			t.Errorf("%s: AS%d, want AS%d", addr, got, want)
		}
	}
	if w := strings.Join(table.Warnings(), " "); !strings.Contains(w, "claims every address") {
		t.Errorf("0.0.0.0/0 passed without a word: %q", w)
	}
}

func TestNestedRangesKeepTheirBlocks(t *testing.T) {
	dir := folder(t, map[string]string{"a.csv": "10.1.0.0,10.1.255.255,2,inner\n10.0.0.0,10.255.255.255,1,outer\n"})
	table := open(t, dir, Options{})
	if got := table.Lookup(netip.MustParseAddr("10.2.0.0")).Prefix.String(); got != "10.0.0.0/8" {
		t.Errorf("block of the outer range: %s", got)
	}
	if got := table.Lookup(netip.MustParseAddr("10.1.2.0")); got.ASN != 2 || got.Prefix.String() != "10.1.0.0/16" {
		t.Errorf("inner range: %+v", got)
	}
}

func TestNumbersOfAS(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.tsv": "192.0.2.0\t192.0.2.255\t0\tNone\tNot routed\n198.51.100.0\t198.51.100.255\t4294967295\tUS\tFOUR BYTES\n203.0.113.0\t203.0.113.255\t0\tFR\tNot routed\n",
		"b.csv": "start,end,asn\n192.0.2.0,192.0.2.127,AS64500\n",
	})
	table := open(t, dir, Options{})
	if got := table.Lookup(netip.MustParseAddr("192.0.2.200")); got.Prefix.IsValid() {
		t.Errorf("a range that is not routed says something: %+v", got)
	}
	if got := table.Lookup(netip.MustParseAddr("192.0.2.1")).ASN; got != 64500 {
		t.Errorf("AS64500 read as %d", got)
	}
	if got := table.Lookup(netip.MustParseAddr("198.51.100.1")); got.ASN != 4294967295 || got.Country != "US" {
		t.Errorf("4-byte AS: %+v", got)
	}
	if got := table.Lookup(netip.MustParseAddr("203.0.113.1")); got.ASN != 0 || got.Country != "FR" || got.Organisation != "" {
		t.Errorf("country without AS: %+v", got)
	}
}

func TestNamesAreHarmless(t *testing.T) {
	dir := folder(t, map[string]string{"a.csv": "192.0.2.0,192.0.2.255,64500,\"\x1b[2J\u202e" + strings.Repeat("x", 5000) + "\"\n"})
	got := open(t, dir, Options{}).Lookup(netip.MustParseAddr("192.0.2.1")).Organisation
	if len(got) > observation.MaxText || strings.ContainsAny(got, "\x1b\u202e") {
		t.Errorf("organisation %q", got)
	}
}

func TestStatusTellsWhereEachSourceComesFrom(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	dir := folder(t, map[string]string{
		"a.csv":      "192.0.2.0,192.0.2.255,64500,A\n",
		"b.csv":      "192.0.2.0,192.0.2.255,64500,A\n",
		ManifestName: "sources:\n- file: a.csv\n  name: Plan\n  date: 2027-01-02\n  licence: CC0\n  credit: us\n  note: synthetic\n",
	})
	stamp := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "b.csv"), stamp, stamp); err != nil {
		t.Fatal(err)
	}
	table := open(t, dir, Options{Now: func() time.Time { return now }})
	got := table.Status()
	if len(got) != 2 {
		t.Fatalf("%d sources", len(got))
	}
	const sum = "5536781f43f717822fe0f6818d0a4c95935e4408b470ef994591680169d74781"
	want := []Source{
		{Name: "b", File: filepath.Join(dir, "b.csv"), Date: stamp.Truncate(24 * time.Hour), DateFrom: "file time", Rows: 1, SHA256: sum},
		{Name: "Plan", File: filepath.Join(dir, "a.csv"), Licence: "CC0", Credit: "us", Note: "synthetic",
			Date: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC), DateFrom: "manifest", Rows: 1, SHA256: sum},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	w := strings.Join(table.Warnings(), "\n")
	if !strings.Contains(w, "lies in the future") || !strings.Contains(w, "the time of the file, 2020-02-03") {
		t.Errorf("warnings %q", w)
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	t.Setenv("CANOPY_DATA", "")
	t.Setenv("XDG_DATA_HOME", filepath.Join(root, "xdg"))
	find := func(want string) {
		t.Helper()
		if got, err := Find(); err != nil || got != want {
			t.Errorf("found %q, %v; want %q", got, err, want)
		}
	}
	deep := filepath.Join(root, "a", "b")
	for _, dir := range []string{deep, filepath.Join(root, ".data"), filepath.Join(deep, ".data")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(deep)
	find("") // not the tables of a folder that somebody else may have made
	home := filepath.Join(root, "xdg", "canopy")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	find(home)
	t.Setenv("CANOPY_DATA", "/elsewhere")
	find("/elsewhere")
}
