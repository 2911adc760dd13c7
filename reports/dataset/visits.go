package dataset

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"

	"canopy/analysis"
	"canopy/analysis/reachability"
)

// visit is one row.
type visit struct {
	network, crawl                               string
	number                                       uint32
	peer, address, block                         string
	family                                       int64
	prefix, announced, transport, outcome        string
	client, agent                                string
	rtt, handshake                               float32
	neighbours, partial, queries, relays, asn    int64
	organisation, country, hosting, source, date string
	label                                        label
	aside, withheld                              string
}

var visitsForm = newForm("visits", "One row per peer and crawl: all attempts of that crawl to talk to the peer. "+
	"When within the crawl it was visited is left out: it could be compared with the logs of others.",
	words("network", "as in crawls", func(v *visit) string { return v.network }),
	words("crawl_id", "as in crawls", func(v *visit) string { return v.crawl }),
	wholes("number", "crawl-local number of the peer; edges refer to it", func(v *visit) int64 { return int64(v.number) }),
	texts("peer_id", "pseudonym of the identity", func(v *visit) string { return v.peer }),
	texts("address", "pseudonym of the address that answered, else was last tried; empty when none was usable", func(v *visit) string { return v.address }),
	texts("block", "pseudonym of the /24 of that address, or its /56 in IPv6", func(v *visit) string { return v.block }),
	wholes("family", "4 or 6, 0 without an address", func(v *visit) int64 { return v.family }),
	words("prefix", "where the address lies, truncated to /16, or /32 in IPv6", func(v *visit) string { return v.prefix }),
	words("announced", "pseudonym of the announced block of the address", func(v *visit) string { return v.announced }),
	words("transport", "over which the address was contacted, empty where a network has one", func(v *visit) string { return v.transport }),
	words("outcome", "answered, or how it failed; a failure to answer is a result", func(v *visit) string { return v.outcome }),
	words("client", "what the peer calls its program, without version", func(v *visit) string { return v.client }),
	words("agent", "what the peer calls its program", func(v *visit) string { return v.agent }),
	measures("rtt_ms", "round-trip time of a request", func(v *visit) float32 { return v.rtt }),
	measures("handshake_ms", "from dialling to a secured connection", func(v *visit) float32 { return v.handshake }),
	wholes("neighbours", "distinct peers it named", func(v *visit) int64 { return v.neighbours }),
	wholes("partial", "1: it answered, but not its whole table was read", func(v *visit) int64 { return v.partial }),
	wholes("queries", "requests sent to it", func(v *visit) int64 { return v.queries }),
	wholes("relays", "relays it says it can be reached through", func(v *visit) int64 { return v.relays }),
	wholes("asn", "autonomous system; 0 when unknown", func(v *visit) int64 { return v.asn }),
	words("organisation", "that holds the AS", func(v *visit) string { return v.organisation }),
	words("country", "ISO 3166-1 alpha-2", func(v *visit) string { return v.country }),
	words("hosting", "on whose land: residential, mobile, hosting, institutional, anonymiser, unknown; empty when withheld", func(v *visit) string { return v.hosting }),
	words("facts_source", "data set behind asn, organisation, country and hosting", func(v *visit) string { return v.source }),
	words("facts_date", "its date", func(v *visit) string { return v.date }),
	words("operator", "who runs the peer, as far as the evidence decides: community, commercial, institutional, unknown; empty when it was not judged", func(v *visit) string { return v.label.operator }),
	words("leaning", "the likeliest kind of operator, also of the undecided", func(v *visit) string { return v.label.leaning }),
	words("operator_name", "the operator group, where it is known by name", func(v *visit) string { return v.label.name }),
	reals("probability", "of leaning; 0 without evidence", func(v *visit) float64 { return v.label.probability }),
	words("set_aside", "why the peer is in no share: its identity is no sign of one peer", func(v *visit) string { return v.aside }),
	words("withheld", "first field that is withheld so that no cell is smaller than 5; all after it are, too", func(v *visit) string { return v.withheld }),
)

