package dataset

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"canopy/analysis"
	"canopy/analysis/identity"
	"canopy/analysis/operator"
	"canopy/analysis/reachability"
)

// label is who runs a peer, as it is published: of few probabilities.
type label struct {
	operator, leaning, name string
	probability             float64
}

// stated is a probability in steps of 0.05. Of a decided verdict the chance of
// error is rounded up, below 0.05 to 1, 2 or 5 parts in a power of ten: bounds
// made of it are wider than those of the report, never narrower.
func stated(v operator.Verdict) float64 {
	wrong := 1 - v.Probability
	if v.Operator == operator.Unknown {
		return math.Round(v.Probability*20) / 20
	}
	for _, step := range [...]float64{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05} {
		if wrong <= step+1e-12 {
			return 1 - step
		}
	}
	return math.Floor(v.Probability*20+1e-9) / 20
}

// upTo is the label as far as depth says.
func (l label) upTo(depth int) label {
	if depth <= levelOperator {
		return label{}
	}
	if depth <= levelName {
		l.name = ""
	}
	if depth <= levelProbability {
		l.probability = 0
	}
	return l
}

// group is the crawls of one network and scope, and all that is known of its
// peers before they become pseudonyms.
type group struct {
	network, scope string
	crawls         []reachability.Crawl
	used           []string // crawls that shares are made of
	totals         []int    // reachable peers of each of them
	counted        analysis.Querier

	labels  []label
	numbers [][2]int64                 // of labels: what stands for kind and leaning, and for the name
	judged  map[uint64]int32           // sipHash64 of a peer's ID to its place in labels
	aside   map[uint64]identity.Reason // why a peer is in no share
	planted map[uint64]bool            // our own nodes
	cells   *cells                     // nil when nothing is suppressed
	hidden  map[netip.Prefix]bool      // places whose prefix is withheld
	agents  map[string]agentName
	dropped map[string]map[uint32]bool // numbers of visits that were left out, by crawl
}

// agentName is what is published of an agent.
type agentName struct {
	agent, client   string
	number, program int64
}

func (g *group) name() string { return g.network + " (" + g.scope + ")" }

// where selects the visits of the group's crawls.
func (g *group) where() string {
	return fmt.Sprintf("network = %s AND crawl_id IN (SELECT toUUID(arrayJoin(%s)))", literal(g.network), literals(g.ids()))
}

func (g *group) ids() []string {
	ids := make([]string, len(g.crawls))
	for i, c := range g.crawls {
		ids[i] = c.ID
	}
	return ids
}

// plan finds out what is to be published, and labels it.
func (x *exporter) plan(ctx context.Context) error {
	crawls, err := reachability.Crawls(ctx, x.record, x.Window)
	if err != nil {
		return err
	}
	at := map[[2]string]*group{}
	for _, c := range crawls {
		if !c.Finished() {
			x.sum.Unfinished++
			continue
		}
		key := [2]string{c.Network, c.Scope}
		if at[key] == nil {
			at[key] = &group{network: c.Network, scope: c.Scope, judged: map[uint64]int32{}, planted: map[uint64]bool{}, agents: map[string]agentName{}, dropped: map[string]map[uint32]bool{}}
			x.groups = append(x.groups, at[key])
		}
		at[key].crawls = append(at[key].crawls, c)
	}
	if len(x.groups) == 0 {
		return ErrNoCrawl
	}
	all := x.groups
	x.groups = nil
	for _, g := range all {
		for _, step := range []func(context.Context, *group) error{x.judge, x.findPlanted, x.count, x.admit} {
			if err := step(ctx, g); err != nil {
				return fmt.Errorf("%s: %w", clean(g.name()), err)
			}
		}
	}
	if len(x.groups) == 0 {
		return ErrTooFew
	}
	return x.credit(ctx)
}

