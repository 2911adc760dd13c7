package dataset

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/crawler/observation"
	"canopy/crawler/store"
	"canopy/reports"
)

func count(t testing.TB, s *store.Store, query string) int {
	t.Helper()
	var n uint64
	must(t, s.DB().QueryRowContext(t.Context(), query).Scan(&n))
	return int(n)
}

func names(t testing.TB, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// published exports a record and loads the dataset into a database of its own.
func published(t testing.TB, s *store.Store, o Options) (dir string, sum *Summary, loaded *store.Store, index *Index) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "dataset")
	sum, err := Export(t.Context(), readFrom(s), dir, o)
	must(t, err)
	index, err = Check(dir)
	must(t, err)
	loaded = openEmpty(t)
	must(t, Load(t.Context(), loaded.DB(), dir, index))
	return dir, sum, loaded, index
}

// TestFigures makes the report from the record and from the dataset alone. Peers
// stand together in hundreds, so that nothing is withheld of what shares are
// made of.
func TestFigures(t *testing.T) {
	s := openStore(t)
	fillWith(t, s, "alpha", 3, 12_000, 0)
	record, err := reports.Build(t.Context(), s.DB(), reports.Options{Generated: day})
	must(t, err)
	for _, format := range []string{Parquet, CSV} {
		t.Run(format, func(t *testing.T) {
			_, sum, loaded, _ := published(t, s, Options{Format: format})
			for _, name := range []string{"hosting", "operator"} {
				if sum.Suppressed[name] > 0 {
					t.Fatalf("%s is withheld of %d visits: the plan is no test of shares", name, sum.Suppressed[name])
				}
			}
			again, err := reports.Build(t.Context(), loaded.DB(), reports.Options{Generated: day, Published: true})
			must(t, err)
			compare(t, &record.Networks[0], &again.Networks[0])
			must(t, again.Write(t.TempDir()))
		})
	}
}

func compare(t *testing.T, want, have *reports.Network) {
	t.Helper()
	same := func(what string, a, b analysis.Estimate) {
		t.Helper()
		if math.Abs(a.Value-b.Value) > 1e-9*max(1, math.Abs(a.Value)) || math.Abs(a.Lower-b.Lower) > 1e-9 || math.Abs(a.Upper-b.Upper) > 1e-9 {
			t.Errorf("%s: the report says %v (%v to %v), the dataset %v (%v to %v)", what, a.Value, a.Lower, a.Upper, b.Value, b.Lower, b.Upper)
		}
	}
	if want.Peers != have.Peers || want.Peers == 0 || len(want.Hosting) != len(have.Hosting) || len(want.Operator) != len(have.Operator) || len(want.Outcomes) != len(have.Outcomes) {
		t.Fatalf("the report counts %d peers, %d classes of land, %d outcomes; the dataset %d, %d, %d", want.Peers, len(want.Hosting), len(want.Outcomes), have.Peers, len(have.Hosting), len(have.Outcomes))
	}
	for i, h := range want.Hosting {
		same("share on "+h.Class, h.Share, have.Hosting[i].Share)
		for crawl := range want.Trend[i].Shares {
			same("trend on "+h.Class, want.Trend[i].Shares[crawl], have.Trend[i].Shares[crawl])
		}
	}
	for i, o := range want.Operator {
		same("share of "+o.Class, o.AtLeast, have.Operator[i].AtLeast)
		same("share of "+o.Class, o.AtMost, have.Operator[i].AtMost)
	}
	for i, o := range want.Outcomes {
		same(o.Outcome.Outcome, o.Share, have.Outcomes[i].Share)
	}
	for i, c := range want.Clients {
		same("client "+c.Class, c.Share, have.Clients[i].Share)
	}
	for i, c := range want.Counting.Hosting {
		for k, class := range c.Classes {
			if c.Per != "AS organisation" { // that of few peers is withheld
				same(c.Name()+", "+class.Class, class.Share, have.Counting.Hosting[i].Classes[k].Share)
			}
		}
	}
	same("undecided", *want.Undecided, *have.Undecided)
	same("effective number of organisations", want.Organisations.Effective, have.Organisations.Effective)
	same("effective number of prefixes", want.Prefixes.Effective, have.Prefixes.Effective)
	if len(want.Sessions.Hosting) != len(have.Sessions.Hosting) || want.Sessions.InAll != have.Sessions.InAll {
		t.Errorf("the report counts %d peers in all crawls, the dataset %d", want.Sessions.InAll, have.Sessions.InAll)
	}
}

