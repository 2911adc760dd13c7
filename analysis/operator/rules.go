package operator

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"canopy/analysis"
)

// The rules and the registry that Canopy brings along.
var (
	//go:embed rules.yaml
	rulesYAML []byte
	//go:embed registry.yaml
	registryYAML []byte
)

// Rules is a ruleset with its registry, ready to judge. It is immutable and
// safe for concurrent use.
type Rules struct {
	version   string
	threshold float64
	prior     map[Operator]float64
	signals   map[string]float64
	rules     []rule
	registry  []Entry
	recent    int // year from which on an entry counts as formed recently
	trust     int // labelled peers that the probability of each combination of evidence is worth
}

// rule is one piece of evidence and when it holds.
type rule struct {
	Evidence
	when condition
}

// condition is a conjunction; what is absent does not matter.
type condition struct {
	Hosting       []string `yaml:"hosting"`
	Agents        []string `yaml:"agents"` // patterns, any of which fits
	MinSiblings   int      `yaml:"min_siblings"`
	MaxSiblings   int      `yaml:"max_siblings"`
	SiblingsShare float64  `yaml:"min_siblings_share"` // of the neighbourhood
	MinTogether   int      `yaml:"min_together"`
	MinPorts      int      `yaml:"min_ports"`
	MinAgentHere  int      `yaml:"min_agent_here"`
	AgentShare    float64  `yaml:"min_agent_share"` // of the agent's peers anywhere
}

// rulesFile is the form of rules.yaml.
type rulesFile struct {
	Version   string  `yaml:"version"`
	Threshold float64 `yaml:"threshold"`
	Prior     struct {
		Community     float64 `yaml:"community"`
		Commercial    float64 `yaml:"commercial"`
		Institutional float64 `yaml:"institutional"`
		Reason        string  `yaml:"reason"`
	} `yaml:"prior"`
	Recent struct {
		Since  int    `yaml:"since"`
		Reason string `yaml:"reason"`
	} `yaml:"recent"`
	Trust struct {
		Peers  int    `yaml:"peers"`
		Reason string `yaml:"reason"`
	} `yaml:"trust"`
	Common  []string               `yaml:"common_agents"`
	CommonV []string               `yaml:"common_versions"`
	Signals map[string]signalEntry `yaml:"registry_signals"`
	Rules   []ruleEntry            `yaml:"rules"`
}

type ruleEntry struct {
	Name    string    `yaml:"name"`
	When    condition `yaml:"when"`
	For     Operator  `yaml:"for"`
	LogOdds float64   `yaml:"log_odds"`
	Reason  string    `yaml:"reason"`
	Source  string    `yaml:"source"`
}

type signalEntry struct {
	LogOdds float64 `yaml:"log_odds"`
	Reason  string  `yaml:"reason"`
}

// Default returns the rules that Canopy brings along.
func Default() *Rules { return builtin() }

var builtin = sync.OnceValue(func() *Rules {
	r, err := Load(rulesYAML, registryYAML)
	if err != nil {
		panic(err) // a test loads them, so a release cannot hold broken ones
	}
	return r
})

// Files returns the ruleset and the registry that Canopy brings along, as text:
// to change one and [Load] both.
func Files() (rules, registry []byte) { return bytes.Clone(rulesYAML), bytes.Clone(registryYAML) }

// Load reads a ruleset and a registry in the form of rules.yaml and
// registry.yaml beside this file. Unknown keys, rules without reason, registry
// entries without source and signals that claim everybody are errors that name
// the line.
func Load(rules, registry []byte) (*Rules, error) {
	var f rulesFile
	if err := decode(rules, &f); err != nil {
		return nil, fmt.Errorf("read operator rules: %w", err)
	}
	r := &Rules{
		version: f.Version, threshold: f.Threshold, signals: map[string]float64{}, recent: f.Recent.Since, trust: f.Trust.Peers,
		prior: map[Operator]float64{
			Community: f.Prior.Community, Commercial: f.Prior.Commercial, Institutional: f.Prior.Institutional,
		},
	}
	if err := r.takeRules(f, rules); err != nil {
		return nil, fmt.Errorf("read operator rules: %w", err)
	}
	if err := r.takeRegistry(registry, common{f.Common, f.CommonV}); err != nil {
		return nil, fmt.Errorf("read operator registry: %w", err)
	}
	return r, nil
}

// Version names the ruleset; it is stored with every result.
func (r *Rules) Version() string { return r.version }

// Trust is how many labelled peers the probability of one combination of
// evidence is worth: if it says p, the share that is really so has the variance
// p(1-p)/(Trust+1), as after that many peers were seen.
func (r *Rules) Trust() int { return r.trust }

