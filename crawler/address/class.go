package address

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strings"
	"unicode"

	"canopy/crawler/identifier"
	"canopy/crawler/observation"
)

// The two tables of rules that give an AS its hosting class; each explains
// itself in its first lines and may be edited by anyone.
var (
	//go:embed as.csv
	asList string
	//go:embed words.csv
	wordList string
)

// classes gives an AS its hosting class: by the list of known AS, else by the
// words of its name.
type classes struct {
	known map[uint32]Evidence
	words map[string][]word // anchored patterns by their first bytes
	loose []word            // patterns that may begin inside a word
}

// word is one line of words.csv.
type word struct {
	Evidence
	pattern string // with a space where a word begins or ends
	place   int    // line order; the first that fits wins
}

// key is how many bytes of a word index the anchored patterns.
const key = 3

// loadClasses reads the embedded rules.
func loadClasses() (*classes, error) {
	c := &classes{known: map[uint32]Evidence{}, words: map[string][]word{}}
	err := readRules("as.csv", asList, 5, func(f []string) error {
		asn, err := identifier.AS(f[0])
		if err != nil {
			return err
		}
		class, err := parseHosting(f[1])
		switch {
		case err != nil:
			return err
		case class == "" || f[2] == "" || f[3] == "":
			return fmt.Errorf("AS%d lacks a class, group or source", asn)
		case c.known[asn].Rule != "":
			return fmt.Errorf("AS%d is listed twice", asn)
		}
		reason := fmt.Sprintf("AS%d belongs to %s.", asn, f[2])
		if f[4] != "" {
			reason = fmt.Sprintf("AS%d belongs to %s: %s.", asn, f[2], f[4])
		}
		c.known[asn] = Evidence{Hosting: class, Rule: "as", Group: f[2], Source: f[3], Reason: reason}
		return nil
	})
	if err != nil {
		return nil, err
	}
	place := 0
	err = readRules("words.csv", wordList, 3, func(f []string) error {
		class, err := parseHosting(f[0])
		if err != nil {
			return err
		}
		place++
		w := word{place: place, Evidence: Evidence{Hosting: class, Rule: "word", Source: "words.csv"}}
		w.Reason = fmt.Sprintf("The name of the AS holds %q: %s.", f[1], f[2])
		if class == "" { // shields what follows: says that the words decide nothing
			w.Hosting = observation.HostingUnknown
		}
		return c.addWord(w, f[1])
	})
	return c, err
}

// readRules calls line for each line of an embedded table after its header.
func readRules(name, content string, width int, line func([]string) error) error {
	r := csv.NewReader(strings.NewReader(content))
	r.Comment, r.FieldsPerRecord = '#', width
	lines, err := r.ReadAll()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for i, f := range lines {
		if i == 0 {
			continue
		}
		if err := line(f); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

// addWord takes in a pattern: words in lower case, with * where it may begin
// or end inside a word.
func (c *classes) addWord(w word, pattern string) error {
	core := strings.Trim(pattern, "*")
	if core == "" || words(core) != " "+core+" " {
		return fmt.Errorf("pattern %q: want words of lower-case letters and digits, with * before or after", pattern)
	}
	if len(core) < key {
		return fmt.Errorf("pattern %q is shorter than %d letters", pattern, key)
	}
	w.pattern = core
	if !strings.HasSuffix(pattern, "*") {
		w.pattern += " "
	}
	if strings.HasPrefix(pattern, "*") {
		c.loose = append(c.loose, w)
		return nil
	}
	w.pattern = " " + w.pattern
	k := core[:key]
	c.words[k] = append(c.words[k], w)
	return nil
}

// words returns the words of a name in lower case, each between single spaces.
func words(name string) string {
	var b strings.Builder
	b.WriteByte(' ')
	apart := true
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToLower(r))
			apart = false
		} else if !apart {
			b.WriteByte(' ')
			apart = true
		}
	}
	if !apart {
		b.WriteByte(' ')
	}
	return b.String()
}

// judge returns the class of an AS and the rule that gave it.
func (c *classes) judge(asn uint32, name string) Evidence {
	if e, ok := c.known[asn]; ok && asn != 0 {
		return e
	}
	best := word{Evidence: Evidence{Hosting: observation.HostingUnknown, Rule: "none"}, place: 1 << 30}
	best.Reason = "The AS is not listed and no word of its name gives it away."
	text := words(name)
	for i := 0; i+1 < len(text); i++ {
		if text[i] != ' ' {
			continue
		}
		rest := text[i:]
		for _, w := range c.words[rest[1:min(1+key, len(rest))]] {
			if w.place < best.place && strings.HasPrefix(rest, w.pattern) {
				best = w
			}
		}
	}
	for _, w := range c.loose {
		if w.place < best.place && strings.Contains(text, w.pattern) {
			best = w
		}
	}
	return best.Evidence
}
