package operator

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"canopy/analysis"
)

// Group is reachable peers that are alike in land and verdict. The weight a of
// a peer is the sum, over the crawls in which it was reachable, of one over the
// number of reachable peers of that crawl.
type Group struct {
	Verdict      Verdict `json:"verdict"`
	Hosting      string  `json:"hosting"`
	ASN          uint32  `json:"asn"` // 0 when unknown
	Organisation string  `json:"organisation"`
	Country      string  `json:"country"`
	Marks        Marks   `json:"marks"`   // of the registry entry that the verdict names
	Peers        int     `json:"peers"`   // distinct peers
	Counts       []int   `json:"counts"`  // reachable peers in each crawl
	Weight       float64 `json:"weight"`  // sum of a over its peers
	Squares      float64 `json:"squares"` // sum of a² over its peers
}

// Census is every reachable peer of some crawls of one network, judged.
type Census struct {
	Rules  string  `json:"rules"`  // version of the ruleset
	Totals []int   `json:"totals"` // reachable peers of each crawl
	Groups []Group `json:"groups"` // heaviest first
}

// Record reads the peers that answered in the given crawls of one network,
// which are in order of time, and judges them. Every peer counts once in each
// crawl, whatever the number of endpoints that claim its ID, and has the traits
// that it showed when it answered last. The record holds facts of one address
// per visit, so a peer with addresses of several classes stands under the one
// that answered.
func Record(ctx context.Context, q analysis.Querier, r *Rules, network string, crawls []string) (*Census, error) {
	return RecordMembers(ctx, q, r, network, crawls, nil)
}

// RecordMembers reads as [Record] does, and on the way tells of each verdict
// whose it is, as [Members] does, unless each is nil.
func RecordMembers(ctx context.Context, q analysis.Querier, r *Rules, network string, crawls []string, each func(v Verdict, members []uint64)) (*Census, error) {
	found, err := r.read(ctx, q, network, crawls)
	if err != nil {
		return nil, fmt.Errorf("read traits of peers: %w", err)
	}
	c := &Census{Rules: r.version, Totals: found.totals()}
	groups := map[string]*Group{}
	for k := range found.kin(r, c.Totals) {
		g := k.group
		g.Verdict = r.Judge(k.traits)
		if entry, ok := r.Entry(g.Verdict.Entry); ok {
			g.Marks = r.Marks(entry)
		}
		if each != nil {
			each(g.Verdict, k.members)
		}
		merge(groups, g)
	}
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		c.Groups = append(c.Groups, *groups[k])
	}
	slices.SortStableFunc(c.Groups, func(a, b Group) int { return cmp.Compare(b.Weight, a.Weight) })
	return c, nil
}

// caution is how many times its stated chance of error a verdict is allowed to
// err in [Bound]. Plans with twice the planned number of peers that stand where
// nobody would look for them stay inside.
const caution = 2

// Bound returns between which shares, of the weight of all groups, the peers of
// one kind of operator lie: at least those that are judged so, at most those
// and all undecided, each verdict allowed twice its stated chance of error.
func Bound(groups []Group, kind Operator) (lower, upper float64) {
	var all, sure, open float64
	for _, g := range groups {
		all += g.Weight
		right := max(0, 1-caution*(1-g.Verdict.Probability))
		switch g.Verdict.Operator {
		case kind:
			sure += right * g.Weight
			open += (1 - right) * g.Weight
		case Unknown:
			open += g.Weight
		default:
			open += (1 - right) * g.Weight
		}
	}
	if all == 0 {
		return 0, 1
	}
	return sure / all, (sure + open) / all
}

// merge adds a group to the one with the same land and reasons.
func merge(groups map[string]*Group, g Group) {
	key := fmt.Sprintf("%s\x00%d\x00%s\x00%s\x00%s", g.Hosting, g.ASN, g.Organisation, g.Country, g.Verdict.Name)
	for _, e := range g.Verdict.Evidence {
		key += "\x00" + e.Name
	}
	have, ok := groups[key]
	if !ok {
		groups[key] = &g
		return
	}
	have.Peers += g.Peers
	have.Weight += g.Weight
	have.Squares += g.Squares
	for t := range have.Counts {
		have.Counts[t] += g.Counts[t]
	}
}
