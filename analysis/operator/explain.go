package operator

import (
	"fmt"
	"slices"
	"strings"
)

// Change is something that would give another verdict if it were so.
type Change struct {
	If          string   `json:"if"`       // what would have to be so, as the rest of a sentence
	Operator    Operator `json:"operator"` // the verdict then
	Probability float64  `json:"probability"`
}

// Threshold is the probability below which a peer stays undecided.
func (r *Rules) Threshold() float64 { return r.threshold }

// Changes lists what would change the verdict on a peer: the absence of each
// piece of evidence, and other traits that the rules ask for. What would leave
// the kind of operator as it is does not appear.
func (r *Rules) Changes(t Traits) (out []Change) {
	now := r.Judge(t).Operator
	consider := func(v Verdict, format string, args ...any) {
		c := Change{fmt.Sprintf(format, args...), v.Operator, v.Probability}
		if v.Operator != now && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	evidence, entry := r.evidence(t)
	for i, e := range evidence {
		rest := slices.Delete(slices.Clone(evidence), i, i+1)
		consider(r.conclude(rest, entry, t.Organisation), "the evidence %s did not hold", e.Name)
	}
	for _, h := range r.lands() {
		other := t
		other.Hosting = h
		consider(r.Judge(other), "the hosting class of its address were %s", h)
	}
	for _, n := range r.fleets() {
		other := t
		other.Siblings, other.Neighbourhood = n, n
		if n != t.Siblings {
			consider(r.Judge(other), "peers of its agent in its block, itself included, were %d, and alone there", n)
		}
	}
	for i := range r.rules {
		if patterns := r.rules[i].when.Agents; len(patterns) > 0 {
			other := t
			other.Agent = strings.ReplaceAll(patterns[0], "*", "1")
			consider(r.Judge(other), "it announced an agent such as %q", other.Agent)
		}
	}
	for _, k := range decided {
		known := Evidence{Name: "registry", For: k, LogOdds: r.signals["peer_id"]}
		consider(r.conclude(append(slices.Clone(evidence), known), nil, t.Organisation), "the registry listed its peer ID under an entry that is %s", k)
	}
	return out
}

// lands lists the hosting classes that the rules ask for.
func (r *Rules) lands() (out []string) {
	for _, rule := range r.rules {
		out = append(out, rule.when.Hosting...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fleets lists the numbers of siblings at which a rule begins or ends to hold.
func (r *Rules) fleets() (out []int) {
	for _, rule := range r.rules {
		out = append(out, max(1, rule.when.MinSiblings), rule.when.MaxSiblings+1)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
