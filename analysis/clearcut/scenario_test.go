package clearcut

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestScenarioFile(t *testing.T) {
	got, err := ReadScenario(strings.NewReader(`
name: Example Hosting shuts down
network: ipfs
remove:
  organisations: [Example Hosting, "Other, Inc."]
  countries: [DE]
lookups: 500
seed: 7
`))
	want := Scenario{
		Name: "Example Hosting shuts down", Network: "ipfs", Lookups: 500, Seed: 7,
		Remove: Removal{Organisations: []string{"Example Hosting", "Other, Inc."}, Countries: []string{"DE"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestScenarioMistakesAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		yaml  string
		words []string
	}{
		"unknown key":   {"name: x\nremove:\n  organisation: [A]\n", []string{"line 3", `"organisation"`}},
		"unknown top":   {"remove:\n  largest: 1\nlookup: 5\n", []string{"line 3", `"lookup"`}},
		"wrong type":    {"remove:\n  largest: many\n", []string{"line 2"}},
		"negative seed": {"remove: {largest: 1}\nseed: -1\n", []string{"line 2"}},
		"not YAML":      {"remove: [unclosed\n", []string{"line 1"}},
		"a list":        {"- a\n", []string{"line 1"}},
		"empty":         {"", []string{"removes nobody"}},
		"nobody":        {"name: x\n", []string{"removes nobody"}},
		"two ways":      {"remove: {largest: 1, random: 0.5}\n", []string{"exclude each other"}},
		"all":           {"remove: {random: 1}\n", []string{"random 1", "between 0 and 1"}},
		"no number":     {"remove: {random: .nan}\n", []string{"random"}},
		"kind":          {"remove: {largest: 1, by: planet}\n", []string{"planet", "organisation"}},
		"by alone":      {"remove: {countries: [DE], by: country}\n", []string{"largest"}},
		"lookups":       {"remove: {largest: 1}\nlookups: -5\n", []string{"lookups -5"}},
		"long":          {"name: " + strings.Repeat("x", maxScenario), []string{"longer than"}},
	} {
		_, err := ReadScenario(strings.NewReader(test.yaml))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range test.words {
			if !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: the error does not say %q on one line: %v", name, w, err)
			}
		}
	}
}

func FuzzScenario(f *testing.F) {
	for _, seed := range []string{"remove: {largest: 3, by: country}\n", "remove:\n  operators: [a]\nseed: 1\n", "- a", "remove: &a [*a]", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadScenario(strings.NewReader(text))
		if err == nil && s.Check() != nil {
			t.Fatalf("%q passed and is wrong: %v", text, s.Check())
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("an error of several lines: %q", err)
		}
	})
}

func TestKeysOfPeerIDs(t *testing.T) {
	mainline := Network{KeyDerivation: "hex", IDBits: 160}
	libp2p := Network{KeyDerivation: "sha256-base58", IDBits: 256}
	someone := peer.ID("\x00\x24\x08\x01\x12\x20" + strings.Repeat("k", 32)) // 12D3KooW..., an ed25519 key
	older := peer.ID("\x12\x20" + strings.Repeat("\x00h", 16))               // Qm..., the hash of a key
	for _, test := range []struct {
		network Network
		id      string
		prefix  []byte // of the key; nil: an error
	}{
		{mainline, "0123456789abcdef0123456789abcdef01234567", []byte{0x01, 0x23, 0x45, 0x67}},
		{mainline, "0123", nil},
		{mainline, strings.Repeat("g", 40), nil},
		{libp2p, someone.String(), kbucket.ConvertPeerID(someone)},
		{libp2p, older.String(), kbucket.ConvertPeerID(older)},
		{libp2p, "11", kbucket.ConvertKey("\x00\x00")},
		{libp2p, "l0OI", nil},
		{libp2p, "", nil},
		{libp2p, strings.Repeat("z", 300), nil},
	} {
		derive, err := test.network.keyOf()
		if err != nil {
			t.Fatal(err)
		}
		key, err := derive(test.id)
		if (err == nil) != (test.prefix != nil) || err == nil && !strings.HasPrefix(string(key[:]), string(test.prefix)) {
			t.Errorf("%q: key %x, %v", test.id, key, err)
		}
	}
	for want, n := range map[string]Network{
		"do not say how a peer ID gives a key": {IDBits: 160},
		`keys by "md5"`:                        {KeyDerivation: "md5", IDBits: 160},
		"keys of 7 bits":                       {KeyDerivation: "hex", IDBits: 7},
		"keys of 1048576 bits":                 {KeyDerivation: "hex", IDBits: 1 << 20},
	} {
		if _, err := n.keyOf(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("keys of %+v: %v", n, err)
		}
	}
}

func FuzzBase58(f *testing.F) {
	f.Add("12D3KooW")
	f.Add("1111")
	f.Add("Qmé\x00")
	f.Fuzz(func(t *testing.T, s string) {
		if raw, err := base58(s); err == nil && (len(raw) > len(s) || len(raw) == 0) {
			t.Fatalf("%q became %d bytes", s, len(raw))
		}
	})
}

func TestHoldersAreFoundWhateverTheirCapitals(t *testing.T) {
	g := graph(t, small, []byte{1, 2, 3, 4}, []uint32{1}, []uint32{2}, []uint32{3}, []uint32{0})
	for i, org := range []string{"Example Cloud", "Example Cloud", "University", "<b>\x00\n"} {
		g.peers[i].Organisation, g.peers[i].Operator = org, "community"
	}
	removed, _, err := g.mark(Removal{Organisations: []string{"example cloud"}})
	if err != nil || !reflect.DeepEqual(removed, []bool{true, true, false, false}) {
		t.Errorf("%v, %v", removed, err)
	}
	if removed, _, err = g.mark(Removal{Operators: []string{"Community"}}); err != nil || !reflect.DeepEqual(removed, []bool{true, true, true, true}) {
		t.Errorf("a kind of operator: %v, %v", removed, err)
	}
	_, _, err = g.mark(Removal{Organisations: []string{"Exampel Cloud"}})
	if err == nil || !strings.Contains(err.Error(), `nearest are "Example Cloud"`) || strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("a name with a mistake: %v", err)
	}
	if _, _, err = g.mark(Removal{Countries: []string{"DE"}}); err == nil || !strings.Contains(err.Error(), "known country") {
		t.Errorf("no country is known: %v", err)
	}
	if errors.Is(err, ErrTooFew) {
		t.Error("an unknown name is not a removal of everything")
	}
}
