package address

import (
	"math/big"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter/mmdbtype"
)

type (
	mm = mmdbtype.Map
	ms = mmdbtype.String
	ml = mmdbtype.Slice
)

// here is the network that tests ask of.
const here = "192.0.2.0/24"

// openMMDB makes a database of the given records and opens it.
func openMMDB(t *testing.T, kind string, records map[string]mm) (*Table, error) {
	t.Helper()
	dir := t.TempDir()
	writeMMDB(t, filepath.Join(dir, "base.mmdb"), kind, records)
	return Open(dir, Options{})
}

// saysOf is what a table with one record says of its network.
func saysOf(t *testing.T, record mm) (asn uint32, organisation, country, warnings string) {
	t.Helper()
	table, err := openMMDB(t, "test", map[string]mm{here: record})
	if err != nil {
		t.Fatalf("%v: %v", record, err)
	}
	f := table.Lookup(netip.MustParseAddr("192.0.2.1"))
	return f.ASN, f.Organisation, f.Country, strings.Join(table.Warnings(), "\n")
}

// english is a place as MaxMind and DB-IP describe it.
func english(name, code string) mm {
	return mm{"iso_code": ms(code), "geoname_id": mmdbtype.Uint32(1), "names": mm{"de": ms("auf Deutsch"), "en": ms(name)}}
}

// TestPublishersOfMMDB reads a record as each publisher ships it.
func TestPublishersOfMMDB(t *testing.T) {
	const number = mmdbtype.Uint32(64500)
	as := mm{"autonomous_system_number": number, "autonomous_system_organization": ms("Example Net")}
	traits := mm{
		"autonomous_system_number": number, "autonomous_system_organization": ms("Example Net"), "isp": ms("Example ISP"), "organization": ms("A Customer"),
		"connection_type": ms("Corporate"), "user_type": ms("hosting"), "is_anycast": mmdbtype.Bool(true), "static_ip_score": mmdbtype.Float64(0.3),
	}
	for name, c := range map[string]struct {
		record       mm
		asn          uint32
		organisation string
		country      string
	}{
		"MaxMind ASN, DB-IP ASN, ip-location-db asn": {as, 64500, "Example Net", ""},
		"MaxMind ISP": {mm{"autonomous_system_number": number, "autonomous_system_organization": ms("Example Net"), "isp": ms("Example ISP"),
			"organization": ms("A Customer"), "mobile_country_code": ms("204"), "mobile_network_code": ms("04")}, 64500, "Example Net", ""},
		"MaxMind ISP without AS": {mm{"isp": ms("Example ISP")}, 0, "Example ISP", ""},
		"MaxMind Country":        {mm{"continent": mm{"code": ms("EU")}, "country": english("Netherlands", "NL"), "registered_country": english("Germany", "DE")}, 0, "", "NL"},
		"MaxMind City": {mm{"city": mm{"names": mm{"en": ms("Amsterdam")}}, "country": english("Netherlands", "NL"), "subdivisions": ml{english("North Holland", "NH")},
			"location": mm{"latitude": mmdbtype.Float64(52), "time_zone": ms("Europe/Amsterdam")}, "postal": mm{"code": ms("1012")}}, 0, "", "NL"},
		"MaxMind Enterprise": {mm{"country": english("Netherlands", "NL"), "city": mm{"confidence": mmdbtype.Uint16(40)}, "traits": traits}, 64500, "Example Net", "NL"},
		"DB-IP with ISP":     {mm{"country": english("Netherlands", "NL"), "traits": mm{"isp": ms("Example ISP"), "user_type": ms("cellular")}}, 0, "Example ISP", "NL"},
		"IPinfo lite": {mm{"asn": ms("AS64500"), "as_name": ms("Example Net"), "as_domain": ms("example.net"), "country": ms("Netherlands"), "country_code": ms("NL"),
			"continent": ms("Europe"), "continent_code": ms("EU")}, 64500, "Example Net", "NL"},
		"IPinfo country_asn": {mm{"asn": ms("AS64500"), "as_name": ms("Example Net"), "as_domain": ms("example.net"), "country": ms("NL"), "country_name": ms("Netherlands"),
			"continent": ms("EU"), "continent_name": ms("Europe")}, 64500, "Example Net", "NL"},
		"IPinfo asn":  {mm{"asn": ms("AS64500"), "name": ms("Example Net"), "domain": ms("example.net"), "route": ms(here), "type": ms("hosting"), "country": ms("NL")}, 64500, "Example Net", "NL"},
		"IPinfo API":  {mm{"org": ms("AS64500 Example Net"), "country": ms("NL")}, 64500, "Example Net", "NL"},
		"IPLocate":    {mm{"asn": number, "name": ms("EXAMPLE-NET"), "org": ms("Example Net"), "domain": ms("example.net"), "country_code": ms("NL"), "network": ms(here)}, 64500, "Example Net", "NL"},
		"IP2Location": {mm{"asn": ms("64500"), "as": ms("Example Net"), "country_code": ms("NL"), "country_name": ms("Netherlands")}, 64500, "Example Net", "NL"},
		"ipdata":      {mm{"asn": mm{"asn": ms("AS64500"), "name": ms("Example Net"), "domain": ms("example.net"), "type": ms("isp")}, "country_code": ms("NL")}, 64500, "Example Net", "NL"},
		"ipgeolocation": {mm{"asn": mm{"as_number": ms("AS64500"), "organization": ms("Example Net")},
			"location": mm{"country_code2": ms("??"), "country_code": ms("NL")}}, 64500, "Example Net", "NL"},
		"ipregistry": {mm{"connection": mm{"asn": number, "organization": ms("Example Net"), "type": ms("isp")}, "location": mm{"country": mm{"code": ms("NL"), "name": ms("Netherlands")}}},
			64500, "Example Net", "NL"},
		"ip-api":                       {mm{"as": ms("AS64500 Example Net"), "countryCode": ms("XY"), "country": ms("nl")}, 64500, "Example Net", "NL"},
		"ip-location-db country":       {mm{"country_code": ms("NL")}, 0, "", "NL"},
		"names in languages":           {mm{"asn": number, "as_name": mm{"de": ms("Beispielnetz"), "en": ms("Example Net")}}, 64500, "Example Net", ""},
		"a list":                       {mm{"asn": ml{number}, "as_name": ml{ms("Example Net")}}, 64500, "Example Net", ""},
		"a name that is none of an AS": {mm{"country": ms("NL"), "name": ms("Amsterdam")}, 0, "", "NL"},
		"an AS and its name in one":    {mm{"asn": ms("AS64500 Example Net")}, 64500, "Example Net", ""},
	} {
		asn, organisation, country, _ := saysOf(t, c.record)
		if asn != c.asn || organisation != c.organisation || country != c.country {
			t.Errorf("%s: AS%d %q %q, want AS%d %q %q", name, asn, organisation, country, c.asn, c.organisation, c.country)
		}
	}
}

