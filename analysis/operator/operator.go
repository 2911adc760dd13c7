// Package operator judges who runs a peer, with evidence. Whose land a peer
// stands on is another question: a hobbyist's rented server is a community
// node on commercial land.
//
// A judgement is a sum of named log-odds, each with its reason, from a ruleset
// that carries a version and a registry of who runs things in peer-to-peer.
// Both are YAML that a reader can check and a user can replace. Undecided is
// an answer. [Record] makes the visits of a period into judged groups.
package operator

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"canopy/crawler/identifier"
)

// Operator is the kind of who runs a peer.
type Operator string

// The kinds of operator.
const (
	Community     Operator = "community"     // people, for themselves or each other
	Commercial    Operator = "commercial"    // a company, as its business
	Institutional Operator = "institutional" // university, research, government, library
	Unknown       Operator = "unknown"       // the evidence does not decide
)

// Operators lists every kind in the order in which reports show them.
func Operators() []Operator { return []Operator{Community, Institutional, Commercial, Unknown} }

// decided lists the kinds that evidence can speak for.
var decided = [...]Operator{Community, Commercial, Institutional}

// Traits is what the record knows of one peer, or of a group of peers that
// are alike.
type Traits struct {
	Agent         string
	Protocols     []string
	PeerID        string
	ASN           uint32
	Organisation  string
	Country       string
	Hosting       string // as the record has it, such as "residential"
	Prefix        netip.Prefix
	Address       netip.Addr
	Siblings      int // peers of the same agent in the same /24 or /56, itself included; 0 when not known
	Neighbourhood int // peers in the same /24 or /56, itself included; 0 when not known
	Together      int // siblings that answered in exactly the same of 3 crawls or more, itself included; 0 when it was in all of them, or not known
	Ports         int // siblings, at most 256, on one port that is not usual in the network, or on ports in a row of which none is
	AgentHere     int // peers of the same agent in the same AS, itself included; 0 when not known
	AgentAnywhere int // peers of the same agent in the network, itself included; 0 when not known
}

// Evidence is one reason for a verdict.
type Evidence struct {
	Name    string   `json:"name"`     // of the rule, or registry:entry:signal
	For     Operator `json:"for"`      // the kind it speaks for
	LogOdds float64  `json:"log_odds"` // natural logarithm; negative speaks against
	Reason  string   `json:"reason"`
	Source  string   `json:"source"`
}

// Verdict is who runs a peer, how sure that is, and why.
type Verdict struct {
	Operator    Operator   `json:"operator"`
	Name        string     `json:"name,omitempty"`  // registry entry, or the organisation whose fleet it is
	Entry       string     `json:"entry,omitempty"` // ID of the registry entry that Name comes from
	Leaning     Operator   `json:"leaning"`         // the likeliest kind, also when undecided; Unknown without evidence
	Probability float64    `json:"probability"`     // of Leaning
	LogOdds     float64    `json:"log_odds"`        // of Leaning against the rest
	Evidence    []Evidence `json:"evidence"`        // strongest first; empty means that nothing is known

	Chances map[Operator]float64 `json:"chances,omitempty"` // probability of each kind, that of the prior without evidence; nil where no more than Leaning is known
}

// Chance is the probability that the peer is run by one kind of operator.
// Where only the likeliest kind is known the rest is divided between the
// others, and where nothing is known between all.
func (v Verdict) Chance(kind Operator) float64 {
	switch {
	case v.Chances != nil:
		return v.Chances[kind]
	case v.Leaning == Unknown || v.Leaning == "":
		return 1 / float64(len(decided))
	case v.Leaning == kind:
		return v.Probability
	}
	return (1 - v.Probability) / float64(len(decided)-1)
}

// Judge says who runs a peer. The score of each kind is its prior plus the
// log-odds of the evidence that speaks for it; probabilities are their softmax.
// The verdict is undecided when the likeliest kind stays below the ruleset's
// threshold or there is no evidence at all.
func (r *Rules) Judge(t Traits) Verdict {
	evidence, entry := r.evidence(t)
	return r.conclude(evidence, entry, t.Organisation)
}

// conclude makes a verdict of evidence. entry may be nil; organisation is
// whose land a company's fleet stands on.
func (r *Rules) conclude(evidence []Evidence, entry *Entry, organisation string) Verdict {
	if len(evidence) == 0 {
		_, chances := r.weigh(nil) // the prior alone, which is no verdict
		return Verdict{Operator: Unknown, Leaning: Unknown, Chances: chances}
	}
	slices.SortStableFunc(evidence, func(a, b Evidence) int {
		return cmp.Compare(math.Abs(b.LogOdds), math.Abs(a.LogOdds))
	})
	leaning, chances := r.weigh(evidence)
	p := chances[leaning]
	v := Verdict{Operator: Unknown, Leaning: leaning, Probability: p, LogOdds: math.Log(p / (1 - p)), Evidence: evidence, Chances: chances}
	if p < r.threshold {
		return v
	}
	v.Operator = leaning
	switch {
	case entry != nil && entry.operator == leaning:
		v.Name, v.Entry = entry.Name, entry.ID
	case leaning == Commercial:
		v.Name = organisation
	}
	return v
}

// maxScore keeps probabilities apart from 0 and 1: no evidence is perfect.
const maxScore = 20

// weigh returns the likeliest kind and the probability of each.
func (r *Rules) weigh(evidence []Evidence) (Operator, map[Operator]float64) {
	score := map[Operator]float64{}
	for _, k := range decided {
		score[k] = r.prior[k]
	}
	for _, e := range evidence {
		score[e.For] += e.LogOdds
	}
	best, sum := decided[0], 0.0
	for _, k := range decided {
		score[k] = max(-maxScore, min(maxScore, score[k]))
		sum += math.Exp(score[k])
		if score[k] > score[best] {
			best = k
		}
	}
	for _, k := range decided {
		score[k] = math.Exp(score[k]) / sum
	}
	return best, score
}

// evidence collects what speaks for each kind, and the registry entry with the
// strongest signal, nil if none matches.
func (r *Rules) evidence(t Traits) (out []Evidence, strongest *Entry) {
	if t.PeerID != "" {
		t.PeerID = identifier.Recorded(t.PeerID)
	}
	for i := range r.rules {
		if rule := &r.rules[i]; rule.when.holds(t) {
			out = append(out, rule.Evidence)
		}
	}
	most := 0.0
	for i := range r.registry {
		entry := &r.registry[i]
		if e, ok := entry.match(t, r.signals); ok {
			out = append(out, e)
			if e.LogOdds > most {
				most, strongest = e.LogOdds, entry
			}
		}
	}
	return out, strongest
}
