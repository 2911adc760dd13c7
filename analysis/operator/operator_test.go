package operator

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func names(e []Evidence) (out []string) {
	for _, e := range e {
		out = append(out, e.Name)
	}
	return out
}

// TestPersonas judges the kinds of peer that a planned network holds.
func TestPersonas(t *testing.T) {
	hetzner := func(agent string, siblings, neighbourhood int) Traits {
		return Traits{Agent: agent, Hosting: "hosting", ASN: 64500, Organisation: "Example Cloud", Siblings: siblings, Neighbourhood: neighbourhood}
	}
	for _, c := range []struct {
		name     string
		traits   Traits
		operator Operator
		leaning  Operator
		named    string
		evidence []string
	}{
		{"home", Traits{Hosting: "residential", Agent: "kubo/0.39.0", Siblings: 3, Neighbourhood: 9, Organisation: "Example Telecom"},
			Community, Community, "", []string{"household-line", "land-of-others"}},
		{"home, many neighbours with one client", Traits{Hosting: "residential", Agent: "libtorrent 2.0.11", Siblings: 60, Neighbourhood: 60},
			Community, Community, "", []string{"household-line", "land-of-others"}},
		{"home, nothing else known", Traits{Hosting: "residential"}, Community, Community, "", []string{"household-line", "land-of-others"}},
		{"mobile", Traits{Hosting: "mobile", Agent: "LT0200", Siblings: 1, Neighbourhood: 1}, Community, Community, "",
			[]string{"mobile-line", "land-of-others"}},
		{"university", Traits{Hosting: "institutional", Agent: "kubo/0.39.0", Siblings: 12, Neighbourhood: 14, Organisation: "Example University"},
			Institutional, Institutional, "", []string{"institution-land"}},
		{"fleet", hetzner("fleet/1.2", 40, 44), Commercial, Commercial, "Example Cloud", []string{"fleet", "land-of-others", "large-fleet", "rented-land"}},
		{"fleet with a people's client", hetzner("qBittorrent 5.0.4", 40, 44), Commercial, Commercial, "Example Cloud",
			[]string{"fleet", "land-of-others", "large-fleet", "rented-land"}},
		{"hobbyist with a desktop", hetzner("kubo/0.39.0/desktop", 1, 1), Community, Community, "",
			[]string{"desktop-program", "land-of-others", "rented-land", "alone-on-rented-land"}},
		{"hobbyist with qBittorrent", hetzner("qBittorrent 5.0.4", 1, 7), Community, Community, "",
			[]string{"people's-torrent-client", "land-of-others", "rented-land", "alone-on-rented-land"}},
		{"server, nothing special", hetzner("kubo/0.39.0/2896aed", 1, 5), Unknown, Community, "", []string{"land-of-others", "rented-land", "alone-on-rented-land"}},
		{"server among strangers", hetzner("kubo/0.39.0/2896aed", 9, 60), Unknown, Commercial, "", []string{"land-of-others", "rented-land"}},
		{"hosting alone", Traits{Hosting: "hosting"}, Unknown, Commercial, "", []string{"land-of-others", "rented-land"}},
		{"rest of a fleet", Traits{Agent: "fleet/1.2", Hosting: "hosting", ASN: 64500, Organisation: "Example Cloud", Siblings: 5, Neighbourhood: 5, AgentHere: 37, AgentAnywhere: 38},
			Commercial, Commercial, "Example Cloud", []string{"land-of-others", "agent-of-one-house", "rented-land"}},
		{"program of everybody", Traits{Agent: "kubo/0.39.0", Hosting: "hosting", ASN: 64500, Siblings: 5, Neighbourhood: 5, AgentHere: 37, AgentAnywhere: 380},
			Unknown, Commercial, "", []string{"land-of-others", "rented-land"}},
		{"nameless program", Traits{Hosting: "hosting", ASN: 64500, Siblings: 5, Neighbourhood: 5, AgentHere: 37, AgentAnywhere: 37},
			Unknown, Commercial, "", []string{"land-of-others", "rented-land"}},
		{"VPN exit", Traits{Hosting: "anonymiser", Agent: "qBittorrent 5.0.4", Siblings: 30, Neighbourhood: 40}, Unknown, Community, "", []string{"behind-an-anonymiser"}},
		{"nothing known", Traits{}, Unknown, Unknown, "", nil},
		{"archive", Traits{Hosting: "institutional", ASN: 7941, Organisation: "Internet Archive"}, Institutional, Institutional, "Internet Archive",
			[]string{"registry:internet-archive:asn", "institution-land"}},
	} {
		v := Default().Judge(c.traits)
		if v.Operator != c.operator || v.Leaning != c.leaning || v.Name != c.named {
			t.Errorf("%s: %s leaning %s named %q at %.3f, want %s leaning %s named %q", c.name, v.Operator, v.Leaning, v.Name, v.Probability, c.operator, c.leaning, c.named)
		}
		if d := cmp.Diff(c.evidence, names(v.Evidence)); d != "" {
			t.Errorf("%s: evidence -want +got\n%s", c.name, d)
		}
		for _, e := range v.Evidence {
			if e.Reason == "" || e.Source == "" || e.LogOdds == 0 {
				t.Errorf("%s: evidence without ground: %+v", c.name, e)
			}
		}
		if len(v.Evidence) > 0 && math.Abs(v.LogOdds-math.Log(v.Probability/(1-v.Probability))) > 1e-9 {
			t.Errorf("%s: log-odds %v do not belong to probability %v", c.name, v.LogOdds, v.Probability)
		}
	}
}

