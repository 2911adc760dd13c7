package reports

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"canopy/analysis"
	"canopy/analysis/operator"
	"canopy/analysis/reachability"
	"canopy/analysis/shares"
	"canopy/reports/page"
)

// Registered is an entry of the operator registry that runs some of the peers.
type Registered struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Kind    string            `json:"kind"`
	Founded int               `json:"founded,omitempty"`
	Funding string            `json:"funding,omitempty"`
	Runs    string            `json:"runs,omitempty"`
	Sources []operator.Source `json:"sources"`
	Marks   operator.Marks    `json:"marks"`
	Share   analysis.Estimate `json:"share"`
}

// Capability is the share of peers that can do something, of those asked.
type Capability struct {
	reachability.Capability
	Share analysis.Estimate `json:"share"`
}

// bounded widens the bound of each kind of operator by the error that the
// evidence is allowed, in census.
func bounded(decided []Judged, census []operator.Group) []Judged {
	list := slices.Clone(decided)
	for i, o := range list {
		lower, upper := operator.Bound(census, operator.Operator(o.Class))
		list[i].AtLeast = scaled(o.AtLeast, lower)
		list[i].AtMost = flipped(scaled(flipped(o.AtMost), 1-upper))
		for _, e := range []*analysis.Estimate{&list[i].AtLeast, &list[i].AtMost} {
			e.Method += "; each verdict is allowed twice its stated chance of error"
		}
	}
	return list
}

// scaled moves a share down to a value, and its interval with it.
func scaled(e analysis.Estimate, value float64) analysis.Estimate {
	if e.Value <= value || e.Value == 0 {
		return e
	}
	by := max(0, value) / e.Value
	e.Value, e.Lower, e.Upper = e.Value*by, e.Lower*by, e.Upper*by
	return e
}

// flipped is the share of all others.
func flipped(e analysis.Estimate) analysis.Estimate {
	e.Value, e.Lower, e.Upper = 1-e.Value, 1-e.Upper, 1-e.Lower
	return e
}

// register fills in which entries of the registry run peers, and the share run
// by companies that live on venture capital and whose core is peer-to-peer.
func (n *Network) register(all []peers, rules *operator.Rules) error {
	groups := make([]shares.Group, len(all))
	ids := map[string]bool{}
	for i, p := range all {
		groups[i] = p.Group
		if p.Entry != "" {
			ids[p.Entry] = true
		}
	}
	s, err := shares.NewSample("reachable peers", groups)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		e, ok := rules.Entry(id)
		if !ok {
			continue
		}
		n.Registered = append(n.Registered, Registered{
			ID: e.ID, Name: e.Name, Kind: e.Kind, Founded: e.Founded, Funding: e.Funding, Runs: e.Runs, Sources: e.Sources, Marks: rules.Marks(e),
			Share: s.Share(func(i int) bool { return all[i].Entry == id }),
		})
	}
	slices.SortStableFunc(n.Registered, func(a, b Registered) int { return cmp.Compare(b.Share.Value, a.Share.Value) })
	venture := s.Share(func(i int) bool { return all[i].Marks.Company && all[i].Marks.Core && all[i].Marks.Venture })
	n.Venture = &venture
	return nil
}

// readCapabilities fills in what those asked can do.
func (n *Network) readCapabilities(ctx context.Context, q analysis.Querier) error {
	list, err := reachability.Capabilities(ctx, q, n.Name, n.Used)
	for _, c := range list {
		n.Capabilities = append(n.Capabilities, Capability{c, shares.Proportion(c.Able, c.Asked, "share of the reachable peers that were asked", "reachable peers that were asked")})
	}
	return err
}

// bounds are the shares of operators with all that is open: of a report made
// before this was told apart, as far as the evidence decides.
func (n *Network) bounds() []Judged {
	if len(n.Bounds) > 0 {
		return n.Bounds
	}
	return n.Operator
}

// entryID is where the page tells of a registry entry.
func (n *Network) entryID(id string) string { return n.slug + "-entry-" + id }

// registry lists the entries that run peers, each with its sources.
func (v view) registry() []page.Block {
	if v.published {
		return text("A published dataset names no entries of the registry, only whose peers they were judged to be.")
	}
	var words string
	if v.Venture.Value > 0 {
		words = fmt.Sprintf("Companies that live on venture capital and whose core is peer-to-peer run at least %s of the reachable peers.", percentInterval(*v.Venture))
	} else {
		words = fmt.Sprintf("No reachable peer is known to be run by a company that lives on venture capital and whose core is peer-to-peer; the interval reaches up to %s"+nbsp+"%%.",
			number(v.Venture.Upper, decimals(*v.Venture)))
	}
	blocks := text("%s", words)
	if len(v.Registered) == 0 {
		return append(blocks, text("Nobody in the registry of known operators could be found among the peers.")...)
	}
	var terms []page.Term
	for _, e := range v.Registered {
		about := []string{e.Kind}
		if e.Founded > 0 {
			about = append(about, fmt.Sprintf("founded %d", e.Founded))
		}
		if e.Funding != "" {
			about = append(about, "lives on "+e.Funding)
		}
		term := page.Term{ID: v.entryID(e.ID), Name: legible(e.Name), Meaning: fmt.Sprintf("%s of the reachable peers. %s.", percentInterval(e.Share), sentence(legible(strings.Join(about, ", "))))}
		if e.Runs != "" {
			term.Meaning += " " + sentence(legible(e.Runs)) + "."
		}
		for _, source := range e.Sources {
			words := "source"
			if len(source.For) > 0 { // a report of before this was told has none
				words += " for " + legible(strings.ReplaceAll(strings.Join(source.For, ", "), "_", " "))
			}
			term.Links = append(term.Links, page.Link{Text: words, URL: source.URL, About: "of " + legible(e.Name)})
		}
		terms = append(terms, term)
	}
	return append(blocks, page.Block{Text: "Known operators, by entries of the registry that comes with the program:"}, page.Block{Terms: terms})
}

// entryOf is the link to the entry of a name, empty if it has none.
func (v view) entryOf(name string) string {
	for _, e := range v.Registered {
		if e.Name == name {
			return page.Within(v.entryID(e.ID))
		}
	}
	return ""
}

// capabilities tells what those asked can do, and nothing if none was asked.
func (v view) capabilities() []page.Block {
	if len(v.Capabilities) == 0 {
		return nil
	}
	var rows [][]string
	for _, c := range v.Capabilities {
		rows = append(rows, []string{capabilityLabel(c.Name), count(c.Asked), percentInterval(c.Share)})
	}
	return table("What reachable peers can do, asked of a random part of them, with 95\u00a0% Wilson intervals. Each peer counts once, as able if it ever was.",
		[]string{"Capability", "peers asked", "able"}, rows)
}

func capabilityLabel(name string) string {
	if what, ok := map[string]string{
		"bep51": "names a sample of what it indexes (BEP 51)", "bep33": "estimates the size of swarms (BEP 33)", "bep32": "IPv6 (BEP 32)", "ipv6": "names IPv6 nodes (BEP 32)",
	}[name]; ok {
		return what
	}
	return legible(name)
}
