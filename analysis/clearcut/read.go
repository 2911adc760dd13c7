package clearcut

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"canopy/analysis"
	"canopy/analysis/operator"
	"canopy/crawler/identifier"
)

// Crawl is one crawl whose routing tables the record holds.
type Crawl struct {
	ID        string    `json:"crawl_id"`
	Scope     string    `json:"scope"`
	Zone      string    `json:"zone,omitempty"`
	State     string    `json:"state"`
	StartedAt time.Time `json:"started_at"`
	Network   Network   `json:"network"`   // as the crawl's settings describe it
	Rules     string    `json:"rules"`     // version of the rules that judged who runs a peer
	Tables    int       `json:"tables"`    // that were read
	Partial   int       `json:"partial"`   // of these, not whole
	Skipped   int       `json:"skipped"`   // visits whose peer ID gives no key
	Entered   int       `json:"bootstrap"` // entry points that its settings name
	bootstrap []string
}

// Whole says whether the crawl is a snapshot of the whole network.
func (c Crawl) Whole() bool { return (c.State == "complete" || c.State == "degraded") && c.Zone == "" }

// Synthetic says whether the crawl is of a local network.
func (c Crawl) Synthetic() bool { return c.Scope == "local" }

// Warnings are what a reader of its figures must know, one sentence each.
func (c Crawl) Warnings() []string {
	list := []string{}
	if c.State == "cut_short" || c.State == "running" {
		list = append(list, "The crawl was cut short: its graph holds whoever was met first.")
	}
	if c.State == "degraded" {
		list = append(list, "The crawl was degraded: trouble of our own may have hidden living peers, which count as dead here.")
	}
	if c.Zone != "" {
		list = append(list, "The crawl kept to a zone of the key space: tables lead out of it to peers that were not asked.")
	}
	if c.Partial > 0 {
		list = append(list, fmt.Sprintf("Of %s %d were not read whole: lookups know less than the network does.", plural(c.Tables, "routing table"), c.Partial))
	}
	if c.Skipped > 0 {
		list = append(list, plural(c.Skipped, "peer")+" left out: the ID gives no key.")
	}
	if c.Entered == 0 {
		list = append(list, "The crawl's settings name no entry points: it entered by those that clients ship with.")
	}
	return list
}

// NetworkError says why lookups can't be simulated on a crawl, however good its
// tables are.
type NetworkError struct{ Reason error }

func (e NetworkError) Error() string { return e.Reason.Error() }
func (e NetworkError) Unwrap() error { return e.Reason }

// ErrNoTables is returned when no crawl with routing tables fits.
var ErrNoTables = errors.New("run `canopy crawl NETWORK --edges` first: a clear-cut needs routing tables")

// Find finds a crawl with routing tables: the one with the given ID, or the
// latest whole one. network may be empty if all crawls with tables are of one.
// It returns an error that wraps [ErrNoTables] if there is none.
func Find(ctx context.Context, q analysis.Querier, network, crawl string) (Crawl, error) {
	crawl = strings.ToLower(crawl)
	fit, seen, err := crawls(ctx, q, network, crawl)
	if err != nil {
		return Crawl{}, fmt.Errorf("find crawl: %w", err)
	}
	return choose(fit, seen, network, crawl)
}

// Latest finds the latest whole crawl with routing tables among those of one
// network with the given IDs. It returns an error that wraps [ErrNoTables] if
// there is none.
func Latest(ctx context.Context, q analysis.Querier, network string, ids []string) (Crawl, error) {
	fit, _, err := crawls(ctx, q, network, strings.Join(ids, ","))
	if err != nil {
		return Crawl{}, fmt.Errorf("find crawl: %w", err)
	}
	fit = slices.DeleteFunc(fit, func(c Crawl) bool { return !c.Whole() })
	if len(fit) == 0 || len(ids) == 0 {
		return Crawl{}, fmt.Errorf("find crawl: of %s none is whole and kept routing tables: %w", plural(len(ids), "crawl"), ErrNoTables)
	}
	return fit[0], nil
}

