package operator

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"canopy/crawler/identifier"
	"canopy/crawler/observation"
	"canopy/crawler/store"
	"canopy/crawler/store/storetest"
)

// recorder writes crawls of a planned population into a store.
type recorder struct {
	store *store.Store
	start time.Time
	ids   []string
}

// planned is one peer of the plan and the crawls in which it answers.
type planned struct {
	id, address, agent, organisation string
	asn                              uint32
	hosting                          observation.Hosting
	protocols                        []string
	up                               []int
}

func (p planned) visit(at time.Time) observation.Visit {
	addr := netip.MustParseAddrPort(p.address)
	block, _ := addr.Addr().Prefix(16)
	return observation.Visit{
		PeerID: p.id, Address: addr, Agent: p.agent, Protocols: p.protocols, VisitedAt: at, Outcome: observation.Answered,
		Facts: observation.Facts{Prefix: block, ASN: p.asn, Organisation: p.organisation, Country: "NL", Hosting: p.hosting, Source: "plan", Date: at},
	}
}

// crawl writes the t-th crawl: who is up answers, who is not is silent.
func (r *recorder) crawl(t testing.TB, number int, state observation.State, peers []planned) {
	t.Helper()
	ctx := context.Background()
	at := r.start.Add(time.Duration(number) * time.Hour)
	c := observation.Crawl{ID: observation.NewCrawlID(at), Network: "net", Scope: observation.ScopeLocal, StartedAt: at, State: observation.Running}
	if err := r.store.BeginCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	var visits []observation.Visit
	for i, p := range peers {
		v := p.visit(at.Add(time.Duration(i) * time.Millisecond))
		v.Network, v.CrawlID, v.Number = c.Network, c.ID, uint32(i)
		v.Outcome = observation.Timeout
		for _, up := range p.up {
			if up == number {
				v.Outcome = observation.Answered
			}
		}
		visits = append(visits, v)
	}
	for range 2 { // a batch that is sent twice changes nothing
		if err := r.store.Visits(ctx, append([]observation.Visit(nil), visits...)); err != nil {
			t.Fatal(err)
		}
		if err := r.store.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	c.State, c.EndedAt = state, at.Add(time.Minute)
	if err := r.store.EndCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	r.ids = append(r.ids, c.ID.String())
}

func TestRecordJudgesAPlannedNetwork(t *testing.T) {
	s := storetest.Migrated(t, "chdb:"+t.TempDir())
	r := &recorder{store: s, start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	both := []int{0, 1}
	var plan []planned
	for i := range 6 { // six homes, two of which leave after the first crawl
		up := both
		if i > 3 {
			up = []int{0}
		}
		plan = append(plan, planned{id: fmt.Sprintf("home%d", i), address: fmt.Sprintf("10.1.%d.7:6881", i), agent: "libtorrent 2.0.11",
			organisation: "Example Telecom", asn: 64501, hosting: observation.HostingResidential, up: up})
	}
	for i := range 30 { // a fleet in one /24
		plan = append(plan, planned{id: fmt.Sprintf("fleet%d", i), address: fmt.Sprintf("10.2.0.%d:4001", i+1), agent: "fleet/1",
			organisation: "Example Cloud", asn: 64502, hosting: observation.HostingHosting, up: both})
	}
	for i := range 3 { // the rest of the fleet stands in the next /24
		plan = append(plan, planned{id: fmt.Sprintf("rest%d", i), address: fmt.Sprintf("10.2.1.%d:4001", i+1), agent: "fleet/1",
			organisation: "Example Cloud", asn: 64502, hosting: observation.HostingHosting, up: both})
	}
	plan = append(plan,
		planned{id: "hobby", address: "10.2.9.1:4001", agent: "kubo/0.39.0/desktop", organisation: "Example Cloud", asn: 64502, hosting: observation.HostingHosting, up: both},
		planned{id: "server", address: "[2001:db8::1]:4001", agent: "kubo/0.39.0", organisation: "Example Cloud", asn: 64502, hosting: observation.HostingHosting, up: []int{1}},
		planned{id: "archive", address: "10.3.0.1:6881", agent: "", organisation: "Internet Archive", asn: 7941, hosting: observation.HostingInstitutional, up: both},
		planned{id: "exit", address: "10.4.0.1:6881", agent: "libtorrent 2.0.11", organisation: "Exits", asn: 64504, hosting: observation.HostingAnonymiser, up: both},
		planned{id: "gone", address: "10.4.0.2:6881", agent: "", hosting: observation.HostingResidential},
		planned{id: "twin", address: "10.1.50.1:6881", hosting: observation.HostingResidential, asn: 64501, organisation: "Example Telecom", up: both},
		planned{id: "twin", address: "10.1.50.2:6881", hosting: observation.HostingResidential, asn: 64501, organisation: "Example Telecom", up: both},
	)
	r.crawl(t, 0, observation.Complete, plan)
	r.crawl(t, 1, observation.Degraded, plan)

	c, err := Record(t.Context(), s.DB(), Default(), "net", r.ids)
	if err != nil {
		t.Fatal(err)
	}
	n0, n1 := 43.0, 42.0
	if d := cmp.Diff([]int{int(n0), int(n1)}, c.Totals); d != "" {
		t.Errorf("reachable peers: -want +got\n%s", d)
	}
	a := 1/n0 + 1/n1
	type judged struct {
		Hosting, Organisation string
		Operator              Operator
		Name                  string
		Peers                 int
		Counts                []int
		Weight, Squares       float64
	}
	want := []judged{
		{"hosting", "Example Cloud", Commercial, "Example Cloud", 30, []int{30, 30}, 30 * a, 30 * a * a},
		{"hosting", "Example Cloud", Commercial, "Example Cloud", 3, []int{3, 3}, 3 * a, 3 * a * a},
		{"residential", "Example Telecom", Community, "", 7, []int{7, 5}, 5*a + 2/n0, 5*a*a + 2/n0/n0},
		{"hosting", "Example Cloud", Community, "", 1, []int{1, 1}, a, a * a},
		{"institutional", "Internet Archive", Institutional, "Internet Archive", 1, []int{1, 1}, a, a * a},
		{"anonymiser", "Exits", Unknown, "", 1, []int{1, 1}, a, a * a},
		{"hosting", "Example Cloud", Unknown, "", 1, []int{0, 1}, 1 / n1, 1 / n1 / n1},
	}
	var got []judged
	for _, g := range c.Groups {
		got = append(got, judged{g.Hosting, g.Organisation, g.Verdict.Operator, g.Verdict.Name, g.Peers, g.Counts, g.Weight, g.Squares})
		if g.Country != "NL" || len(g.Verdict.Evidence) == 0 && g.Verdict.Operator != Unknown {
			t.Errorf("group without country, or judged without evidence: %+v", g)
		}
	}
	same := cmpopts.SortSlices(func(a, b judged) bool { return fmt.Sprint(a) < fmt.Sprint(b) })
	if d := cmp.Diff(want, got, same, cmpopts.EquateApprox(1e-9, 0)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	empty, err := Record(t.Context(), s.DB(), Default(), "net", nil)
	if err != nil || len(empty.Groups) != 0 {
		t.Errorf("no crawls: %+v, %v", empty, err)
	}
}

// TestRecordFollowsTheRegistry finds peers that only their ID, block,
// protocol or v gives away, among others alike in all else, however the registry
// and the record write IDs and blocks.
func TestRecordFollowsTheRegistry(t *testing.T) {
	first, second := identifier.Spellings("QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6"), identifier.Spellings("12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP")
	const node = "0123456789abcdef0123456789abcdef01234567"
	rules, err := Load([]byte(someRules), []byte(`entries:
- {id: by-id, name: By ID, kind: company, signals: {peer_ids: [`+first[3]+`, `+second[0]+`, "`+strings.ToUpper(node)+`"]}, sources: [{url: "https://example.org", for: [kind, `+first[3]+`, `+second[0]+`, `+node+`]}]}
- {id: by-block, name: By block, kind: company, signals: {prefixes: ["2001:db8:1::9/48", "::ffff:10.9.0.0/120"]}, sources: [{url: "https://example.org", for: [kind, prefixes]}]}
- {id: by-protocol, name: By protocol, kind: library, signals: {protocols: ["/books.*"]}, sources: [{url: "https://example.org", for: [kind, protocols]}]}
- {id: by-version, name: By version, kind: company, signals: {versions: ["5a5a"]}, sources: [{url: "https://example.org", for: [kind, versions]}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{store: storetest.Migrated(t, "chdb:"+t.TempDir()), start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	r.crawl(t, 0, observation.Complete, []planned{
		{id: first[0], address: "10.1.0.1:1", up: []int{0}},
		{id: second[1], address: "10.1.0.6:1", up: []int{0}},
		{id: node, address: "10.1.0.7:1", up: []int{0}},
		{id: strings.ToUpper(node[1:]) + "0", address: "10.1.0.8:1", up: []int{0}},
		{id: "other", address: "10.1.0.2:1", up: []int{0}},
		{id: "block4", address: "10.9.0.2:1", up: []int{0}},
		{id: "block6", address: "[2001:db8:1:2::3]:1", up: []int{0}},
		{id: "reader", address: "10.1.0.3:1", protocols: []string{"/ipfs/id/1.0.0", "/Books.1"}, up: []int{0}},
		{id: "versed", address: "10.1.0.5:1", protocols: []string{"krpc", "v=5a5a0102"}, up: []int{0}},
		{id: "near miss", address: "10.1.0.4:1", protocols: []string{"/booksX1"}, up: []int{0}},
	})
	c, err := Record(t.Context(), r.store.DB(), rules, "net", r.ids)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, g := range c.Groups {
		name := ""
		if len(g.Verdict.Evidence) > 0 {
			name = g.Verdict.Evidence[0].Name
		}
		got[name] += g.Peers
	}
	want := map[string]int{"": 3, "registry:by-id:peer_id": 3, "registry:by-block:prefix": 2, "registry:by-protocol:protocol": 1, "registry:by-version:version": 1}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// BenchmarkRecord reads a record of a million visits: ten crawls of peers that
// come and go, half of which answer.
func BenchmarkRecord(b *testing.B) {
	s := storetest.Migrated(b, "chdb:"+b.TempDir())
	const crawls, perCrawl = 10, 100_000
	var ids []string
	for t := range crawls {
		at := time.Date(2026, 6, 1, t, 0, 0, 0, time.UTC)
		id := observation.NewCrawlID(at).String()
		ids = append(ids, id)
		_, err := s.DB().ExecContext(b.Context(), fmt.Sprintf(`
INSERT INTO visits_log (network, crawl_id, number, visited_at, peer_id, address, port, outcome, agent, protocols, asn, organisation, country, hosting)
SELECT 'net', '%s', number, toDateTime64('2026-06-01 %02d:00:00', 3, 'UTC') + number %% 3000, lower(hex(sipHash128(peer))),
       toIPv6(IPv4NumToString(toUInt32(intHash64(peer %% 700000)))), 6881, if(peer %% 2 = 0, 'answered', 'timeout'),
       concat('libtorrent 2.0.', toString(intHash32(peer) %% 40)), ['krpc', concat('v=', toString(peer %% 40))],
       (intHash32(intDiv(intHash64(peer %% 700000), 1000000)) %% 20000) AS as, concat('Organisation ', toString(as)), char(65 + as %% 20, 65 + as %% 17),
       ['residential', 'hosting', 'mobile', 'institutional'][as %% 4 + 1]
FROM (SELECT number, number + %d AS peer FROM numbers(%d))`, id, t, t*perCrawl/10, perCrawl))
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		c, err := Record(b.Context(), s.DB(), Default(), "net", ids)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(c.Groups)), "groups")
	}
	b.ReportMetric(crawls*perCrawl*float64(b.N)/b.Elapsed().Seconds(), "visits/s")
}

// Peers without an address stand in no block together.
func TestNowhereIsNoBlock(t *testing.T) {
	r := &recorder{store: storetest.Migrated(t, "chdb:"+t.TempDir()), start: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	var plan []planned
	for i := range 30 {
		plan = append(plan, planned{id: fmt.Sprint("nowhere", i), address: "[::]:40404", agent: "fleet/1", up: []int{0}}, planned{id: fmt.Sprint("here", i), address: fmt.Sprintf("10.0.0.%d:40404", i), agent: "fleet/2", up: []int{0}})
	}
	r.crawl(t, 0, observation.Complete, plan)
	found, err := Default().read(t.Context(), r.store.DB(), "net", r.ids)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Traits{
		"fleet/1": {Agent: "fleet/1", AgentHere: 30, AgentAnywhere: 30},
		"fleet/2": {Agent: "fleet/2", AgentHere: 30, AgentAnywhere: 30, Siblings: 30, Neighbourhood: 30, Ports: 30},
	}
	for k := range found.kin(Default(), found.totals()) {
		got := k.traits
		got.Country, got.Hosting = "", ""
		if len(k.members) != 30 || !reflect.DeepEqual(got, want[got.Agent]) {
			t.Errorf("%d of %+v", len(k.members), got)
		}
	}
}
