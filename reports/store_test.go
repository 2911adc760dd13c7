package reports

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"canopy/crawler/observation"
	"canopy/crawler/store"
	"canopy/crawler/store/storetest"
)

// The embedded engine takes one folder for each process, so every test has a
// database of its own in it.
var (
	engineDir string
	databases atomic.Int32
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "canopy-reports-*")
	if err != nil {
		panic(err)
	}
	engineDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	return storetest.Migrated(t, fmt.Sprintf("chdb:%s?database=test%d", engineDir, databases.Add(1)))
}

// plannedPeer is one peer of a planned network.
type plannedPeer struct {
	id, agent string
	address   string
	facts     observation.Facts
	up        func(crawl int) observation.Outcome // empty: not heard of
}

// plannedCrawl is one crawl of it.
type plannedCrawl struct {
	start time.Time
	state observation.State
	scope string
	notes []string
}

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func always(int) observation.Outcome { return observation.Answered }

// write records crawls of a planned network.
func write(t *testing.T, s *store.Store, network observation.Network, crawls []plannedCrawl, peers []plannedPeer) {
	t.Helper()
	for i, plan := range crawls {
		c := observation.Crawl{
			ID: observation.NewCrawlID(plan.start), Network: network.Name, Vantage: "here", Scope: plan.scope, StartedAt: plan.start,
			State: observation.Running, Software: "canopy test",
			Settings: fmt.Sprintf(`{"network":{"name":%q,"title":%q,"identity":%q}}`, network.Name, network.Title, network.Identity),
		}
		must(t, s.BeginCrawl(t.Context(), c))
		var visits []observation.Visit
		for _, p := range peers {
			outcome := p.up(i)
			if outcome == "" {
				continue
			}
			v := observation.Visit{
				Network: network.Name, CrawlID: c.ID, Number: uint32(len(visits)), VisitedAt: plan.start.Add(time.Second), PeerID: p.id,
				Address: netip.AddrPortFrom(netip.MustParseAddr(p.address), 6881), Outcome: outcome, Queries: 3, Facts: p.facts,
			}
			c.Discovered++
			if outcome == observation.Answered {
				c.Reachable++
				v.Agent = p.agent
			}
			visits = append(visits, v)
		}
		must(t, s.Visits(t.Context(), visits))
		if plan.state == observation.Running {
			continue
		}
		c.State, c.EndedAt, c.Queries, c.Notes = plan.state, plan.start.Add(20*time.Second), 3*c.Discovered, plan.notes
		must(t, s.EndCrawl(t.Context(), c))
	}
	must(t, s.Flush(t.Context()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func crawlsEvery(n int, wait time.Duration, scope string) []plannedCrawl {
	var crawls []plannedCrawl
	for i := range n {
		crawls = append(crawls, plannedCrawl{start: day.Add(time.Duration(i) * wait), state: observation.Complete, scope: scope})
	}
	return crawls
}

// land is a prefix with its facts.
type land struct {
	hosting      observation.Hosting
	organisation string
	country      string
	asn          uint32
}

var lands = []land{
	{observation.HostingResidential, "Example Telecom", "DE", 64500}, {observation.HostingResidential, "Exemple Haut Débit", "FR", 64501},
	{observation.HostingMobile, "Example Mobile", "IN", 64502}, {observation.HostingInstitutional, "University of Example", "NL", 64503},
	{observation.HostingHosting, "Example Cloud", "US", 64504}, {observation.HostingHosting, "Example VPS", "FI", 64505},
	{observation.HostingAnonymiser, "Example VPN", "CH", 64506},
}

// population plans peers on all lands: 60 at home, 10 mobile, 10 at a
// university, 70 in one cloud, 10 on rented servers, 5 behind a VPN. A third of
// the homes come and go, and 40 dead entries never answer.
func population(network string) []plannedPeer {
	var peers []plannedPeer
	for i, n := range []int{40, 20, 10, 10, 70, 10, 5} {
		for k := range n {
			p := plannedPeer{
				id: fmt.Sprintf("%s-%d-%d", network, i, k), agent: "kubo/0.39.0/2896aed", address: fmt.Sprintf("45.%d.%d.%d", 10+i, k, 7), up: always,
				facts: observation.Facts{
					Prefix: netip.MustParsePrefix(fmt.Sprintf("45.%d.0.0/16", 10+i)), ASN: lands[i].asn, Organisation: lands[i].organisation,
					Country: lands[i].country, Hosting: lands[i].hosting, Source: "test", Date: day,
				},
			}
			switch {
			case i == 4:
				p.agent, p.address = "storm/1.2", fmt.Sprintf("45.14.3.%d", k+1)
			case k%4 == 3:
				p.agent = "libtorrent 2.0.11"
			case k%9 == 1:
				p.agent = ""
			}
			if i < 2 && k%3 == 0 {
				p.up = func(crawl int) observation.Outcome {
					return []observation.Outcome{observation.Answered, observation.Timeout, ""}[(crawl+k/3)%3]
				}
			}
			peers = append(peers, p)
		}
	}
	for k := range 40 {
		outcome := observation.Timeout
		if k%5 == 0 {
			outcome = observation.WrongProtocol
		}
		peers = append(peers, plannedPeer{id: fmt.Sprintf("%s-dead-%d", network, k), address: fmt.Sprintf("45.30.0.%d", k+1), up: func(int) observation.Outcome { return outcome }})
	}
	return peers
}

// hostile strings stand in every text field that the network or a data set fills.
var hostile = []string{
	`<script>window.pwned=1</script>`, `"><img src=x onerror="window.pwned=1">`, `</title></svg><script>window.pwned=1</script>`, "\x1b[31mred\x07",
	`=HYPERLINK("http://example.org","x")`, strings.Repeat("A", 10_000), "\xff\xfe\x00", "right\u202eleft", "javascript:alert(1)", "{{.}}", "日本語の組織、とても長い名前の株式会社", "",
	"Полное наименование организации связи и вычислительных центров", "شركة الاتصالات السعودية للخدمات السحابية والاستضافة", "บริษัท กสท โทรคมนาคม จำกัด (มหาชน)",
	"Ελληνικός Οργανισμός Τηλεπικοινωνιών", "भारत संचार निगम लिमिटेड", "🐝🐝🐝 Hive 🏳️‍🌈 👩🏽‍🚀", "﷽ 𒐫 ⸻", "Z" + strings.Repeat("\u0301\u0335\u20dd", 40), "Ünïcödé Télécom Čeština s.r.o.",
	strings.Repeat("An Organisation of Many Words ", 8), "a" + strings.Repeat(" ", 90) + "b", "#1C2128;#57606A",
}
