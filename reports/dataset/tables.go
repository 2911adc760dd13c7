package dataset

import (
	"context"
	"fmt"
	"strings"

	"canopy/analysis"
	"canopy/analysis/reachability"
)

// crawlRow is one crawl.
type crawlRow struct {
	reachability.Crawl
	dropped int64
}

var crawlsForm = newForm("crawls", "One row per crawl that has ended: one walk of one network, meant as one snapshot.",
	words("network", "mainline, ipfs", func(c *crawlRow) string { return clean(c.Network) }),
	texts("crawl_id", "UUID version 7: sorts by start", func(c *crawlRow) string { return c.ID }),
	words("vantage", "the steward's name for where the crawl looked from", func(c *crawlRow) string { return clean(c.Vantage) }),
	words("scope", "global, or local: a synthetic network, never a public figure", func(c *crawlRow) string { return c.Scope }),
	words("zone", "BITS/PREFIX of the key space that was walked, empty: all of it; such a crawl is no snapshot of the network", func(c *crawlRow) string { return clean(c.Zone) }),
	moments("started_at", "", func(c *crawlRow) int64 { return c.StartedAt.UnixMilli() }),
	moments("ended_at", "", func(c *crawlRow) int64 { return c.StartedAt.Add(c.Duration).UnixMilli() }),
	words("state", "complete; cut_short: holds whoever was met first; degraded: trouble of the observer's own may have hidden living peers", func(c *crawlRow) string { return c.State }),
	wholes("discovered", "peers named by somebody", func(c *crawlRow) int64 { return int64(c.Discovered) }),
	wholes("reachable", "peers that answered with the identity asked for", func(c *crawlRow) int64 { return int64(c.Reachable) }),
	wholes("queries", "requests sent", func(c *crawlRow) int64 { return int64(c.Queries) }),
	words("software", "program and version", func(c *crawlRow) string { return clean(c.Software) }),
	texts("settings", "JSON: the description of the network, and the limits that are numbers", func(c *crawlRow) string { return c.Settings }),
	texts("notes", "what a reader must know, one sentence each; addresses, identities and folders are withheld", func(c *crawlRow) string { return strings.Join(c.Notes, " ") }),
	wholes("left_out", "visits of the crawl that are not in this dataset: the observer's own nodes and addresses, and networks of fewer than 5 peers", func(c *crawlRow) int64 { return c.dropped }),
)

func (x *exporter) writeCrawls(ctx context.Context) error {
	var list []crawlRow
	for _, g := range x.groups {
		for _, c := range g.crawls {
			row := crawlRow{Crawl: c, dropped: int64(len(g.dropped[c.ID]))}
			if !x.Raw {
				row.Crawl = c.Public()
				for i, note := range row.Notes {
					row.Notes[i] = clean(note)
				}
			}
			list = append(list, row)
		}
	}
	return writeAll(ctx, x, crawlsForm, list)
}

// edgeRow is one routing table.
type edgeRow struct {
	network, crawl string
	peer           uint32
	neighbours     []uint32
	partial        uint8
}

var edgesForm = newForm("edges", "Routing tables as far as they were read, one row per peer that answered in a crawl that kept them.",
	words("network", "as in crawls", func(e *edgeRow) string { return e.network }),
	words("crawl_id", "as in crawls", func(e *edgeRow) string { return e.crawl }),
	wholes("peer", "visits.number of the peer asked", func(e *edgeRow) int64 { return int64(e.peer) }),
	lists("neighbours", "visits.number of the peers it named, ascending", func(e *edgeRow) []uint32 { return e.neighbours }),
	wholes("partial", "1: some of the table could not be read", func(e *edgeRow) int64 { return int64(e.partial) }),
)

// tablesAtOnce is how many numbers of peers one part of the edges covers.
const tablesAtOnce = 16_384

func (x *exporter) writeEdges(ctx context.Context) error {
	var parts []part
	for _, g := range x.groups {
		for _, c := range g.crawls {
			last := int64(-1)
			query := fmt.Sprintf("SELECT toInt64(max(peer)) FROM edges_log WHERE network = %s AND crawl_id = toUUID('%s') HAVING count() > 0", literal(g.network), c.ID)
			err := x.record.Stream(ctx, query, func(columns []any) error {
				last = columns[0].([]int64)[0]
				return nil
			})
			if err != nil {
				return err
			}
			for from := int64(0); from <= last; from += tablesAtOnce {
				parts = append(parts, func(ctx context.Context, w *worker) (rows, error) { return w.edges(ctx, g, c, from) })
			}
		}
	}
	return x.write(ctx, edgesForm.table, parts)
}

const edgesSQL = `
SELECT peer, neighbours, partial FROM edges WHERE network = %s AND crawl_id = toUUID('%s') AND peer >= %d AND peer < %d ORDER BY peer`

