package dataset

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
)

// probeRow is one probe.
type probeRow struct {
	network, vantage, peer, endpoint string
	at                               int64
	outcome                          string
	rtt                              float32
	control                          uint8
}

var probesForm = newForm("probes", "Questions to known peers between crawls.",
	words("network", "as in crawls", func(p *probeRow) string { return p.network }),
	words("vantage", "from where it was asked, as in crawls", func(p *probeRow) string { return p.vantage }),
	texts("peer_id", "pseudonym of the identity, as in visits", func(p *probeRow) string { return p.peer }),
	texts("endpoint", "pseudonym of the address and port that was asked", func(p *probeRow) string { return p.endpoint }),
	moments("probed_at", "", func(p *probeRow) int64 { return p.at }),
	words("outcome", "as in visits", func(p *probeRow) string { return p.outcome }),
	measures("rtt_ms", "round-trip time", func(p *probeRow) float32 { return p.rtt }),
	wholes("control_ok", "0: the observer's own network was in doubt, silence says nothing", func(p *probeRow) int64 { return int64(p.control) }),
)

// networks are the names of the networks that are published.
func (x *exporter) networks() (names []string) {
	seen := map[string]bool{}
	for _, g := range x.groups {
		if !seen[g.network] {
			seen[g.network] = true
			names = append(names, g.network)
		}
	}
	return names
}

// within is the condition that a time lies in the period.
func (x *exporter) within(column string) string {
	from, to := int64(0), int64(math.MaxInt64)
	if !x.Window.From.IsZero() {
		from = x.Window.From.UnixMilli()
	}
	if !x.Window.To.IsZero() {
		to = x.Window.To.UnixMilli()
	}
	return fmt.Sprintf("toUnixTimestamp64Milli(%s) >= %d AND toUnixTimestamp64Milli(%[1]s) < %[3]d", column, from, to)
}

// notOurs leaves out planted nodes.
func notOurs(network string) string {
	return "peer_id NOT IN (SELECT peer_id FROM marks WHERE kind = 'planted' AND network = " + literal(network) + ")"
}

// askedAtOnce is how many peers one query names: an engine reads 256 KiB of it.
const askedAtOnce = 1000

// draw cuts the rows of a network into parts of about visitsAtOnce, by peer.
// Who is in which is drawn at random: rows in the order of identities would tell
// where each lies among those that others know.
func (x *exporter) draw(ctx context.Context, from, network, condition string) (parts [][]string, err error) {
	type watched struct {
		peer string
		rows uint64
	}
	var peers []watched
	query := fmt.Sprintf("SELECT peer_id, count() FROM %s WHERE network = %s AND %s GROUP BY peer_id", from, literal(network), condition)
	err = x.record.Stream(ctx, query, func(columns []any) error {
		for i, peer := range columns[0].([]string) {
			peers = append(peers, watched{strings.Clone(peer), columns[1].([]uint64)[i]})
		}
		return nil
	})
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	rows := uint64(visitsAtOnce)
	for _, p := range peers {
		if rows >= visitsAtOnce || len(parts[len(parts)-1]) == askedAtOnce {
			parts, rows = append(parts, nil), 0
		}
		rows += p.rows
		parts[len(parts)-1] = append(parts[len(parts)-1], p.peer)
	}
	return parts, err
}

// placeSQL is the vantage of a probe. Those from before they had one belong to
// the only one there is, if there is one, as in the view sessions.
const placeSQL = `if(toString(vantage) = '', ifNull((SELECT if(uniqExact(toString(vantage)) = 1, any(toString(vantage)), '') FROM crawls), ''), toString(vantage))`

const probesSQL = `
SELECT peer_id, ` + placeSQL + `, address, port, toUnixTimestamp64Milli(probed_at), toString(outcome), toFloat32(ifNull(rtt_ms, nan)), control_ok
FROM probes
WHERE network = %s AND peer_id IN (SELECT arrayJoin(%s)) AND %s AND %s
ORDER BY peer_id, probed_at, vantage`

