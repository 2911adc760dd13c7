package findability

import (
	"fmt"
	"strings"
)

// Answer says in one or two sentences whether newcomers could still enter if
// entry points vanished. legible makes a name from the record harmless to show.
func (n Newcomers) Answer(legible func(string) string) string {
	switch {
	case n.All.Times == 0 && len(n.Sufficient) == 0:
		return "Whether newcomers can enter was not tried."
	case len(n.Sufficient) == 0 && n.All.Yes == 0:
		return "Newcomers could not enter: no start at the entry points that clients ship with led into the network."
	case len(n.Sufficient) == 0:
		return "Newcomers could enter by all entry points together, and by no single one in most starts."
	case len(n.Runners) == 1:
		return fmt.Sprintf("Newcomers depend on %s: if it vanished, no entry point that clients ship with would lead into the network.", legible(n.Runners[0].Name))
	case len(n.Sufficient) == 1:
		return fmt.Sprintf("Newcomers depend on one entry point, %s.", legible(n.Sufficient[0]))
	}
	return fmt.Sprintf("If any one of those who run the entry points vanished, newcomers could still enter: %d run one each that is enough alone. "+
		"If all did, a newcomer would need an address from elsewhere.", len(n.Runners))
}

// Doubts say what the answer rests on, with n and intervals.
func (n Newcomers) Doubts(legible func(string) string) []string {
	var all []string
	if n.Listed > 0 {
		all = append(all, fmt.Sprintf("Of %d entry points that clients ship with, %d answered when last asked, and %d led into the network alone in most starts.",
			n.Listed, n.Live, len(n.Sufficient)))
	}
	if len(n.Runners) > 0 {
		var names []string
		for _, p := range n.Runners {
			names = append(names, fmt.Sprintf("%s (%d)", legible(p.Name), len(p.Entries)))
		}
		all = append(all, "Who runs those, by the registry, or else whose network they stand in: "+strings.Join(names, ", ")+".")
	}
	if n.All.Times > 0 {
		all = append(all, "With all of them "+n.All.words()+".")
	}
	if n.Remembered.Times > 0 {
		all = append(all, "With none of them, but at peers of an earlier crawl, as a client starts that was here before, "+n.Remembered.words()+".")
	} else {
		all = append(all, "Whether those who were here before could return was not tried: the record holds no whole crawl to take peers from.")
	}
	return all
}

// words writes a share of starts with its doubt.
func (c Checks) words() string {
	return fmt.Sprintf("%d of %d starts led into the network (95 %% interval %.0f to %.0f %%)", c.Yes, c.Times, 100*c.Share.Lower, 100*c.Share.Upper)
}

// Methods, in one sentence each.
const (
	SearchMethod = "a lookup that begins at entry points only, with nothing remembered, asks ever closer nodes until those closest to the key have answered; " +
		"content is found when one of them names somebody who has it, and not found when they answer and nobody does"
	StartMethod = "a start leads into the network when a lookup of a random key, begun there, is answered by as many of the closest nodes as a bucket holds, and half as many that are no entry points; " +
		"an entry point is enough alone when more than half of the starts with it alone do"
	FilterMethod = "seeds and downloaders by the union of the Bloom filters of all nodes that gave one, inverted (BEP 33); full filters are left out"
)
