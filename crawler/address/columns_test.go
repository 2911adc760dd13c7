package address

import (
	"net/netip"
	"strings"
	"testing"
)

// TestHeadersOfPublishers reads tables of text as publishers ship them.
func TestHeadersOfPublishers(t *testing.T) {
	for name, c := range map[string]struct {
		content      string
		organisation string
		country      string
		warning      string
	}{
		"ours":                {"start,end,asn,organisation,country,hosting\n192.0.2.0,192.0.2.255,AS64500,Example Net,NL,hosting\n", "Example Net", "NL", ""},
		"MaxMind":             {"network,autonomous_system_number,autonomous_system_organization\n192.0.2.0/24,64500,\"Example Net\"\n", "Example Net", "", ""},
		"IPinfo lite":         {"network,country,country_code,continent,continent_code,asn,as_name,as_domain\n192.0.2.0/24,Netherlands,NL,Europe,EU,AS64500,Example Net,example.net\n", "Example Net", "NL", ""},
		"IPinfo country_asn":  {"start_ip,end_ip,country,country_name,continent,continent_name,asn,as_name,as_domain\n192.0.2.0,192.0.2.255,NL,Netherlands,EU,Europe,AS64500,Example Net,example.net\n", "Example Net", "NL", ""},
		"IPinfo asn":          {"start_ip,end_ip,join_key,asn,domain,name,type,country\n192.0.2.0,192.0.2.255,192.0.0.0,AS64500,example.net,Example Net,hosting,NL\n", "Example Net", "NL", ""},
		"IPLocate":            {"network,asn,country_code,name,org,domain\n192.0.2.0/24,64500,NL,EXAMPLE-NET,Example Net,example.net\n", "Example Net", "NL", ""},
		"byte order mark":     {"\xef\xbb\xbf\"start\",\"end\",\"ASN\",\"Organization\"\r\n\"192.0.2.0\",\"192.0.2.255\",\"64500\",\"Example Net\"\r\n", "Example Net", "", ""},
		"a lone address":      {"cidr,asn,org\n192.0.2.1,64500,Example Net\n", "Example Net", "", ""},
		"mapped":              {"prefix,asn,org\n::ffff:192.0.2.0/120,64500,Example Net\n", "Example Net", "", ""},
		"no country's code":   {"start,end,asn,organisation,country\n192.0.2.0,192.0.2.255,64500,Example Net,EU\n198.51.100.0,198.51.100.255,64501,B,A1\n", "Example Net", "", `a.csv: 2 ranges have a country code that is no country's, so that their country is unknown: "A1" (1), "EU" (1).`},
		"a holder Network":    {"192.0.2.0,192.0.2.255,64500,Network\n", "Network", "", ""},
		"class with capitals": {"start,end,asn,organisation,hosting\n192.0.2.0,192.0.2.255,64500,Example Net,Mobile\n", "Example Net", "", ""},
	} {
		table, err := Open(folder(t, map[string]string{"a.csv": c.content}), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f := table.Lookup(netip.MustParseAddr("192.0.2.1"))
		if f.ASN != 64500 || f.Organisation != c.organisation || f.Country != c.country {
			t.Errorf("%s: %+v", name, f)
		}
		if w := strings.Join(table.Warnings(), "\n"); c.warning != "" && !strings.Contains(w, c.warning) || c.warning == "" && strings.Contains(w, "country") {
			t.Errorf("%s: warnings %q, want %q", name, w, c.warning)
		}
	}
}

// TestHeadersThatCannotServe are refused with the line and what is wrong.
func TestHeadersThatCannotServe(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"no column that says anything": {"network,geoname_id,is_anycast\n192.0.2.0/24,1,0\n", "line 1: the header names none of the columns asn, organisation, country and hosting"},
		"a typing error":               {"start,end,hostng\n192.0.2.0,192.0.2.255,hosting\n", `line 1: the header names column "hostng", which is unknown`},
		"inside a block":               {"network,asn\n192.0.2.7/24,64500\n", "line 2: 192.0.2.7/24 is not the base of its block, which is 192.0.2.0/24"},
		"no block":                     {"network,asn\n192.0.2.0/33,64500\n", "line 2: netip.ParsePrefix"},
		"a name of a country":          {"network,country\n192.0.2.0/24,Netherlands\n", `line 2: "Netherlands" is no country code`},
	} {
		if _, err := Open(folder(t, map[string]string{"a.csv": c.content}), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestWarningsNameNoFolder: they are kept with crawls and published.
func TestWarningsNameNoFolder(t *testing.T) {
	dir := folder(t, map[string]string{"a.csv": "0.0.0.0,255.255.255.255,64500,A\n192.0.2.0,192.0.2.255,64500,A\n", "b.csv": "192.0.2.0,192.0.2.255,EU\n"})
	writeMMDB(t, dir+"/c.mmdb", "test", map[string]mm{here: {"asnum": ms("1"), "country": ms("NL")}})
	for _, dir := range []string{dir, t.TempDir()} {
		warnings := open(t, dir, Options{}).Warnings()
		if len(warnings) == 0 {
			t.Errorf("%s: no warning", dir)
		}
		for _, w := range warnings {
			if strings.Contains(w, "/") && strings.Contains(w, dir) {
				t.Errorf("the warning %q names the folder", w)
			}
		}
	}
}