// TestMoreEvidenceNeverLowersTheProbability adds evidence for one kind step by
// step.
func TestMoreEvidenceNeverLowersTheProbability(t *testing.T) {
	last := 0.0
	for siblings := 3; siblings < 100; siblings++ {
		v := Default().Judge(Traits{Hosting: "hosting", Agent: "fleet/1.2", Siblings: siblings, Neighbourhood: siblings})
		if v.Leaning != Commercial || v.Probability < last {
			t.Fatalf("%d siblings: %s at %v after %v", siblings, v.Leaning, v.Probability, last)
		}
		last = v.Probability
	}
	r := Default()
	var evidence []Evidence
	last = 0
	for range 100 {
		evidence = append(evidence, Evidence{For: Community, LogOdds: 1})
		k, chances := r.weigh(evidence)
		p := chances[k]
		if k != Community || p < last || p >= 1 {
			t.Fatalf("%d pieces: %s at %v after %v", len(evidence), k, p, last)
		}
		last = p
	}
}

func TestHostileAgentsDecideNothing(t *testing.T) {
	for _, agent := range []string{"", strings.Repeat("*", 10000), strings.Repeat("kubo/", 2000), "\xff\xfe", "<script>alert(1)</script>", "\x1b[2J", "=HYPERLINK()", "kubo/desktop\x00"} {
		v := Default().Judge(Traits{Agent: agent, Hosting: "unknown", Siblings: 1, Neighbourhood: 1})
		if v.Operator != Unknown || len(v.Evidence) != 0 {
			t.Errorf("%.20q: %+v", agent, v)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"kubo/*/desktop", "kubo/0.39.0/desktop", true},
		{"kubo/*/desktop", "Kubo/0.39.0/Desktop", true},
		{"kubo/*/desktop", "kubo/desktop", false},
		{"kubo/*/desktop", "kubo/0.39.0/desktop/", false},
		{"LT*", "LT", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"ab*ba", "aba", false},
		{"exact", "exact", true},
		{"exact", "exactly", false},
		{"*", "", false},
	} {
		if got := match(c.pattern, c.s); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

const (
	someRules = `version: "1"
threshold: 0.8
prior: {community: 0, commercial: 0, institutional: 0, reason: none}
registry_signals:
  peer_id: {log_odds: 5, reason: a}
  prefix: {log_odds: 4, reason: b}
  asn: {log_odds: 3, reason: c}
  agent: {log_odds: 2, reason: d}
  version: {log_odds: 1.5, reason: e}
  protocol: {log_odds: 1, reason: e}
common_agents: [kubo/0.39.0]
common_versions: ["4c54"]
rules: []
`
	someEntry = `entries:
- id: good
  name: Good
  kind: company
  sources: [{url: "https://example.org", for: [kind]}]
- id: other
  name: Other
  kind: company
  signals: {agents: ["other/*"], asn: [64500], prefixes: [192.0.2.0/24], peer_ids: [QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa], protocols: ["/other/*"], versions: ["5a5a"]}
  sources: [{url: "https://example.org", for: [kind, agents, asn, prefixes, peer_ids, protocols, versions]}]
`
)

func TestStrongestSignalNamesTheEntry(t *testing.T) {
	r, err := Load([]byte(someRules), []byte(someEntry))
	if err != nil {
		t.Fatal(err)
	}
	for want, traits := range map[string]Traits{
		"registry:other:peer_id":  {PeerID: "QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa", ASN: 64500},
		"registry:other:prefix":   {Address: netip.MustParseAddr("::ffff:192.0.2.9"), ASN: 64500},
		"registry:other:asn":      {ASN: 64500, Agent: "other/1"},
		"registry:other:agent":    {Agent: "Other/1", Protocols: []string{"/other/1"}},
		"registry:other:version":  {Protocols: []string{"krpc", "v=5a5a0102"}},
		"registry:other:protocol": {Protocols: []string{"/ipfs/id/1.0.0", "/other/1"}},
	} {
		v := r.Judge(traits)
		if d := cmp.Diff([]string{want}, names(v.Evidence)); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		if v.Operator == Commercial && v.Name != "Other" {
			t.Errorf("%s: named %q", want, v.Name)
		}
	}
}

// TestNamesMayBeWrittenInAnyForm reads a registry whose AS, prefixes and peer IDs
// are not written as the record writes them, and agents with slashes around them.
func TestNamesMayBeWrittenInAnyForm(t *testing.T) {
	text := strings.NewReplacer("[64500]", "[0064500, AS64501, 'as64502']", "[192.0.2.0/24]", `["::ffff:192.0.2.0/120", 198.51.100.7/24, 203.0.113.9]`,
		"QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa", "/ip4/192.0.2.1/tcp/4001/ipfs/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa").Replace(someEntry)
	r, err := Load([]byte(someRules), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for signal, list := range map[string][]Traits{
		"asn":     {{ASN: 64500}, {ASN: 64501}, {ASN: 64502}},
		"prefix":  {{Address: netip.MustParseAddr("192.0.2.9")}, {Address: netip.MustParseAddr("198.51.100.200")}, {Address: netip.MustParseAddr("203.0.113.9")}},
		"peer_id": {{PeerID: "QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa"}},
		"agent":   {{Agent: "/other/0.4.18/"}, {Agent: " Other/2"}},
	} {
		for _, traits := range list {
			if d := cmp.Diff([]string{"registry:other:" + signal}, names(r.Judge(traits).Evidence)); d != "" {
				t.Errorf("%+v: -want +got\n%s", traits, d)
			}
		}
	}
	for _, traits := range []Traits{{ASN: 26944}, {Address: netip.MustParseAddr("203.0.113.8")}, {Agent: "another/1"}} { // 064500 is 26944 in octal
		if v := r.Judge(traits); len(v.Evidence) > 0 {
			t.Errorf("%+v: %v", traits, names(v.Evidence))
		}
	}
}

func TestBrokenFilesAreRefusedWithTheirLine(t *testing.T) {
	rule := func(s string) string {
		return strings.Replace(someRules, "rules: []", "rules:\n- "+strings.ReplaceAll(s, "\n", "\n  "), 1)
	}
	entry := func(old, new string) string { return strings.Replace(someEntry, old, new, 1) }
	for _, c := range []struct{ name, rules, registry, want string }{
		{"unknown key", strings.Replace(someRules, "threshold", "treshold", 1), someEntry, "[2:1]"},
		{"no YAML", "{", someEntry, "[1:"},
		{"no version", strings.Replace(someRules, `"1"`, `""`, 1), someEntry, "version is missing"},
		{"threshold", strings.Replace(someRules, "0.8", "1.8", 1), someEntry, "threshold is 1.8"},
		{"signal", strings.Replace(someRules, "  asn: {log_odds: 3, reason: c}\n", "", 1), someEntry, "registry_signals.asn"},
		{"rule without condition", rule("name: x\nfor: community\nlog_odds: 1\nreason: r\nsource: s"), someEntry, "line 14: rule 1 \"x\": when is empty"},
		{"rule without reason", rule("name: x\nwhen: {min_siblings: 2}\nfor: community\nlog_odds: 1\nsource: s"), someEntry, "reason or source"},
		{"rule for nobody", rule("name: x\nwhen: {min_siblings: 2}\nfor: aliens\nlog_odds: 1\nreason: r\nsource: s"), someEntry, `for is "aliens"`},
		{"infinite weight", rule("name: x\nwhen: {min_siblings: 2}\nfor: community\nlog_odds: .inf\nreason: r\nsource: s"), someEntry, "log_odds is missing or absurd"},
		{"share that is no number", rule("name: x\nwhen: {min_siblings_share: .nan}\nfor: community\nlog_odds: 1\nreason: r\nsource: s"), someEntry, "between 0 and 1"},
		{"entry without source", someRules, entry("signals: {agents", "signals: {agents") + "- id: x\n  name: X\n  kind: company\n", "line 11: entry 3 \"x\": it gives no source"},
		{"source no address", someRules, entry("https://example.org", "hearsay"), "line 5: entry 1 \"good\": source \"hearsay\""},
		{"fact without source", someRules, entry("  kind: company", "  kind: company\n  founded: 1999"), "line 5: entry 1 \"good\": founded has no source"},
		{"signal without source", someRules, entry("protocols, versions]", "protocols]"), "line 9: entry 2 \"other\": 5a5a has no source"},
		{"one of two signals without source", someRules, strings.Replace(entry("[64500]", "[64500, 64501]"), "agents, asn,", "agents, \"64500\",", 1), "64501 has no source"},
		{"source for what is not stated", someRules, entry("for: [kind]", "for: [kind, closed]"), "line 5: entry 1 \"good\": source https://example.org is for \"closed\""},
		{"source for nothing", someRules, entry("for: [kind]", "for: []"), "does not say what it is for"},
		{"version of everybody", someRules, entry("5a5a", "4c540200"), "claims everybody: anyone may run what begins with 4c54"},
		{"version too short", someRules, entry("5a5a", "5a"), "first 2 bytes of v"},
		{"version that is no hexadecimal", someRules, entry("5a5a", "LT02"), "first 2 bytes of v"},
		{"unknown kind", someRules, entry("company", "guild"), `kind "guild"`},
		{"unknown key of an entry", someRules, entry("  kind: company", "  kind: company\n  color: red"), "[5:3]"},
		{"same id", someRules, entry("id: good", "id: other"), "used twice"},
		{"agent of everybody", someRules, entry("other/*", "kubo*"), `claims everybody: it fits "kubo/0.39.0"`},
		{"bare star", someRules, entry("other/*", "*"), "claims everybody"},
		{"protocol of everybody", someRules, entry("/other/*", "/*"), "claims everybody"},
		{"prefix of everybody", someRules, entry("192.0.2.0/24", "0.0.0.0/0"), "claims everybody"},
		{"IPv6 prefix of everybody", someRules, entry("192.0.2.0/24", "2000::/3"), "claims everybody"},
		{"AS 0", someRules, entry("64500", "0"), "claims everybody"},
		{"AS of more than 4 bytes", someRules, entry("64500", "4294967296"), "line 9: entry 2 \"other\": \"4294967296\" is no AS number"},
		{"share of an AS", someRules, entry("64500", "64500.7"), "line 9: entry 2 \"other\": \"64500.7\" is no AS number"},
		{"peer ID cut short", someRules, entry("u19uLTa]", "u19uLT]"), "line 9: entry 2 \"other\": \"QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLT\" is no peer ID"},
		{"content for a peer", someRules, entry("QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa", "bafybeiaysi4s6lnjev27ln5icwm6tueaw2vdykrtjkwiphwekaywqhcjze"), "CID of content"},
		{"prefix with a port", someRules, entry("192.0.2.0/24", "\"192.0.2.1:4001\""), "line 9: entry 2 \"other\": \"192.0.2.1:4001\" is neither an address nor a prefix"},
		{"IPv4 and more", someRules, entry("192.0.2.0/24", "\"::ffff:0.0.0.0/90\""), "write the IPv4 and the IPv6 prefix, each on its own"},
		{"prefix of everybody as IPv6", someRules, entry("192.0.2.0/24", "\"::ffff:0.0.0.0/100\""), "claims everybody"},
	} {
		_, err := Load([]byte(c.rules), []byte(c.registry))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestEveryFactOfTheRegistryHasASource looks at the sources of single signals
// too: that of the signal itself comes before that of its kind.
func TestEveryFactOfTheRegistryHasASource(t *testing.T) {
	for _, e := range Default().Registry() {
		for _, f := range e.facts() {
			if e.SourceOf(f.signal, f.key) == "" {
				t.Errorf("%s: %+v has no source", e.ID, f)
			}
		}
	}
	nebula := Default().Judge(Traits{Agent: "nebula/2.4.0"}).Evidence
	if len(nebula) != 1 || nebula[0].Source != "https://github.com/dennis-tra/nebula" {
		t.Errorf("%+v", nebula)
	}
}

func TestSourcesOfOlderReportsAreRead(t *testing.T) {
	var got []Source
	if err := json.Unmarshal([]byte(`["https://a.example", {"url": "https://b.example", "for": ["kind"]}]`), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Source{{URL: "https://a.example"}, {URL: "https://b.example", For: []string{"kind"}}}, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if json.Unmarshal([]byte(`[7]`), &got) == nil {
		t.Error("a number was taken for a source")
	}
}