// credit names the data sets that the facts of the published networks came from,
// beside those that the caller knows the terms of.
func (x *exporter) credit(ctx context.Context) error {
	lines := slices.Clone(x.Attributions)
	for _, g := range x.groups {
		err := x.record.Stream(ctx, "SELECT DISTINCT toString(facts_source) AS source, toString(facts_date) AS date FROM visits WHERE facts_source != '' AND "+g.where()+" ORDER BY source, date", func(columns []any) error {
			dates := columns[1].([]string)
			for i, source := range columns[0].([]string) {
				known := func(line string) bool { return strings.HasPrefix(line, source+" of ") }
				if !slices.ContainsFunc(lines, known) {
					lines = append(lines, fmt.Sprintf("%s of %s; its terms are not known here: ask where it comes from before you publish this", source, dates[i]))
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("name the sources of facts: %w", err)
		}
	}
	x.Attributions = lines
	return nil
}

// admit publishes a network that is large enough; of another not even the crawls
// are, since they tell how many peers it has.
func (x *exporter) admit(ctx context.Context, g *group) error {
	if g.cells == nil || g.cells.nodes[0].published {
		x.groups = append(x.groups, g)
		return nil
	}
	return x.record.Stream(ctx, "SELECT toInt64(count()) FROM visits WHERE "+g.where(), func(columns []any) error {
		x.sum.Dropped += columns[0].([]int64)[0]
		return nil
	})
}

// judge labels every peer that counts in shares, as a report does.
func (x *exporter) judge(ctx context.Context, g *group) error {
	x.Progress(Progress{Table: "labels of " + clean(g.name())})
	for _, c := range g.crawls {
		if c.Snapshot() && c.Reachable > 0 {
			g.used = append(g.used, c.ID)
		}
	}
	aside, err := identity.DefaultLimits().SetAside(ctx, x.record, g.network, g.used)
	if err != nil {
		return err
	}
	if g.aside, err = aside.Members(ctx, x.record); err != nil {
		return err
	}
	var used []string
	for t, id := range g.used {
		if aside.SetAside[t] == 0 || aside.SetAside[t] < aside.Answered[t] {
			used = append(used, id)
		}
	}
	g.used, g.counted = used, aside.Without(x.record)
	c := newCells()
	g.cells = c
	places := map[label]int32{}
	g.totals, err = operator.Members(ctx, g.counted, x.Rules, g.network, g.used, func(v operator.Verdict, members []uint64) {
		l := label{string(v.Operator), string(v.Leaning), clean(v.Name), stated(v)}
		place, ok := places[l]
		if !ok {
			place = int32(len(g.labels))
			places[l] = place
			g.labels = append(g.labels, l)
			g.numbers = append(g.numbers, [2]int64{c.learn("kind " + l.operator + " " + l.leaning), c.learn("name " + l.name)})
		}
		for _, m := range members {
			g.judged[m] = place
		}
	})
	return err
}

// findPlanted finds our own nodes.
func (x *exporter) findPlanted(ctx context.Context, g *group) error {
	return x.record.Stream(ctx, "SELECT DISTINCT sipHash64(peer_id) FROM marks WHERE kind = 'planted' AND network = "+literal(g.network), func(columns []any) error {
		for _, unit := range columns[0].([]uint64) {
			g.planted[unit] = true
		}
		return nil
	})
}

// peersAtOnce is about how many peers one answer holds.
const peersAtOnce = 2_000_000

// cellsSQL reads where each peer was seen last. The first %s is of which visits,
// the second is a number that only one of them has, the third and fourth say
// which part of the peers, the last is the number of a peer's last visit.
const cellsSQL = `
SELECT sipHash64(peer_id), hosting, country, asn, organisation, agent, address, prefix
FROM visits
WHERE %[1]s AND %[2]s IN (
    SELECT %[5]s
    FROM visits
    WHERE %[1]s AND sipHash64(peer_id) %% %[3]d = %[4]d
    GROUP BY sipHash64(peer_id)
)`

// cellsQuery reads one of some parts of the peers of the group.
func (g *group) cellsQuery(parts, part uint64) string {
	key := analysis.VisitKey(literals(g.ids()))
	answeredLast := "toUnixTimestamp64Milli(visited_at) + if(outcome = 'answered', 4611686018427387904, 0)"
	return fmt.Sprintf(cellsSQL, g.where(), key, parts, part, analysis.LastKey(answeredLast, key))
}

// parts is in how many parts the peers of the group are read: those of its
// largest crawl, and some of the others, in which most come again.
func (g *group) parts() uint64 {
	var largest, sum uint64
	for _, crawl := range g.crawls {
		largest, sum = max(largest, uint64(crawl.Discovered)), sum+uint64(crawl.Discovered)
	}
	return (largest+(sum-largest)/8)/peersAtOnce + 1
}

// count fills the tree of cells, in which each peer counts where it was seen
// last.
func (x *exporter) count(ctx context.Context, g *group) error {
	x.Progress(Progress{Table: "cells of " + clean(g.name())})
	c := g.cells
	var peers []placed
	for i := range g.parts() {
		err := x.record.Stream(ctx, g.cellsQuery(g.parts(), i), func(columns []any) error {
			hosting, country, asn := columns[1].([]string), columns[2].([]string), columns[3].([]uint32)
			organisation, agent, address, announced := columns[4].([]string), columns[5].([]string), columns[6].([]netip.Addr), columns[7].([]string)
			for i, unit := range columns[0].([]uint64) {
				if g.planted[unit] || x.own(address[i]) {
					continue
				}
				a := g.agents[agent[i]]
				if a == (agentName{}) {
					a = newAgent(c, agent[i])
					g.agents[strings.Clone(agent[i])] = a
				}
				kind, name, chance := g.labelNumbers(unit)
				leaf := c.add(traits{
					levelHosting: c.learn(hosting[i]), levelOperator: kind, levelCountry: c.learn(country[i]), levelASN: int64(asn[i]), levelOrganisation: c.learn(organisation[i]),
					levelName: name, levelProbability: chance, levelClient: a.program, levelAgent: a.number, levelPrefix: prefixNumber(truncated(address[i])),
				})
				peers = append(peers, placed{leaf, locate(address[i], announced[i])})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("count peers in cells: %w", err)
		}
	}
	if x.Raw {
		g.cells = nil
		return nil
	}
	c.close(Smallest)
	g.hidden = c.align(peers, Smallest)
	return nil
}

func newAgent(c *cells, agent string) agentName {
	program := analysis.Client(agent)
	return agentName{agent: clean(agent), client: clean(program), number: c.learn(agent), program: c.learn(program)}
}

// labelNumbers stand for the kind of operator, its name and the probability of
// the label of a peer, -1 for none.
func (g *group) labelNumbers(unit uint64) (kind, name, chance int64) {
	place, ok := g.judged[unit]
	if !ok {
		return -1, -1, -1
	}
	return g.numbers[place][0], g.numbers[place][1], int64(math.Round(1e4 * g.labels[place].probability))
}

// own says whether an address is the observer's.
func (x *exporter) own(a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range x.Own {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
