package operator

import "testing"

// FuzzLoad feeds any text as ruleset and registry: it is refused, or judges
// without failing and never decides without evidence.
func FuzzLoad(f *testing.F) {
	f.Add(someRules, someEntry)
	f.Add(string(rulesYAML), string(registryYAML))
	f.Add("version: 1\nrules:\n- when: {agents: ['*']}\n", "entries: [{id: a, signals: {prefixes: [::/0]}}]")
	f.Add("&a [*a]", "{")
	f.Fuzz(func(t *testing.T, rules, registry string) {
		r, err := Load([]byte(rules), []byte(registry))
		if err != nil {
			return
		}
		for _, traits := range []Traits{{}, {Hosting: "hosting", Agent: "kubo/0.39.0", Siblings: 30, Neighbourhood: 30, ASN: 7941}} {
			v := r.Judge(traits)
			if v.Operator != Unknown && len(v.Evidence) == 0 || v.Probability < 0 || v.Probability >= 1 {
				t.Fatalf("%+v", v)
			}
		}
	})
}