// crawls reads those that kept routing tables, the latest first, and how many
// there are in all: with the given IDs, or the whole ones.
func crawls(ctx context.Context, q analysis.Querier, network, ids string) (fit []Crawl, seen int, err error) {
	rows, err := q.QueryContext(ctx, `
SELECT network, toString(crawl_id), scope, zone, state, toUnixTimestamp64Milli(started_at), settings, (network, crawl_id) IN (SELECT network, crawl_id FROM edges) AS tables
FROM crawls
WHERE (@network = '' OR network = @network) AND (@crawls = '' OR has(splitByChar(',', @crawls), toString(crawl_id)))
ORDER BY started_at DESC, crawl_id DESC`, sql.Named("network", network), sql.Named("crawls", ids))
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c Crawl
		var started int64
		var settings string
		var tables uint8
		if err := rows.Scan(&c.Network.Name, &c.ID, &c.Scope, &c.Zone, &c.State, &started, &settings, &tables); err != nil {
			return nil, 0, err
		}
		seen++
		if c.StartedAt = time.UnixMilli(started).UTC(); tables == 1 && (ids != "" || c.Whole()) {
			c.describe(settings)
			fit = append(fit, c)
		}
	}
	return fit, seen, rows.Err()
}

// describe takes what the settings tell. What is missing is missed by who
// needs it.
func (c *Crawl) describe(settings string) {
	var s struct {
		Network Network `json:"network"`
		Walker  struct {
			Bootstrap []string `json:"bootstrap"`
		} `json:"walker"`
	}
	_ = json.Unmarshal([]byte(settings), &s)
	s.Network.Name = c.Network.Name
	c.Network, c.bootstrap, c.Entered = s.Network, s.Walker.Bootstrap, len(s.Walker.Bootstrap)
	c.Network.Title = cmp.Or(c.Network.Title, c.Network.Name)
}

// choose takes the latest, or says why none fits.
func choose(fit []Crawl, seen int, network, crawl string) (Crawl, error) {
	var names []string
	for _, c := range fit {
		if !slices.Contains(names, c.Network.Name) {
			names = append(names, c.Network.Name)
		}
	}
	switch {
	case seen == 0 && crawl != "":
		return Crawl{}, fmt.Errorf("find crawl: the record holds no crawl %s", crawl)
	case seen == 0 && network != "":
		return Crawl{}, fmt.Errorf("find crawl: the record holds no crawl of %q: %w", network, ErrNoTables)
	case seen == 0:
		return Crawl{}, fmt.Errorf("find crawl: the record holds no crawl: %w", ErrNoTables)
	case len(fit) == 0 && crawl != "":
		return Crawl{}, fmt.Errorf("find crawl: crawl %s kept no routing tables: %w", crawl, ErrNoTables)
	case len(fit) == 0:
		return Crawl{}, fmt.Errorf("find crawl: of %s none is whole and kept routing tables: %w", plural(seen, "crawl"), ErrNoTables)
	case len(names) > 1:
		return Crawl{}, fmt.Errorf("find crawl: the record holds crawls of %s: choose one network", strings.Join(names, ", "))
	}
	return fit[0], nil
}

// Load reads the routing graph of a crawl and judges who runs its peers. It
// fills in what it learns of the crawl.
func Load(ctx context.Context, q analysis.Querier, rules *operator.Rules, c *Crawl) (*Graph, error) {
	l := loader{crawl: c, rules: rules}
	for _, read := range []func(context.Context, analysis.Querier) error{l.peers, l.edges} {
		if err := read(ctx, q); err != nil {
			return nil, fmt.Errorf("load routing graph of crawl %s: %w", c.ID, err)
		}
	}
	c.Rules = rules.Version()
	l.judge()
	g, err := New(c.Network, l.list, l.table, l.entryPoints())
	if err != nil {
		return nil, fmt.Errorf("load routing graph of crawl %s: %w", c.ID, err)
	}
	return g, nil
}

// maxNumber bounds the crawl-local numbers of peers.
const maxNumber = 1 << 28

// nobody stands for numbers that no visit has.
const nobody = ^uint32(0)

// loader collects what the record holds of one crawl.
type loader struct {
	crawl     *Crawl
	rules     *operator.Rules
	list      []Peer
	traits    []operator.Traits // of each peer that answered
	addresses [][]string        // of each peer, its endpoint first
	index     []uint32          // of each number, in list
	first     []int             // of each peer's entries
	last      []int
	entries   []uint32
}

