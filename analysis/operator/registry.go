package operator

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"canopy/analysis"
)

// Entry is one organisation or project of the registry.
type Entry struct {
	ID      string   `yaml:"id" json:"id"`
	Name    string   `yaml:"name" json:"name"`
	Kind    string   `yaml:"kind" json:"kind"`
	Founded int      `yaml:"founded" json:"founded,omitempty"` // year, 0 when not known
	Closed  int      `yaml:"closed" json:"closed,omitempty"`   // year, 0 while it lives
	Funding string   `yaml:"funding" json:"funding,omitempty"`
	P2PCore bool     `yaml:"p2p_core" json:"p2p_core"` // peer-to-peer is the core of what it does
	Runs    string   `yaml:"runs" json:"runs,omitempty"`
	Signals Signals  `yaml:"-" json:"signals"`
	Sources []Source `yaml:"sources" json:"sources"` // every fact and signal has one

	operator Operator
}

// Operator is the kind of operator that the entry is.
func (e Entry) Operator() Operator { return kinds[e.Kind] }

// Signals are what identifies the nodes that an entry runs itself. The agent
// of a program that anyone may run identifies nobody and does not belong here.
type Signals struct {
	Agents    []string       `json:"agents,omitempty"`    // patterns
	ASN       []uint32       `json:"asn,omitempty"`       // AS that nobody else uses
	Prefixes  []netip.Prefix `json:"prefixes,omitempty"`  // blocks that nobody else uses
	PeerIDs   []string       `json:"peer_ids,omitempty"`  // whole IDs, as the record keeps them
	Hosts     []string       `json:"hosts,omitempty"`     // bootstrap and gateway hosts, for entry points
	Protocols []string       `json:"protocols,omitempty"` // patterns
	Versions  []string       `json:"versions,omitempty"`  // how the v of Mainline begins, in hexadecimal
}

// common are the agents, and beginnings of v, of programs that anyone may run.
type common struct{ agents, versions []string }

// kinds says which operator each kind of entry is.
var kinds = map[string]Operator{
	"company":     Commercial,
	"malware":     Commercial, // run for gain, on machines of others
	"project":     Community,
	"individual":  Community,
	"association": Community,
	"cooperative": Community,
	"foundation":  Community,
	"university":  Institutional,
	"research":    Institutional,
	"library":     Institutional,
	"government":  Institutional,
}

// fundings are the ways in which an entry lives.
var fundings = []string{"", "venture", "revenue", "grant", "members", "donations", "public", "token"}

// signalKinds are the keys of registry_signals, strongest first.
var signalKinds = []string{"peer_id", "prefix", "asn", "agent", "version", "protocol"}

// Registry lists the entries.
func (r *Rules) Registry() []Entry { return slices.Clone(r.registry) }

// Entry finds an entry of the registry by its ID.
func (r *Rules) Entry(id string) (Entry, bool) {
	i := slices.IndexFunc(r.registry, func(e Entry) bool { return e.ID == id })
	if i < 0 {
		return Entry{}, false
	}
	return r.registry[i], true
}

// Marks are the four marks of the new commercialisation of peer-to-peer.
type Marks struct {
	Company bool `json:"company"` // it is a company first, not a project or community
	Core    bool `json:"core"`    // peer-to-peer is the core of what it does
	Venture bool `json:"venture"` // it lives on venture capital
	Recent  bool `json:"recent"`  // it was founded in or after the year that the rules name
}

// Marks tells which marks an entry bears. What is not known of it is no mark.
func (r *Rules) Marks(e Entry) Marks {
	return Marks{
		Company: e.Kind == "company", Core: e.P2PCore, Venture: e.Funding == "venture",
		Recent: r.recent > 0 && e.Founded >= r.recent,
	}
}