// visitsAtOnce is how many visits one part holds.
const visitsAtOnce = 131_072

func (x *exporter) writeVisits(ctx context.Context) error {
	var parts []part
	for _, g := range x.groups {
		for _, c := range g.crawls {
			last, err := x.lastNumber(ctx, g, c)
			if err != nil {
				return err
			}
			for from := int64(0); from <= last; from += visitsAtOnce {
				parts = append(parts, func(ctx context.Context, w *worker) (rows, error) { return w.visits(ctx, g, c, from) })
			}
		}
	}
	return x.write(ctx, visitsForm.table, parts)
}

// lastNumber is the highest number of a crawl's visits, -1 without any.
func (x *exporter) lastNumber(ctx context.Context, g *group, c reachability.Crawl) (last int64, err error) {
	last = -1
	query := fmt.Sprintf("SELECT toInt64(max(number)) FROM visits_log WHERE network = %s AND crawl_id = toUUID('%s') HAVING count() > 0", literal(g.network), c.ID)
	err = x.record.Stream(ctx, query, func(columns []any) error {
		last = columns[0].([]int64)[0]
		return nil
	})
	return last, err
}

// visitsSQL reads one part.
const visitsSQL = `
SELECT number, sipHash64(peer_id), peer_id, address, prefix, transport, outcome, agent,
       toFloat32(ifNull(rtt_ms, nan)), toFloat32(ifNull(handshake_ms, nan)), toInt64(neighbours), toInt64(partial), toInt64(queries), toInt64(length(relays)),
       toInt64(asn), organisation, country, hosting, facts_source, if(facts_source = '', '', toString(facts_date))
FROM visits
WHERE network = %s AND crawl_id = toUUID('%s') AND number >= %d AND number < %d
ORDER BY number`