func (x *exporter) writeProbes(ctx context.Context) error {
	var parts []part
	for _, network := range x.networks() {
		peers, err := x.draw(ctx, "probes_log", network, x.within("probed_at"))
		if err != nil {
			return err
		}
		for _, some := range peers {
			query := fmt.Sprintf(probesSQL, literal(network), literals(some), x.within("probed_at"), notOurs(network))
			parts = append(parts, func(ctx context.Context, w *worker) (rows, error) { return w.probes(ctx, network, query) })
		}
	}
	return x.write(ctx, probesForm.table, parts)
}

func (w *worker) probes(ctx context.Context, network, query string) (rows, error) {
	var list []probeRow
	err := w.record.Stream(ctx, query, func(c []any) error {
		vantage, address, port, at, outcome, rtt, control := c[1].([]string), c[2].([]netip.Addr), c[3].([]uint16), c[4].([]int64), c[5].([]string), c[6].([]float32), c[7].([]uint8)
		for i, peer := range c[0].([]string) {
			if !w.own(address[i]) {
				list = append(list, probeRow{clean(network), clean(vantage[i]), w.names.of(ofPeer, peer), w.names.endpoint(address[i], port[i]), at[i], clean(outcome[i]), rtt[i], control[i]})
			}
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b probeRow) int { return cmp.Compare(a.peer, b.peer) })
	return probesForm.rows(list), err
}

// sessionRow is one session.
type sessionRow struct {
	network, vantage, peer    string
	before, first, last, down int64
	probes                    int64
	reason                    string
}

var sessionsForm = newForm("sessions", "Sessions of watched peers, as interval-censored facts: the peer came between last_down_before and first_up, and left between last_up and first_down_after. "+
	"What is absent is not known. Join visits for the labels of a peer.",
	words("network", "as in crawls", func(s *sessionRow) string { return s.network }),
	words("vantage", "from where the peer was watched, as in crawls; what two see does not mix", func(s *sessionRow) string { return s.vantage }),
	texts("peer_id", "pseudonym of the identity, as in visits", func(s *sessionRow) string { return s.peer }),
	moments("last_down_before", "last miss before the session, of two or more", func(s *sessionRow) int64 { return s.before }),
	moments("first_up", "first answer", func(s *sessionRow) int64 { return s.first }),
	moments("last_up", "last answer", func(s *sessionRow) int64 { return s.last }),
	moments("first_down_after", "first miss after the session, of two or more", func(s *sessionRow) int64 { return s.down }),
	wholes("probes", "answers in the session", func(s *sessionRow) int64 { return s.probes }),
	words("reason", "why it ends: departed, changed_identity (no departure), gap, open", func(s *sessionRow) string { return s.reason }),
)

const sessionsSQL = `
SELECT peer_id, assumeNotNull(toString(vantage)), address, ifNull(toUnixTimestamp64Milli(last_down_before), toInt64('-9223372036854775808')), toUnixTimestamp64Milli(first_up), toUnixTimestamp64Milli(last_up),
       ifNull(toUnixTimestamp64Milli(first_down_after), toInt64('-9223372036854775808')), toInt64(probes), toString(reason)
FROM sessions
WHERE network = %s AND %s AND %s
ORDER BY first_up, peer_id, vantage`

// writeSessions makes one part of each network: the engine derives all of a
// network's sessions at once.
func (x *exporter) writeSessions(ctx context.Context) error {
	var parts []part
	for _, network := range x.networks() {
		query := fmt.Sprintf(sessionsSQL, literal(network), x.within("first_up"), notOurs(network))
		parts = append(parts, func(ctx context.Context, w *worker) (rows, error) { return w.sessions(ctx, network, query) })
	}
	return x.write(ctx, sessionsForm.table, parts)
}

func (w *worker) sessions(ctx context.Context, network, query string) (rows, error) {
	var list []sessionRow
	err := w.record.Stream(ctx, query, func(c []any) error {
		vantage, address, before, first, last, down := c[1].([]string), c[2].([]netip.Addr), c[3].([]int64), c[4].([]int64), c[5].([]int64), c[6].([]int64)
		probes, reason := c[7].([]int64), c[8].([]string)
		for i, peer := range c[0].([]string) {
			if !w.own(address[i]) {
				list = append(list, sessionRow{clean(network), clean(vantage[i]), w.names.of(ofPeer, peer), before[i], first[i], last[i], down[i], probes[i], clean(reason[i])})
			}
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b sessionRow) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.peer, b.peer)) })
	return sessionsForm.rows(list), err
}