// TestTypesOfNumbers reads an AS number in every type that MaxMind DB has for
// one.
func TestTypesOfNumbers(t *testing.T) {
	big64500 := mmdbtype.Uint128(*big.NewInt(64500))
	for name, value := range map[string]mmdbtype.DataType{
		"uint16": mmdbtype.Uint16(64500), "uint32": mmdbtype.Uint32(64500), "uint64": mmdbtype.Uint64(64500), "uint128": &big64500,
		"int32": mmdbtype.Int32(64500), "double": mmdbtype.Float64(64500), "float": mmdbtype.Float32(64500),
		"text": ms("64500"), "text with AS": ms("AS64500"), "in lower case": ms("as64500"), "with space": ms(" AS64500 "),
	} {
		if asn, _, _, warnings := saysOf(t, mm{"asn": value, "as_name": ms("Example Net")}); asn != 64500 || warnings != "" {
			t.Errorf("%s: AS%d, warnings %q", name, asn, warnings)
		}
	}
}

// TestOddValuesAreCounted: a value that can't be used makes neither the file
// unusable nor other values of its record unknown, and the file's warning tells
// how often it occurs.
func TestOddValuesAreCounted(t *testing.T) {
	huge := mmdbtype.Uint128(*new(big.Int).Lsh(big.NewInt(1), 100))
	for name, c := range map[string]struct {
		record mm
		want   string
	}{
		"text":        {mm{"asn": ms("Example"), "country": ms("NL")}, `without AS (not usable: "asn: Example" (1))`},
		"negative":    {mm{"asn": mmdbtype.Int32(-1), "country": ms("NL")}, `without AS (not usable: "asn: -1" (1))`},
		"fraction":    {mm{"asn": mmdbtype.Float64(1.5), "country": ms("NL")}, `without AS (not usable: "asn: 1.5" (1))`},
		"too large":   {mm{"asn": mmdbtype.Uint64(1 << 32), "country": ms("NL")}, `without AS (not usable: "asn: 4294967296" (1))`},
		"huge":        {mm{"asn": &huge, "country": ms("NL")}, `without AS (not usable: "asn: `},
		"switch":      {mm{"asn": mmdbtype.Bool(true), "country": ms("NL")}, `without AS (not usable: "asn: a `},
		"map":         {mm{"asn": mm{"n": mmdbtype.Uint16(1)}, "country": ms("NL")}, `without AS (not usable: "asn: a map without a known key" (1))`},
		"long text":   {mm{"as_name": ms(strings.Repeat("x", 5000)), "country": ms("NL")}, `without organisation (not usable: "as_name: a text that is too long" (1))`},
		"number":      {mm{"as_name": mmdbtype.Uint16(5), "country": ms("NL")}, `without organisation (not usable: "as_name: 5" (1))`},
		"unknown key": {mm{"asnum": mmdbtype.Uint16(5), "country": ms("NL")}, "1 of 2 networks without AS; this file has keys as_name, asn, asnum, country; known keys are autonomous_system_number, "},
	} {
		table, err := openMMDB(t, "test", map[string]mm{
			here: c.record, "198.51.100.0/24": {"asn": mmdbtype.Uint32(64501), "as_name": ms("Another Net"), "country": ms("DE")},
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f, whole := table.Lookup(netip.MustParseAddr("192.0.2.1")), table.Lookup(netip.MustParseAddr("198.51.100.1"))
		if f.ASN != 0 || f.Country != "NL" || whole.ASN != 64501 || whole.Organisation != "Another Net" || whole.Country != "DE" {
			t.Errorf("%s: %+v, %+v", name, f, whole)
		}
		if w := strings.Join(table.Warnings(), "\n"); !strings.Contains(w, "base.mmdb: 1 of 2 networks without ") || !strings.Contains(w, c.want) {
			t.Errorf("%s: warnings %q, want %q", name, w, c.want)
		}
	}
}

// TestCodesThatAreNoCountry: they are unknown, and counted.
func TestCodesThatAreNoCountry(t *testing.T) {
	codes := []string{"A1", "A2", "O1", "EU", "AP", "XX", "ZZ", "UK", "DEU", "Germany", "é"}
	records := map[string]mm{here: {"country": mm{"iso_code": ms("nl")}}, "192.0.3.0/24": {"country": mm{"iso_code": ms("XK")}}, "192.0.4.0/24": {"country": mm{"iso_code": ms("")}}}
	for i, code := range codes {
		records[netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i), 0}), 24).String()] = mm{"country": mm{"iso_code": ms(code)}}
	}
	table, err := openMMDB(t, "GeoLite2-Country", records)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{"192.0.2.1": "NL", "192.0.3.1": "XK", "192.0.4.1": ""} {
		if got := table.Lookup(netip.MustParseAddr(addr)).Country; got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	for i, code := range codes {
		if got := table.Lookup(netip.AddrFrom4([4]byte{198, 51, byte(i), 1})).Country; got != "" {
			t.Errorf("%s is the country %q", code, got)
		}
	}
	if w := strings.Join(table.Warnings(), "\n"); !strings.Contains(w, "12 of 14 networks without country") || !strings.Contains(w, `"country.iso_code: A1" (1)`) || !strings.Contains(w, "others (5)") {
		t.Errorf("warnings %q", w)
	}
}