// edges makes one part, without peers whose visits were left out.
func (w *worker) edges(ctx context.Context, g *group, c reachability.Crawl, from int64) (rows, error) {
	var list []edgeRow
	dropped := g.dropped[c.ID]
	err := w.record.Stream(ctx, fmt.Sprintf(edgesSQL, literal(g.network), c.ID, from, from+tablesAtOnce), func(columns []any) error {
		neighbours, partial := columns[1].([][]uint32), columns[2].([]uint8)
		for i, peer := range columns[0].([]uint32) {
			if dropped[peer] {
				continue
			}
			kept := make([]uint32, 0, len(neighbours[i]))
			for _, n := range neighbours[i] {
				if !dropped[n] {
					kept = append(kept, n)
				}
			}
			list = append(list, edgeRow{clean(g.network), c.ID, peer, kept, partial[i]})
		}
		return nil
	})
	return edgesForm.rows(list), err
}

// protocolRow is how many peers of a crawl speak one protocol.
type protocolRow struct {
	network, crawl, protocol string
	peers                    int64
}

var protocolsForm = newForm("protocols", "How many peers of a crawl say that they speak a protocol, or show a sign. Protocols of fewer than 5 peers are left out.",
	words("network", "as in crawls", func(p *protocolRow) string { return p.network }),
	words("crawl_id", "as in crawls", func(p *protocolRow) string { return p.crawl }),
	words("protocol", "IPFS: protocol ID. Mainline: sign from its messages", func(p *protocolRow) string { return p.protocol }),
	wholes("peers", "distinct", func(p *protocolRow) int64 { return p.peers }),
)

const protocolsSQL = `
SELECT toString(crawl_id) AS crawl, protocol, toInt64(uniqExact(unit)) AS peers
FROM (SELECT crawl_id, sipHash64(peer_id) AS unit, arrayJoin(protocols) AS protocol FROM visits WHERE %s)
GROUP BY crawl, protocol HAVING peers >= %d ORDER BY crawl, peers DESC, protocol`

func (x *exporter) writeProtocols(ctx context.Context) error {
	var list []protocolRow
	least := Smallest
	if x.Raw {
		least = 1
	}
	for _, g := range x.groups {
		err := x.record.Stream(ctx, fmt.Sprintf(protocolsSQL, g.where(), least), func(columns []any) error {
			protocols, peers := columns[1].([]string), columns[2].([]int64)
			for i, crawl := range columns[0].([]string) {
				list = append(list, protocolRow{clean(g.network), crawl, clean(protocols[i]), peers[i]})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return writeAll(ctx, x, protocolsForm, list)
}

// agentRow is the reachable peers that announce one program.
type agentRow struct {
	network, scope, agent string
	peers                 int64
	counts                []uint32
	weight, squares       float64
}

// Rare is the name under which agents of few peers stand together.
const Rare = "(fewer than 5 peers)"

var agentsForm = newForm("agents", "What reachable peers call their programs, whatever else they are: in visits, agents are withheld where few peers share all their fields.",
	words("network", "as in crawls", func(a *agentRow) string { return a.network }),
	words("scope", "as in crawls", func(a *agentRow) string { return a.scope }),
	texts("agent", "as announced last; those of fewer than 5 peers stand together as "+Rare, func(a *agentRow) string { return a.agent }),
	wholes("peers", "distinct", func(a *agentRow) int64 { return a.peers }),
	lists("counts", "reachable peers in each whole crawl, in order of time", func(a *agentRow) []uint32 { return a.counts }),
	reals("weight", "sum over its peers of a, the sum over the crawls that reached the peer of one over the number of reachable peers", func(a *agentRow) float64 { return a.weight }),
	reals("squares", "sum over its peers of a squared", func(a *agentRow) float64 { return a.squares }),
)

func (x *exporter) writeAgents(ctx context.Context) error {
	var list []agentRow
	for _, g := range x.groups {
		if len(g.used) == 0 {
			continue
		}
		agents, err := reachability.Agents(ctx, g.counted, g.network, g.used, g.totals)
		if err != nil {
			return err
		}
		list = append(list, x.agentRows(g, agents)...)
	}
	return writeAll(ctx, x, agentsForm, list)
}

// agentRows puts rare agents together, and as many others as it takes that
// they are not few.
func (x *exporter) agentRows(g *group, agents []analysis.Alike) (list []agentRow) {
	row := func(a analysis.Alike) agentRow {
		r := agentRow{clean(g.network), g.scope, clean(a.Name), int64(a.Peers), make([]uint32, len(a.Counts)), a.Weight, a.Squares}
		for t, n := range a.Counts {
			r.counts[t] = uint32(n)
		}
		return r
	}
	rare := agentRow{network: clean(g.network), scope: g.scope, agent: Rare, counts: make([]uint32, len(g.used))}
	for i := len(agents) - 1; i >= 0; i-- { // the heaviest come first
		r := row(agents[i])
		if x.Raw || r.peers >= Smallest && (rare.peers == 0 || rare.peers >= Smallest) {
			list = append(list, r)
			continue
		}
		rare.peers, rare.weight, rare.squares = rare.peers+r.peers, rare.weight+r.weight, rare.squares+r.squares
		for t, n := range r.counts {
			rare.counts[t] += n
		}
	}
	if rare.peers >= Smallest {
		list = append(list, rare)
	}
	return list
}