func (l *loader) peers(ctx context.Context, q analysis.Querier) error {
	derive, err := l.crawl.Network.keyOf()
	if err != nil {
		return NetworkError{err}
	}
	if err := l.crawl.Network.check(); err != nil {
		return NetworkError{err}
	}
	rows, err := q.QueryContext(ctx, `
SELECT number, peer_id, outcome = 'answered', toString(address), port, if(length(@bootstrap) > 0, addresses, []), agent, protocols, asn, organisation, country, hosting
FROM visits
WHERE network = @network AND crawl_id = toUUID(@crawl)
ORDER BY number`, sql.Named("network", l.crawl.Network.Name), sql.Named("crawl", l.crawl.ID), sql.Named("bootstrap", strings.Join(l.crawl.bootstrap, " ")))
	if err != nil {
		return fmt.Errorf("read visits: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := l.visit(rows, derive); err != nil {
			return fmt.Errorf("read visits: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read visits: %w", err)
	}
	return nil
}

func (l *loader) visit(rows *sql.Rows, derive func(string) (Key, error)) error {
	var p Peer
	var t operator.Traits
	var number uint32
	var up uint8
	var address string
	var port uint16
	var addresses []string
	err := rows.Scan(&number, &p.ID, &up, &address, &port, &addresses, &t.Agent, &t.Protocols, &t.ASN, &t.Organisation, &t.Country, &t.Hosting)
	if err != nil {
		return err
	}
	if number >= maxNumber {
		return fmt.Errorf("peer number %d: want less than %d", number, maxNumber)
	}
	p.ID = identifier.Recorded(p.ID)
	if p.Key, err = derive(p.ID); err != nil {
		l.crawl.Skipped++
		return nil
	}
	if t.Address, err = netip.ParseAddr(address); err != nil {
		return err
	}
	t.Address, t.PeerID = t.Address.Unmap(), p.ID
	for len(l.index) <= int(number) {
		l.index = append(l.index, nobody)
	}
	l.index[number] = uint32(len(l.list))
	p.Up, p.Organisation, p.Country, p.Hosting = up == 1, t.Organisation, t.Country, cmp.Or(t.Hosting, "unknown")
	l.list, l.traits = append(l.list, p), append(l.traits, t)
	l.addresses = append(l.addresses, append([]string{netip.AddrPortFrom(t.Address, port).String()}, addresses...))
	return nil
}

func (l *loader) edges(ctx context.Context, q analysis.Querier) error {
	l.first, l.last = make([]int, len(l.list)), make([]int, len(l.list))
	rows, err := q.QueryContext(ctx, `
SELECT peer, neighbours, partial FROM edges WHERE network = @network AND crawl_id = toUUID(@crawl)`,
		sql.Named("network", l.crawl.Network.Name), sql.Named("crawl", l.crawl.ID))
	if err != nil {
		return fmt.Errorf("read routing tables: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var number uint32
		var neighbours []uint32
		var partial uint8
		if err := rows.Scan(&number, &neighbours, &partial); err != nil {
			return fmt.Errorf("read routing tables: %w", err)
		}
		l.crawl.Tables++
		l.crawl.Partial += int(partial)
		peer := l.of(number)
		if peer == nobody {
			continue
		}
		l.first[peer] = len(l.entries)
		for _, n := range neighbours {
			if entry := l.of(n); entry != nobody { // named, but not visited: the crawl was cut short
				l.entries = append(l.entries, entry)
			}
		}
		l.last[peer] = len(l.entries)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read routing tables: %w", err)
	}
	return nil
}

func (l *loader) of(number uint32) uint32 {
	if int(number) >= len(l.index) {
		return nobody
	}
	return l.index[number]
}

func (l *loader) table(peer int) []uint32 { return l.entries[l.first[peer]:l.last[peer]] }

// entryPoints finds the peers at the addresses that the crawl entered by: the
// endpoint of a peer, one of its addresses, or an address that ends in its ID,
// however that is written.
// Several addresses of one peer are one entry point.
func (l *loader) entryPoints() []EntryPoint {
	var points []EntryPoint
	for _, address := range l.crawl.bootstrap {
		e := EntryPoint{Address: address}
		endpoint, path := address, address
		if at, err := netip.ParseAddrPort(address); err == nil {
			endpoint = netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
		} else if id, err := identifier.Peer(address); err == nil {
			path = "/" + id
		}
		for i, known := range l.addresses {
			if slices.Contains(known, endpoint) || strings.HasSuffix(path, "/"+l.list[i].ID) {
				e.Peers = append(e.Peers, i)
			}
		}
		if !slices.ContainsFunc(points, func(p EntryPoint) bool { return len(e.Peers) > 0 && slices.Equal(p.Peers, e.Peers) }) {
			points = append(points, e)
		}
	}
	return points
}