// TestCellsOfFiles groups the file of visits by all fields that may tell who a
// peer is.
func TestCellsOfFiles(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 1, 3000)
	dir, sum, loaded, _ := published(t, s, Options{})
	if sum.Suppressed["agent"]+sum.Suppressed["prefix"]+sum.Suppressed["client"] == 0 {
		t.Fatal("nothing is withheld: the plan is no test of it")
	}
	source, err := visitsForm.source(dir, Parquet)
	must(t, err)
	small := count(t, loaded, `SELECT count() FROM (
		SELECT hosting, operator, leaning, country, asn, organisation, operator_name, probability, client, agent, prefix, uniqExact(peer_id) AS n FROM `+source+` GROUP BY ALL) WHERE n < 5`)
	if small > 0 {
		t.Errorf("%d cells hold fewer than 5 peers", small)
	}
	if n := count(t, loaded, "SELECT toUInt64(sum(peers)) FROM agents"); n != count(t, s, "SELECT uniqExact(peer_id) FROM visits WHERE outcome = 'answered'") {
		t.Errorf("agents count %d peers", n)
	}
	if n := count(t, loaded, "SELECT countIf(peers < 5) FROM agents"); n > 0 {
		t.Errorf("%d agents have fewer than 5 peers", n)
	}
}

// TestOwnNodesAreLeftOut plants a node, names an address as ours, and adds a
// network that is too small.
func TestOwnNodesAreLeftOut(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 1, 3000)
	fill(t, s, "tiny", 1, 4)
	var planted, mine string
	must(t, s.DB().QueryRowContext(t.Context(), "SELECT min(peer_id) FROM visits WHERE network = 'alpha'").Scan(&planted))
	must(t, s.DB().QueryRowContext(t.Context(), "SELECT substring(toString(max(address)), 8) FROM visits WHERE network = 'alpha' AND peer_id != ?", planted).Scan(&mine))
	_, err := s.DB().ExecContext(t.Context(), "INSERT INTO marks_log (network, crawl_id, peer_id, kind, named) SELECT network, crawl_id, peer_id, 'planted', 1 FROM visits WHERE peer_id = ?", planted)
	must(t, err)
	_, err = s.DB().ExecContext(t.Context(), "INSERT INTO edges_log (network, crawl_id, peer, neighbours) SELECT 'alpha', any(crawl_id), 2999, arraySort(groupArray(number)) FROM visits WHERE network = 'alpha'")
	must(t, err)
	wrong := count(t, s, "SELECT count() FROM visits WHERE network = 'alpha' AND (peer_id = '"+planted+"' OR address = toIPv6('"+mine+"'))")
	_, sum, loaded, _ := published(t, s, Options{Own: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(mine), 32)}})
	if want := int64(wrong + 4); wrong < 2 || sum.Dropped != want || sum.Rows["visits"] != 3004-want {
		t.Errorf("%d visits are left out and %d exported, want %d and %d", sum.Dropped, sum.Rows["visits"], want, 3004-want)
	}
	for _, table := range []string{"visits", "crawls"} {
		if n := count(t, loaded, "SELECT count() FROM "+table+" WHERE network = 'tiny'"); n > 0 {
			t.Errorf("%d %s of a network of 4 peers are exported", n, table)
		}
	}
	if n := count(t, loaded, "SELECT toUInt64(sum(arrayCount(x -> x NOT IN (SELECT number FROM visits), neighbours))) FROM edges"); n > 0 {
		t.Errorf("edges name %d peers that are left out", n)
	}
}