// TestWhatAnEditionLacksIsNoWarning: an edition of countries alone names no AS,
// which needs no word as long as all its keys are known.
func TestWhatAnEditionLacksIsNoWarning(t *testing.T) {
	_, _, country, warnings := saysOf(t, mm{"continent": mm{"code": ms("EU")}, "country": english("Netherlands", "NL"), "registered_country": english("Germany", "DE")})
	if country != "NL" || warnings != "" {
		t.Errorf("%q, warnings %q", country, warnings)
	}
	if _, _, _, warnings := saysOf(t, mm{"country": ms("NL"), "asnum": mmdbtype.Uint32(64500)}); !strings.Contains(warnings, "1 of 1 networks without AS; this file has keys asnum, country;") {
		t.Errorf("warnings %q", warnings)
	}
	if _, _, _, warnings := saysOf(t, mm{"asn": ml{mmdbtype.Uint32(64500), mmdbtype.Uint32(64501)}}); !strings.Contains(warnings, "1 of 1 networks list several AS") {
		t.Errorf("warnings %q", warnings)
	}
}

// TestDatabasesThatSayNothing are refused with the keys that they have and
// those that are read.
func TestDatabasesThatSayNothing(t *testing.T) {
	for name, c := range map[string]struct {
		record mm
		want   []string
	}{
		"unknown keys":   {mm{"asnum": mmdbtype.Uint32(64500), "holder": ms("Example Net")}, []string{"keys asnum, holder;", "autonomous_system_number", "as_name", "country.iso_code"}},
		"unusable value": {mm{"asn": ms("Example")}, []string{"keys asn;", `not usable: "asn: Example" (1)`}},
		"no key":         {mm{}, []string{"1 networks and keys none"}},
		"hostile keys":   {mm{"a\x1b[2Jb": ms("x")}, []string{`keys a\u{001b}[2Jb;`}},
	} {
		_, err := openMMDB(t, "Mystery", map[string]mm{here: c.record})
		if err == nil || !strings.Contains(err.Error(), "no record of this Mystery database names an AS, an organisation or a country") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error does not say %q: %v", name, want, err)
			}
		}
	}
}

// TestManyKeys: a record with more keys than any publisher has is not read, and
// the file's other records are.
func TestManyKeys(t *testing.T) {
	many := mm{"asn": mmdbtype.Uint32(64500)}
	for i := range 2000 {
		many[ms(strings.Repeat("k", 1+i%50)+string(rune('a'+i/50)))] = ms("x")
	}
	table, err := openMMDB(t, "test", map[string]mm{here: many, "198.51.100.0/24": {"asn": mmdbtype.Uint32(64501), "as_name": ms("Another Net")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Lookup(netip.MustParseAddr("198.51.100.1")).ASN; got != 64501 {
		t.Errorf("AS%d", got)
	}
	if w := strings.Join(table.Warnings(), "\n"); !strings.Contains(w, "1 of 2 networks without AS; this file has keys a map of more than 1000 keys, as_name, asn;") {
		t.Errorf("warnings %q", w)
	}
}
