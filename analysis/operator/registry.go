package operator

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
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
	Signals Signals  `yaml:"signals" json:"signals"`
	Sources []string `yaml:"sources" json:"sources"`

	operator Operator
}

// Operator is the kind of operator that the entry is.
func (e Entry) Operator() Operator { return kinds[e.Kind] }

// Signals are what identifies the nodes that an entry runs itself. The agent
// of a program that anyone may run identifies nobody and does not belong here.
type Signals struct {
	Agents    []string       `yaml:"agents" json:"agents,omitempty"`       // patterns
	ASN       []uint32       `yaml:"asn" json:"asn,omitempty"`             // AS that nobody else uses
	Prefixes  []netip.Prefix `yaml:"prefixes" json:"prefixes,omitempty"`   // blocks that nobody else uses
	PeerIDs   []string       `yaml:"peer_ids" json:"peer_ids,omitempty"`   // whole IDs
	Hosts     []string       `yaml:"hosts" json:"hosts,omitempty"`         // bootstrap and gateway hosts, for entry points
	Protocols []string       `yaml:"protocols" json:"protocols,omitempty"` // patterns
}

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
var signalKinds = []string{"peer_id", "prefix", "asn", "agent", "protocol"}

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
	var kind, what string
	switch {
	case t.PeerID != "" && slices.Contains(s.PeerIDs, t.PeerID):
		kind, what = "peer_id", "this peer ID"
	case slices.ContainsFunc(s.Prefixes, func(p netip.Prefix) bool { return p.Contains(t.Address.Unmap()) }):
		kind, what = "prefix", "addresses of this block"
	case t.ASN != 0 && slices.Contains(s.ASN, t.ASN):
		kind, what = "asn", fmt.Sprintf("AS%d", t.ASN)
	case matchAny(s.Agents, t.Agent):
		kind, what = "agent", fmt.Sprintf("agent %q", t.Agent)
	case slices.ContainsFunc(t.Protocols, func(p string) bool { return matchAny(s.Protocols, p) }):
		kind, what = "protocol", "a protocol of its own"
	default:
		return Evidence{}, false
	}
	return Evidence{
		Name: "registry:" + e.ID + ":" + kind, For: e.operator, LogOdds: weights[kind],
		Reason: fmt.Sprintf("%s (%s) is known by %s.", e.Name, e.Kind, what), Source: e.Sources[0],
	}, true
}

// takeRegistry checks and keeps the entries of a file.
func (r *Rules) takeRegistry(raw []byte, common []string) error {
	var f struct {
		Entries []Entry `yaml:"entries"`
	}
	if err := decode(raw, &f); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, e := range f.Entries {
		err := e.check(common)
		if err == nil && seen[e.ID] {
			err = errors.New("the id is used twice")
		}
		if err != nil {
			return fmt.Errorf("%sentry %d %q: %w", at(raw, fmt.Sprintf("$.entries[%d]", i)), i+1, e.ID, err)
		}
		seen[e.ID] = true
		e.operator = kinds[e.Kind]
		r.registry = append(r.registry, e)
	}
	return nil
}

// check refuses an entry that cannot be believed.
func (e Entry) check(common []string) error {
	if e.ID == "" || e.Name == "" {
		return errors.New("id or name is missing")
	}
	if _, ok := kinds[e.Kind]; !ok {
		return fmt.Errorf("kind %q is not known", e.Kind)
	}
	if !slices.Contains(fundings, e.Funding) {
		return fmt.Errorf("funding %q is not known; known are %v", e.Funding, fundings[1:])
	}
	if len(e.Sources) == 0 {
		return errors.New("it gives no source")
	}
	for _, s := range e.Sources {
		if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("source %q is no https address", s)
		}
	}
	return e.Signals.check(common)
}

// check refuses a signal that would claim everybody.
func (s Signals) check(common []string) error {
	for _, p := range append(slices.Clone(s.Agents), s.Protocols...) {
		if len(strings.ReplaceAll(p, "*", "")) < 4 {
			return fmt.Errorf("pattern %q claims everybody: write at least 4 characters besides *", p)
		}
	}
	for _, p := range s.Agents {
		for _, agent := range common {
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
	if slices.Contains(s.ASN, 0) {
		return errors.New("AS 0 claims everybody that is not routed")
	}
	return nil
}