func TestRaw(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 1, 300)
	dir, sum, loaded, _ := published(t, s, Options{Raw: true, Format: CSV})
	if n := count(t, loaded, "SELECT uniqExact(address) FROM visits WHERE address IS NOT NULL"); n != count(t, s, "SELECT uniqExact(address) FROM visits") || sum.Rows["visits"] != 300 {
		t.Errorf("raw: %d addresses of %d visits", n, sum.Rows["visits"])
	}
	for _, name := range []string{"README.md", "DATASHEET.md", "LICENSE"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		if !strings.Contains(string(text), "raw") {
			t.Errorf("%s does not say that the dataset is raw", name)
		}
	}
}

// TestPapers checks that the folder is whole, and that others' tools agree with
// its checksums.
func TestPapers(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 1, 300)
	dir, _, _, index := published(t, s, Options{Attributions: []string{"Example data, CC BY 4.0"}})
	if len(index.Attributed) != 2 || !strings.HasPrefix(index.Attributed[1], "test of 2026-02-01; its terms are not known") {
		t.Errorf("facts of the data set “test” are in it, and it names %q", index.Attributed)
	}
	want := []string{"CITATION.cff", "DATASHEET.md", "LICENSE", "README.md", "SHA256SUMS", "agents.parquet", "clearcuts.parquet", "crawls.parquet", "dataset.json", "edges.parquet", "findings.parquet",
		"probes.parquet", "protocols.parquet", "queries.sql", "sessions.parquet", "sizes.parquet", "visits.parquet"}
	if have := names(t, dir); !slices.Equal(have, want) {
		t.Errorf("the folder holds %v, want %v", have, want)
	}
	queries, err := os.ReadFile(filepath.Join(dir, "queries.sql"))
	must(t, err)
	for name, want := range map[string]int{"visits": 300, "where each peer was seen last, for the size of cells": 300, "edges": 0, "probes": 0, "sessions": 0, "protocols": 0} {
		_, query, there := strings.Cut(string(queries), "\n-- "+name+"\n")
		query, _, ended := strings.Cut(query, ";\n")
		if !there || !ended {
			t.Errorf("queries.sql lacks %s", name)
			continue
		}
		if n := count(t, s, "SELECT count() FROM ("+query+")"); n != want {
			t.Errorf("the query of %s gives %d rows, want %d", name, n, want)
		}
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	must(t, err)
	for _, f := range tables {
		for _, c := range f.columns {
			if !strings.Contains(string(readme), "| "+c.name+" | ") {
				t.Errorf("the data dictionary lacks %s.%s", f.name, c.name)
			}
		}
	}
	if _, err := exec.LookPath("sha256sum"); err == nil {
		check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
		check.Dir = dir
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("sha256sum: %v\n%s", err, out)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "agents.parquet"), []byte("changed"), 0o600))
	must(t, os.Remove(filepath.Join(dir, "visits.parquet")))
	must(t, os.Remove(filepath.Join(dir, "edges.parquet")))
	if _, err := Check(dir); err == nil || !strings.Contains(err.Error(), "missing: visits.parquet, edges.parquet") {
		t.Errorf("files are missing, and the error is: %v", err)
	}
	if _, err := Check(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no dataset") {
		t.Errorf("a folder that is no dataset gives: %v", err)
	}
}