// match returns the strongest signal by which a peer belongs to the entry.
func (e *Entry) match(t Traits, weights map[string]float64) (Evidence, bool) {
	s := e.Signals
	holds := func(prefix netip.Prefix) bool { return prefix.Contains(t.Address.Unmap()) }
	var kind, what, signal, source string
	if i := slices.IndexFunc(s.Prefixes, holds); t.PeerID != "" && slices.Contains(s.PeerIDs, t.PeerID) {
		kind, what, signal, source = "peer_id", "this peer ID", t.PeerID, "peer_ids"
	} else if i >= 0 {
		kind, what, signal, source = "prefix", "addresses of this block", s.Prefixes[i].String(), "prefixes"
	} else if t.ASN != 0 && slices.Contains(s.ASN, t.ASN) {
		kind, what, signal, source = "asn", fmt.Sprintf("AS%d", t.ASN), fmt.Sprint(t.ASN), "asn"
	} else if p, ok := firstMatch(s.Agents, t.Agent, analysis.TrimAgent(t.Agent)); ok {
		kind, what, signal, source = "agent", fmt.Sprintf("agent %q", t.Agent), p, "agents"
	} else if p, ok := firstMatch(s.versionSigns(), t.Protocols...); ok {
		version := strings.TrimSuffix(strings.TrimPrefix(p, versionSign), "*")
		kind, what, signal, source = "version", "a v that begins with "+version, version, "versions"
	} else if p, ok := firstMatch(s.Protocols, t.Protocols...); ok {
		kind, what, signal, source = "protocol", "a protocol of its own", p, "protocols"
	} else {
		return Evidence{}, false
	}
	return Evidence{
		Name: "registry:" + e.ID + ":" + kind, For: e.operator, LogOdds: weights[kind],
		Reason: fmt.Sprintf("%s (%s) is known by %s.", e.Name, e.Kind, what), Source: cmp.Or(e.SourceOf(signal, source), fromLabels),
	}, true
}

// firstMatch returns the first pattern that fits any of the strings.
func firstMatch(patterns []string, any ...string) (string, bool) {
	i := slices.IndexFunc(patterns, func(p string) bool {
		return slices.ContainsFunc(any, func(s string) bool { return match(p, s) })
	})
	if i < 0 {
		return "", false
	}
	return patterns[i], true
}

// versionSign is how the record begins the sign of a Mainline node's v, which
// it keeps in hexadecimal beside other signs where IPFS has protocols.
const versionSign = "v="

// versionSigns are the patterns that fit the signs of the versions.
func (s Signals) versionSigns() (out []string) {
	for _, v := range s.Versions {
		out = append(out, versionSign+v+"*")
	}
	return out
}

// takeRegistry checks and keeps the entries of a file.
func (r *Rules) takeRegistry(raw []byte, c common) error {
	var f struct {
		Entries []entryFile `yaml:"entries"`
	}
	if err := decode(raw, &f); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, in := range f.Entries {
		e, where, err := in.entry()
		if err == nil {
			where, err = e.check(c)
		}
		if err == nil && seen[e.ID] {
			err = errors.New("the id is used twice")
		}
		if err != nil {
			return fmt.Errorf("%sentry %d %q: %w", at(raw, fmt.Sprintf("$.entries[%d]%s", i, where)), i+1, e.ID, err)
		}
		seen[e.ID] = true
		e.operator = kinds[e.Kind]
		r.registry = append(r.registry, e)
	}
	return nil
}

// check refuses an entry that cannot be believed, and says where in it: a YAML
// path that begins with a dot, or nothing for the whole entry.
func (e Entry) check(c common) (where string, err error) {
	if e.ID == "" || e.Name == "" {
		return "", errors.New("id or name is missing")
	}
	if _, ok := kinds[e.Kind]; !ok {
		return "", fmt.Errorf("kind %q is not known", e.Kind)
	}
	if !slices.Contains(fundings, e.Funding) {
		return ".funding", fmt.Errorf("funding %q is not known; known are %v", e.Funding, fundings[1:])
	}
	if err := e.Signals.check(c); err != nil {
		return ".signals", err
	}
	return e.checkSources()
}

// check refuses a signal that would claim everybody.
func (s Signals) check(c common) error {
	for _, p := range append(slices.Clone(s.Agents), s.Protocols...) {
		if len(strings.ReplaceAll(p, "*", "")) < 4 {
			return fmt.Errorf("pattern %q claims everybody: write at least 4 characters besides *", p)
		}
	}
	for _, p := range s.Agents {
		for _, agent := range c.agents {
			if match(p, agent) {
				return fmt.Errorf("agent pattern %q claims everybody: it fits %q, which anyone may run", p, agent)
			}
		}
	}
	for _, p := range s.Prefixes {
		if bits := p.Bits(); bits < 8 || p.Addr().Is6() && bits < 19 {
			return fmt.Errorf("prefix %s claims everybody: want at least /8, or /19 in IPv6", p)
		}
	}
	return s.checkVersions(c)
}

// checkVersions refuses a v that is malformed, or that of a program which
// anyone may run.
func (s Signals) checkVersions(c common) error {
	for _, v := range s.Versions {
		if len(v) < 4 || strings.Trim(v, "0123456789abcdef") != "" {
			return fmt.Errorf("version %q: want the first 2 bytes of v or more, in lower-case hexadecimal", v)
		}
		for _, usual := range c.versions {
			if strings.HasPrefix(v, usual) || strings.HasPrefix(usual, v) {
				return fmt.Errorf("version %q claims everybody: anyone may run what begins with %s", v, usual)
			}
		}
	}
	return nil
}