// takeRules checks and keeps the rules of a file.
func (r *Rules) takeRules(f rulesFile, raw []byte) error {
	switch {
	case f.Version == "":
		return errors.New("version is missing")
	case !(f.Threshold > 0.5 && f.Threshold < 1):
		return fmt.Errorf("threshold is %v; want a probability above 0.5 and below 1", f.Threshold)
	case f.Prior.Reason == "":
		return errors.New("the prior gives no reason")
	case f.Recent.Since < 0 || f.Recent.Since > 0 && f.Recent.Reason == "":
		return errors.New("recent: want a year since, and a reason")
	case f.Trust.Peers < 0 || f.Trust.Peers > 0 && f.Trust.Reason == "":
		return errors.New("trust: want a number of peers, and a reason")
	}
	for _, kind := range signalKinds {
		s, ok := f.Signals[kind]
		if !ok || s.Reason == "" || !sound(s.LogOdds) || s.LogOdds < 0 {
			return fmt.Errorf("registry_signals.%s: want log_odds, not negative, and a reason", kind)
		}
		r.signals[kind] = s.LogOdds
	}
	if len(f.Signals) != len(signalKinds) {
		return fmt.Errorf("registry_signals: known are %v", signalKinds)
	}
	seen := map[string]bool{}
	for i, in := range f.Rules {
		err := in.check()
		if err == nil && seen[in.Name] {
			err = errors.New("the name is used twice")
		}
		if err != nil {
			return fmt.Errorf("%srule %d %q: %w", at(raw, fmt.Sprintf("$.rules[%d]", i)), i+1, in.Name, err)
		}
		seen[in.Name] = true
		e := Evidence{Name: in.Name, For: in.For, LogOdds: in.LogOdds, Reason: strings.TrimSpace(in.Reason), Source: in.Source}
		r.rules = append(r.rules, rule{Evidence: e, when: in.When})
	}
	return nil
}

// check refuses a rule that cannot be believed.
func (r ruleEntry) check() error {
	switch {
	case r.Name == "":
		return errors.New("the name is missing")
	case !slices.Contains(decided[:], r.For):
		return fmt.Errorf("for is %q; want one of %v", r.For, decided)
	case r.LogOdds == 0 || !sound(r.LogOdds):
		return errors.New("log_odds is missing or absurd")
	case r.Reason == "" || r.Source == "":
		return errors.New("reason or source is missing")
	case r.When.empty():
		return errors.New("when is empty, so it would claim everybody")
	case !r.When.sound():
		return errors.New("when holds a negative number, or a share that is not between 0 and 1")
	}
	return nil
}

// sound says whether a weight is a number that leaves room for other evidence.
func sound(w float64) bool { return !math.IsNaN(w) && math.Abs(w) <= 10 }

func (c condition) empty() bool {
	return len(c.Hosting) == 0 && len(c.Agents) == 0 && c.MinSiblings == 0 && c.MaxSiblings == 0 && c.SiblingsShare == 0 &&
		c.MinTogether == 0 && c.MinPorts == 0 && c.MinAgentHere == 0 && c.AgentShare == 0
}

// sound says whether every number of the condition can be met.
func (c condition) sound() bool {
	share := func(s float64) bool { return s >= 0 && s <= 1 } // false for NaN
	return c.MinSiblings >= 0 && c.MaxSiblings >= 0 && c.MinTogether >= 0 && c.MinPorts >= 0 && c.MinAgentHere >= 0 && share(c.SiblingsShare) && share(c.AgentShare)
}

// holds says whether a peer meets the condition. What is not known of the peer
// meets no condition on it.
func (c condition) holds(t Traits) bool {
	hosting := cmp.Or(t.Hosting, "unknown")
	switch {
	case len(c.Hosting) > 0 && !slices.Contains(c.Hosting, hosting):
		return false
	case len(c.Agents) > 0 && !matchAny(c.Agents, t.Agent):
		return false
	case c.MinSiblings > 0 && t.Siblings < c.MinSiblings:
		return false
	case c.MaxSiblings > 0 && (t.Siblings == 0 || t.Siblings > c.MaxSiblings):
		return false
	case t.Together < c.MinTogether || t.Ports < c.MinPorts:
		return false
	case c.SiblingsShare > 0 && float64(t.Siblings) < c.SiblingsShare*float64(max(1, t.Neighbourhood)):
		return false
	}
	return c.agentHolds(t)
}

// agentHolds checks where else the agent is met. A peer that names no agent, or
// whose AS is not known, shares nothing with others like it.
func (c condition) agentHolds(t Traits) bool {
	if c.MinAgentHere == 0 && c.AgentShare == 0 {
		return true
	}
	return t.Agent != "" && t.ASN != 0 && t.AgentHere >= c.MinAgentHere && float64(t.AgentHere) >= c.AgentShare*float64(t.AgentAnywhere)
}

// matchAny says whether a pattern fits an agent, as it is or without the slashes
// around it.
func matchAny(patterns []string, agent string) bool {
	_, ok := firstMatch(patterns, agent, analysis.TrimAgent(agent))
	return ok
}

// match compares without regard to case; * in the pattern stands for any
// number of characters. It takes time linear in the pieces of the pattern.
func match(pattern, s string) bool {
	if s == "" {
		return false
	}
	pieces := strings.Split(strings.ToLower(pattern), "*")
	s = strings.ToLower(s)
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return s == first
	}
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	if !strings.HasSuffix(s, last) {
		return false
	}
	s = s[:len(s)-len(last)]
	for _, p := range pieces[1 : len(pieces)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return true
}

// decode reads YAML without tolerance; goccy's errors name line and column.
func decode(raw []byte, into any) error {
	return yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(into)
}

// at finds the line of a YAML path, for messages.
func at(raw []byte, path string) string {
	p, err := yaml.PathString(path)
	if err != nil {
		return ""
	}
	node, err := p.ReadNode(bytes.NewReader(raw))
	if err != nil || node.GetToken() == nil {
		return ""
	}
	return fmt.Sprintf("line %d: ", node.GetToken().Position.Line)
}