// TestNothingHalf ends an export midway, and repeats others.
func TestNothingHalf(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 3, 3000)
	parent := t.TempDir()
	dir := filepath.Join(parent, "dataset")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Export(ctx, readFrom(s), dir, Options{Progress: func(p Progress) {
		if p.Table == "visits" {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an export that was ended says %v", err)
	}
	if left := names(t, parent); len(left) > 0 {
		t.Errorf("an export that was ended leaves %v", left)
	}
	export := func(o Options) error {
		_, err := Export(t.Context(), readFrom(s), dir, o)
		return err
	}
	must(t, export(Options{}))
	before, err := os.ReadFile(filepath.Join(dir, sumsFile))
	must(t, err)
	if err := export(Options{}); !errors.Is(err, ErrExists) {
		t.Errorf("a dataset is replaced without force: %v", err)
	}
	must(t, export(Options{Force: true}))
	after, err := os.ReadFile(filepath.Join(dir, sumsFile))
	must(t, err)
	if string(before) == string(after) || !slices.Equal(names(t, parent), []string{"dataset"}) {
		t.Error("a dataset is not replaced with force")
	}
	other := filepath.Join(parent, "thesis")
	must(t, os.MkdirAll(other, 0o755))
	must(t, os.WriteFile(filepath.Join(other, "chapter1.tex"), []byte("years"), 0o600))
	if _, err := Export(t.Context(), readFrom(s), other, Options{Force: true}); !errors.Is(err, ErrExists) {
		t.Errorf("a folder that is no dataset is replaced: %v", err)
	}
	_, err = Export(t.Context(), readFrom(s), filepath.Join(parent, "later"), Options{Window: analysis.Window{From: day.AddDate(50, 0, 0)}})
	if !errors.Is(err, ErrNoCrawl) {
		t.Errorf("a period in the future gives: %v", err)
	}
}

// orderTellsNothing checks that probes stand in the order of pseudonyms: that of
// identities would tell where each lies among those that others know.
func orderTellsNothing(t *testing.T, s *store.Store) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dataset")
	_, err := Export(t.Context(), readFrom(s), dir, Options{Format: CSV})
	must(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "probes.csv"))
	must(t, err)
	var peers []string
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		peers = append(peers, strings.Split(line, ",")[2])
	}
	if len(peers) == 0 || !slices.IsSorted(peers) {
		t.Errorf("%d probes are not in the order of pseudonyms", len(peers))
	}
}

// TestWatched exports probes and sessions.
func TestWatched(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 1, 600)
	var probes, elsewhere []observation.Probe
	rows, err := s.DB().QueryContext(t.Context(), "SELECT DISTINCT peer_id, toString(address) FROM visits WHERE outcome = 'answered' ORDER BY peer_id LIMIT 100")
	must(t, err)
	defer rows.Close() //nolint:errcheck // rows.Err says it all
	for rows.Next() {
		var peer, address string
		must(t, rows.Scan(&peer, &address))
		i := len(probes) / 12
		for k := range 12 {
			p := observation.Probe{Network: "alpha", PeerID: peer, Address: netip.AddrPortFrom(netip.MustParseAddr(address).Unmap(), 6881), ProbedAt: day.Add(time.Duration(k) * 5 * time.Minute), Outcome: observation.Answered, RTT: time.Millisecond, ControlOK: true}
			if k < i%4 || k > 4+i%8 {
				p.Outcome, p.RTT = observation.Timeout, 0
			}
			probes = append(probes, p)
			if k < 3 { // somebody elsewhere sees it otherwise
				p.Vantage, p.Outcome = "elsewhere", observation.Answered
				elsewhere = append(elsewhere, p)
			}
		}
	}
	must(t, rows.Err())
	must(t, s.Probes(t.Context(), elsewhere))
	must(t, s.Probes(t.Context(), probes))
	must(t, s.Flush(t.Context()))
	record, err := reports.Build(t.Context(), s.DB(), reports.Options{Generated: day})
	must(t, err)
	_, sum, loaded, _ := published(t, s, Options{Window: analysis.Window{From: day.Add(-time.Hour)}})
	orderTellsNothing(t, s)
	if sum.Rows["probes"] != 1500 || sum.Rows["sessions"] == 0 {
		t.Errorf("%d probes and %d sessions are exported", sum.Rows["probes"], sum.Rows["sessions"])
	}
	again, err := reports.Build(t.Context(), loaded.DB(), reports.Options{Generated: day, Published: true})
	must(t, err)
	want, have := record.Networks[0].Survival, again.Networks[0].Survival
	if want == nil || have == nil || want.Vantage != "here" || have.Vantage != "here" || want.Elsewhere != 300 || have.Elsewhere != 300 || want.Turnbull == nil || have.Turnbull == nil {
		t.Fatalf("there is no survival curve of one vantage to compare: %+v, %+v", want, have)
	}
	alike := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 } // peers have another order, so sums differ in the last digits
	if !slices.EqualFunc(want.Turnbull.Share, have.Turnbull.Share, alike) || want.Sessions != have.Sessions || want.Watched != have.Watched || math.Abs(want.Availability.Value-have.Availability.Value) > 1e-9 {
		t.Errorf("survival differs: availability %v and %v of %d and %d peers", want.Availability.Value, have.Availability.Value, want.Watched, have.Watched)
	}
}
