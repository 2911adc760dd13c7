package operator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// Source is where facts of an entry can be checked.
type Source struct {
	URL string   `yaml:"url" json:"url"`
	For []string `yaml:"for" json:"for"` // keys of the entry or of its signals, such as founded or agents, or single signals
}

// UnmarshalJSON reads also an address alone, as reports of before the rules
// 2026.6 have it.
func (s *Source) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &s.URL) == nil {
		return nil
	}
	type plain Source
	return json.Unmarshal(text, (*plain)(s))
}

// fromLabels is the source of a signal that no file of the registry holds.
const fromLabels = "labels by experiment"

// SourceOf is the address where a fact or signal can be checked: of the first
// of the given names that has one, empty if none has.
func (e Entry) SourceOf(names ...string) string {
	for _, name := range names {
		for _, s := range e.Sources {
			if slices.Contains(s.For, name) {
				return s.URL
			}
		}
	}
	return ""
}

// fact is something that an entry states.
type fact struct {
	key    string // of the file, such as founded or agents
	signal string // one signal of that key, empty for a fact
}

// where is the YAML path of a fact within its entry.
func (f fact) where() string {
	if f.signal != "" {
		return ".signals." + f.key
	}
	return "." + f.key
}

// facts lists all that an entry states of somebody and that needs a source.
func (e Entry) facts() []fact {
	out := []fact{{key: "kind"}}
	for _, f := range []struct {
		key string
		has bool
	}{{"founded", e.Founded != 0}, {"closed", e.Closed != 0}, {"funding", e.Funding != ""}, {"p2p_core", e.P2PCore}, {"runs", e.Runs != ""}} {
		if f.has {
			out = append(out, fact{key: f.key})
		}
	}
	s := e.Signals
	var asn, prefixes []string
	for _, a := range s.ASN {
		asn = append(asn, fmt.Sprint(a))
	}
	for _, p := range s.Prefixes {
		prefixes = append(prefixes, p.String())
	}
	for _, list := range []struct {
		key  string
		each []string
	}{{"agents", s.Agents}, {"asn", asn}, {"prefixes", prefixes}, {"peer_ids", s.PeerIDs}, {"hosts", s.Hosts}, {"protocols", s.Protocols}, {"versions", s.Versions}} {
		for _, signal := range list.each {
			out = append(out, fact{list.key, signal})
		}
	}
	return out
}

// checkSources refuses an entry of which a fact or signal has no source, and a
// source for what the entry does not state; it says where in the entry.
func (e Entry) checkSources() (where string, err error) {
	if len(e.Sources) == 0 {
		return "", errors.New("it gives no source")
	}
	facts := e.facts()
	for i, s := range e.Sources {
		where := fmt.Sprintf(".sources[%d]", i)
		if u, err := url.Parse(s.URL); err != nil || u.Scheme != "https" || u.Host == "" {
			return where, fmt.Errorf("source %q is no https address", s.URL)
		}
		if len(s.For) == 0 {
			return where, fmt.Errorf("source %s does not say what it is for, such as for: [kind, founded]", s.URL)
		}
		for _, name := range s.For {
			if !slices.ContainsFunc(facts, func(f fact) bool { return name == f.key || name == f.signal }) {
				return where, fmt.Errorf("source %s is for %q, which the entry does not state", s.URL, name)
			}
		}
	}
	for _, f := range facts {
		if e.SourceOf(cmp.Or(f.signal, f.key), f.key) == "" {
			return f.where(), fmt.Errorf("%s has no source: name the key in a source's for, or leave the fact out", cmp.Or(f.signal, f.key))
		}
	}
	return "", nil
}
