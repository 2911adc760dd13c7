package address

import (
	"fmt"
	"strings"
	"testing"

	"canopy/crawler/observation"
)

func classesOf(t testing.TB) *classes {
	t.Helper()
	c, err := loadClasses()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWordsOfNames(t *testing.T) {
	c := classesOf(t)
	for name, want := range map[string]observation.Hosting{
		"UFO Hosting LLC":                               observation.HostingHosting,
		"BisectHosting":                                 observation.HostingHosting,
		"Big Data Center Of Shandong":                   observation.HostingHosting,
		"TISCALI BROADBAND LTD":                         observation.HostingResidential,
		"Moldtelecom SA":                                observation.HostingResidential,
		"Polytechnic Institute of NYU":                  observation.HostingInstitutional,
		"Universidade Federal do Rio Grande":            observation.HostingInstitutional,
		"T-Mobile Polska S.A.":                          observation.HostingMobile,
		"Castle VPN":                                    observation.HostingAnonymiser,
		"Caixa de Assistencia dos Servidores do Estado": observation.HostingUnknown,
		"Ghost Kitchen Inc.":                            observation.HostingUnknown, // holds "host" only inside a word
		"Universal Studios":                             observation.HostingUnknown, // begins like a university
		"Bank of America":                               observation.HostingUnknown,
		"":                                              observation.HostingUnknown,
		strings.Repeat("a ", 100):                       observation.HostingUnknown,
	} {
		got := c.judge(0, name)
		if got.Hosting != want || got.Reason == "" {
			t.Errorf("%q: %s (%s), want %s", name, got.Hosting, got.Reason, want)
		}
	}
}

func TestListedASComesBeforeWords(t *testing.T) {
	got := classesOf(t).judge(12816, "Leibniz-Rechenzentrum Data Center Hosting")
	if got.Hosting != observation.HostingInstitutional || got.Rule != "as" || !strings.HasPrefix(got.Source, "https://") {
		t.Errorf("%+v", got)
	}
}

func TestRulesAreRefused(t *testing.T) {
	c := &classes{known: map[uint32]Evidence{}, words: map[string][]word{}}
	for _, pattern := range []string{"", "*", "UPPER", "two  spaces", "no-dash", "ab"} {
		if err := c.addWord(word{}, pattern); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("pattern %q", pattern)) {
			t.Errorf("pattern %q: %v", pattern, err)
		}
	}
}

// TestWordsAgreeWithListedAS measures the words against the AS whose class is
// known for certain, on the names of the real table: where words decide they
// must be right nearly always. Lines of homes and of telephones count as one,
// since most carriers sell both. Every word must fit some real name.
func TestWordsAgreeWithListedAS(t *testing.T) {
	table := npmData(t)
	c := classesOf(t)
	byWords := &classes{known: map[uint32]Evidence{}, words: c.words, loose: c.loose}
	confusion := map[[2]observation.Hosting]int{}
	fired := map[string]int{}
	right, decided := 0, 0
	seen := map[uint32]bool{}
	for _, l := range table.layers {
		for _, r := range l.rows {
			if r.facts.ASN == 0 || seen[r.facts.ASN] {
				continue
			}
			seen[r.facts.ASN] = true
			words := byWords.judge(r.facts.ASN, r.name)
			fired[words.Reason]++
			known, ok := c.known[r.facts.ASN]
			if !ok {
				continue
			}
			confusion[[2]observation.Hosting{known.Hosting, words.Hosting}]++
			if words.Hosting != observation.HostingUnknown {
				decided++
				if words.Hosting == known.Hosting || access(words.Hosting) && access(known.Hosting) {
					right++
				}
			}
		}
	}
	for _, listed := range observation.HostingClasses() {
		for _, words := range observation.HostingClasses() {
			if n := confusion[[2]observation.Hosting{listed, words}]; n > 0 {
				t.Logf("listed as %s, by words %s: %d", listed, words, n)
			}
		}
	}
	if right*100 < decided*97 {
		t.Errorf("words are right for %d of the %d listed AS that they decide", right, decided)
	}
	check := func(w word) {
		if fired[w.Reason] == 0 {
			t.Errorf("no AS is decided by %q", strings.TrimSpace(w.pattern))
		}
	}
	for _, list := range c.words {
		for _, w := range list {
			check(w)
		}
	}
	for _, w := range c.loose {
		check(w)
	}
}

func access(h observation.Hosting) bool {
	return h == observation.HostingResidential || h == observation.HostingMobile
}