// visits makes one part.
func (w *worker) visits(ctx context.Context, g *group, c reachability.Crawl, from int64) (rows, error) {
	var out rows
	list := make([]visit, 0, rowsAtOnce) // a few at a time, which the processor's cache holds
	var dropped []uint32
	var withheld [len(levels) + 1]int64
	query := fmt.Sprintf(visitsSQL, literal(g.network), c.ID, from, from+visitsAtOnce)
	err := w.record.Stream(ctx, query, func(columns []any) error {
		in := readVisits(columns)
		for i, unit := range in.unit {
			depth, cell := g.depth(in, i)
			if depth < 0 || g.planted[unit] || w.own(in.address[i]) {
				dropped = append(dropped, in.number[i])
				continue
			}
			withheld[depth]++
			if list = append(list, w.visit(g, c, in, i, depth, cell)); len(list) == cap(list) {
				out, list = visitsForm.add(out, list), list[:0]
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.note(g, c.ID, dropped, withheld)
	return visitsForm.add(out, list), nil
}

// note keeps what was dropped and withheld.
func (x *exporter) note(g *group, crawl string, dropped []uint32, withheld [len(levels) + 1]int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sum.Dropped += int64(len(dropped))
	for _, number := range dropped {
		if g.dropped[crawl] == nil {
			g.dropped[crawl] = map[uint32]bool{}
		}
		g.dropped[crawl][number] = true
	}
	for depth, name := range levels {
		if withheld[depth] > 0 {
			x.sum.Suppressed[name] += withheld[depth]
		}
	}
}

// visitsRead is one block of visitsSQL.
type visitsRead struct {
	number                                       []uint32
	unit                                         []uint64
	peer                                         []string
	address                                      []netip.Addr
	announced, transport, outcome, agent         []string
	rtt, handshake                               []float32
	neighbours, partial, queries, relays, asn    []int64
	organisation, country, hosting, source, date []string
}

func readVisits(c []any) *visitsRead {
	return &visitsRead{
		c[0].([]uint32), c[1].([]uint64), c[2].([]string), c[3].([]netip.Addr), c[4].([]string), c[5].([]string), c[6].([]string), c[7].([]string),
		c[8].([]float32), c[9].([]float32), c[10].([]int64), c[11].([]int64), c[12].([]int64), c[13].([]int64), c[14].([]int64),
		c[15].([]string), c[16].([]string), c[17].([]string), c[18].([]string), c[19].([]string),
	}
}

// depth is how many fields of a visit are published, -1 if the visit is not, and
// the cell that they make.
func (g *group) depth(in *visitsRead, i int) (depth int, cell int32) {
	if g.cells == nil {
		return len(levels), 0
	}
	a, ok := g.agents[in.agent[i]]
	if !ok {
		a.number, a.program = -1, -1
	}
	kind, name, chance := g.labelNumbers(in.unit[i])
	depth, cell = g.cells.depth(traits{
		levelHosting: g.cells.number(in.hosting[i]), levelOperator: kind, levelCountry: g.cells.number(in.country[i]), levelASN: in.asn[i],
		levelOrganisation: g.cells.number(in.organisation[i]), levelName: name, levelProbability: chance, levelClient: a.program, levelAgent: a.number, levelPrefix: prefixNumber(truncated(in.address[i])),
	})
	if depth > levelPrefix && g.hidden[locate(in.address[i], in.announced[i])] {
		depth = levelPrefix
	}
	return depth, cell
}

// apart goes into the pseudonyms of places: nothing where all that follows from
// a place is published. Where it is withheld they are those of the cell alone,
// since others in the same place would tell it.
func apart(depth int, cell int32) string {
	if depth > levelOrganisation {
		return ""
	}
	return fmt.Sprintf("\x00%d", cell)
}

// visit makes one row, with as many fields as depth says.
func (w *worker) visit(g *group, c reachability.Crawl, in *visitsRead, i, depth int, cell int32) visit {
	apart := apart(depth, cell)
	v := visit{
		network: clean(g.network), crawl: c.ID, number: in.number[i],
		peer: w.names.of(ofPeer, in.peer[i]), address: w.names.address(in.address[i], apart), block: w.names.block(in.address[i], apart), announced: w.names.announced(in.announced[i], apart),
		transport: clean(in.transport[i]), outcome: clean(in.outcome[i]), rtt: in.rtt[i], handshake: in.handshake[i],
		neighbours: in.neighbours[i], partial: in.partial[i], queries: in.queries[i], relays: in.relays[i],
		source: clean(in.source[i]), date: in.date[i], aside: string(g.aside[in.unit[i]]),
	}
	switch a := in.address[i].Unmap(); {
	case none(a):
	case a.Is4():
		v.family = 4
	default:
		v.family = 6
	}
	if depth < len(levels) {
		v.withheld = levels[depth]
	}
	w.tell(&v, g, in, i, depth)
	return v
}

// tell fills in the fields that may tell who the peer is.
func (w *worker) tell(v *visit, g *group, in *visitsRead, i, depth int) {
	if depth > levelHosting {
		v.hosting = cmp.Or(clean(in.hosting[i]), "unknown")
	}
	if place, ok := g.judged[in.unit[i]]; ok {
		v.label = g.labels[place].upTo(depth)
	}
	if depth > levelCountry {
		v.country = clean(in.country[i])
	}
	if depth > levelASN {
		v.asn = in.asn[i]
	}
	if depth > levelOrganisation {
		v.organisation = clean(in.organisation[i])
	}
	if a, ok := g.agents[in.agent[i]]; !ok && w.Raw {
		v.client, v.agent = clean(analysis.Client(in.agent[i])), clean(in.agent[i])
	} else if ok {
		if depth > levelClient {
			v.client = a.client
		}
		if depth > levelAgent {
			v.agent = a.agent
		}
	}
	if depth > levelPrefix {
		switch p := truncated(in.address[i]); {
		case w.Raw:
			v.prefix = in.announced[i]
		case p.IsValid():
			v.prefix = w.names.shown(p)
		}
	}
}
