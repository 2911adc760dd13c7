package nebula

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/multiformats/go-multihash"

	"canopy/crawler/identifier"
	"canopy/crawler/observation"
)

const (
	prefix = "2023-05-01T12:00"
	head1  = `{"id":0,"state":"succeeded","started_at":"2023-05-01T12:00:00.5Z","finished_at":"2023-05-01T12:08:00Z","updated_at":"2023-05-01T12:08:00Z","created_at":"2023-05-01T12:00:00Z","crawled_peers":5,"dialable_peers":3,"undialable_peers":2,"remaining_peers":0,"version":"2.1.0"}`
	alice  = "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP"
	bob    = "QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6"
	carol  = "12D3KooWEwdWbGSG2bnwqa4Kug6hsyjiSESbmLK3Nvj2Hn13CLvp"
	relay  = "16Uiu2HAm4A1jA9DudCdRbVZLzWBtt24jtpLCYsB6KDy5EQGuqLJ4"
)

var visits = []string{
	`{"PeerID":"` + alice + `","Maddrs":["/ip4/10.0.0.1/tcp/4001","/ip4/45.77.1.2/udp/4001/quic-v1","/ip4/45.77.1.2/tcp/4001"],"Protocols":["/ipfs/kad/1.0.0","/ipfs/id/1.0.0"],"AgentVersion":"kubo/0.18.1/675f8bd\u001b[31m","ConnectDuration":"85.5ms","CrawlDuration":"1.2s","VisitStartedAt":"2023-05-01T12:00:01Z","VisitEndedAt":"2023-05-01T12:00:03Z","ConnectErrorStr":"","CrawlErrorStr":"","Properties":null}`,
	`{"PeerID":"` + bob + `","Maddrs":["/ip4/45.77.2.2/tcp/4001"],"Protocols":null,"AgentVersion":"","ConnectDuration":"5s","CrawlDuration":"5s","VisitStartedAt":"2023-05-01T12:00:02Z","VisitEndedAt":"2023-05-01T12:00:07Z","ConnectErrorStr":"io_timeout","CrawlErrorStr":"","Properties":null}`,
	`{"PeerID":"` + carol + `","Maddrs":["/ip4/45.77.9.9/tcp/4001/p2p/` + relay + `/p2p-circuit"],"FilteredMaddrs":null,"ListenMaddrs":["/ip6/2a00:1450::1/tcp/4001"],"ConnectMaddr":"/ip6/2a00:1450::1/udp/4001/quic-v1","Protocols":[],"AgentVersion":"x","ConnectDuration":"","VisitStartedAt":"2023-05-01T12:00:04Z","ConnectErrorStr":"","CrawlErrorStr":"protocol_not_supported"}`,
}

var tables = []string{
	`{"PeerID":"` + alice + `","NeighborIDs":["` + bob + `","` + carol + `","` + carol + `","` + relay + `","` + alice + `"],"ErrorBits":"0000000000000000"}`,
	`{"PeerID":"` + carol + `","NeighborIDs":["` + alice + `"],"ErrorBits":"0000000000000100"}`,
}

// sink remembers what it was given; it fails after some rows if told so.
type sink struct {
	begun, ended []observation.Crawl
	visits       []observation.Visit
	edges        []observation.Edge
	fail         error
}

func (s *sink) BeginCrawl(_ context.Context, c observation.Crawl) error {
	s.begun = append(s.begun, c)
	return nil
}

func (s *sink) Visits(_ context.Context, v []observation.Visit) error {
	s.visits = append(s.visits, v...)
	return s.fail
}

func (s *sink) Edges(_ context.Context, e []observation.Edge) error {
	s.edges = append(s.edges, e...)
	return nil
}

func (s *sink) EndCrawl(_ context.Context, c observation.Crawl) error {
	s.ended = append(s.ended, c)
	return nil
}

func folder(t *testing.T, head string, visits, tables []string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"_crawl.json": head, "_visits.ndjson": strings.Join(visits, "\n") + "\n", "_neighbors.ndjson": strings.Join(tables, "\n")} {
		if err := os.WriteFile(filepath.Join(dir, prefix+name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var options = Options{
	Network: observation.Network{Name: "ipfs", Title: "IPFS DHT"}, Vantage: "nebula",
	Facts: func(a netip.Addr) observation.Facts { return observation.Facts{Organisation: "of " + a.String()} },
}

func read(t *testing.T, dir string, s *sink) (*Report, error) {
	t.Helper()
	found, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Import(t.Context(), found[0], options, s)
}

func TestImport(t *testing.T) {
	var s sink
	r, err := read(t, folder(t, head1, visits, tables), &s)
	if err != nil {
		t.Fatal(err)
	}
	if r.Visits != 3 || r.Edges != 2 || r.Bad != 0 || r.Strange != 1 || len(s.ended) != 1 {
		t.Fatalf("read %+v", r)
	}
	c := s.ended[0]
	if c.State != observation.Complete || c.Discovered != 3 || c.Reachable != 1 || c.Software != "nebula/2.1.0" || c.EndedAt.Sub(c.StartedAt).Seconds() != 479.5 || !strings.Contains(c.Settings, "IPFS DHT") {
		t.Errorf("the crawl is %+v", c)
	}
	a, b, d := s.visits[0], s.visits[1], s.visits[2]
	if a.Outcome != observation.Answered || a.Address.String() != "45.77.1.2:4001" || a.Transport != "quic-v1" || a.Agent != `kubo/0.18.1/675f8bd\u{001b}[31m` || a.Handshake.Milliseconds() != 85 ||
		a.Neighbours != 2 || a.Facts.Organisation != "of 45.77.1.2" || len(a.Protocols) != 2 || len(a.Addresses) != 3 {
		t.Errorf("who answered is %+v", a)
	}
	if b.Outcome != observation.Timeout || b.Handshake != 0 || b.Transport != "tcp" {
		t.Errorf("who was silent is %+v", b)
	}
	if d.Outcome != observation.WrongProtocol || d.Address.String() != "[2a00:1450::1]:4001" || !slices.Equal(d.Relays, []string{relay}) || !d.Partial {
		t.Errorf("who speaks something else is %+v", d)
	}
	if !slices.Equal(s.edges[0].Neighbours, []uint32{1, 2}) || !slices.Equal(s.edges[1].Neighbours, []uint32{0}) || !s.edges[1].Partial {
		t.Errorf("edges are %+v", s.edges)
	}
	var again sink
	renamed := folder(t, head1, visits, tables)
	for _, end := range []string{"_crawl.json", "_visits.ndjson", "_neighbors.ndjson"} {
		if err := os.Rename(filepath.Join(renamed, prefix+end), filepath.Join(renamed, "may"+end)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := read(t, renamed, &again); err != nil || again.ended[0].ID != c.ID || again.visits[2].Number != d.Number {
		t.Errorf("read again the crawl is %v, then %v (%v)", c.ID, again.ended[0].ID, err)
	}
}

// TestPartAnswered reads peers of which Nebula read some of the table, or nothing:
// it calls both visits failed.
func TestPartAnswered(t *testing.T) {
	failed := func(id string) string {
		return strings.Replace(strings.Replace(visits[0], alice, id, 1), `"CrawlErrorStr":""`, `"CrawlErrorStr":"io_timeout"`, 1)
	}
	table := func(id, named string) string {
		return `{"PeerID":"` + id + `","NeighborIDs":[` + named + `],"ErrorBits":"0000000000000100"}`
	}
	var s sink
	r, err := read(t, folder(t, head1, []string{visits[0], failed(bob), failed(carol)}, []string{tables[0], table(bob, `"`+alice+`"`), table(carol, "")}), &s)
	if err != nil || len(s.visits) != 3 {
		t.Fatal(r, err)
	}
	if v := s.visits[1]; v.Outcome != observation.Answered || v.Detail != "" || !v.Partial || v.Neighbours != 1 {
		t.Errorf("who answered some of the questions is %+v", v)
	}
	if v := s.visits[2]; v.Outcome != observation.Timeout || v.Handshake == 0 {
		t.Errorf("who answered none is %+v", v)
	}
	if s.ended[0].Reachable != 2 {
		t.Errorf("%d are reachable, want 2", s.ended[0].Reachable)
	}
}

// TestPacked reads files that were packed, and one that was cut afterwards.
func TestPacked(t *testing.T) {
	dir := folder(t, head1, visits, tables)
	for _, end := range []string{"_visits.ndjson", "_neighbors.ndjson"} {
		path := filepath.Join(dir, prefix+end)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := w.Write(text); err != nil || w.Close() != nil || os.Remove(path) != nil || os.WriteFile(path+".gz", out.Bytes(), 0o600) != nil {
			t.Fatal(err)
		}
	}
	var s sink
	if r, err := read(t, dir, &s); err != nil || r.Visits != 3 || r.Edges != 2 || r.Bad != 0 {
		t.Fatalf("packed files: %+v, %v", r, err)
	}
	if err := os.Truncate(filepath.Join(dir, prefix+"_visits.ndjson.gz"), 100); err != nil {
		t.Fatal(err)
	}
	var cut sink
	if _, err := read(t, dir, &cut); err == nil || len(cut.begun) > 0 {
		t.Errorf("a packed file that was cut gives %v and %d crawls", err, len(cut.begun))
	}
}

func TestBadLines(t *testing.T) {
	bad := []string{"", "{", `{"PeerID":"=1+1"}`, `{"PeerID":"` + alice + `","VisitStartedAt":"1066-10-14T12:00:00Z"}`, visits[0] /* again */, strings.Replace(visits[1], bob, bob[:len(bob)-1], 1)}
	var s sink
	r, err := read(t, folder(t, head1, append(slices.Clone(visits), bad...), append([]string{"nonsense"}, tables...)), &s)
	if err != nil {
		t.Fatal(err)
	}
	if r.Visits != 3 || r.Bad != 5 || r.Repeated != 1 || r.Edges != 2 || len(r.Examples) != 5 {
		t.Errorf("read %d visits, %d bad, %d again: %q", r.Visits, r.Bad, r.Repeated, r.Examples)
	}
	if !strings.Contains(r.Examples[1], "_visits.ndjson, line 6: PeerID is no peer ID") {
		t.Errorf("the bad line is named %q", r.Examples[1])
	}
	long := `{"PeerID":"` + strings.Repeat("x", maxLine) + `"}`
	if r, err := read(t, folder(t, head1, []string{visits[0], long, visits[1]}, tables[:1]), &sink{}); err != nil || r.Visits != 2 || r.Bad != 1 {
		t.Errorf("with a long line: %+v, %v", r, err)
	}
}

// TestRefused checks that what is no crawl leaves nothing behind.
func TestRefused(t *testing.T) {
	for name, dir := range map[string]string{
		"no JSON":       folder(t, "<html>", visits, tables),
		"no date":       folder(t, `{"state":"succeeded"}`, visits, tables),
		"no visits":     folder(t, head1, nil, tables),
		"mostly bad":    folder(t, head1, []string{visits[0], "x", "y"}, tables),
		"other tables":  folder(t, head1, visits, []string{"x", "y"}),
		"ends too soon": folder(t, strings.Replace(head1, "12:08", "11:08", 1), visits, tables),
	} {
		var s sink
		if _, err := read(t, dir, &s); err == nil || len(s.begun)+len(s.visits) > 0 {
			t.Errorf("%s: %d crawls and %d visits are imported, error %v", name, len(s.begun), len(s.visits), err)
		}
	}
}

func TestMissingFiles(t *testing.T) {
	dir := folder(t, head1, visits, tables)
	for _, end := range []string{"_crawl.json", "_neighbors.ndjson"} {
		if err := os.Remove(filepath.Join(dir, prefix+end)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, prefix+"_crawl.json"), 0o700); err != nil { // no file either
		t.Fatal(err)
	}
	_, err := Find(dir)
	if err == nil || !strings.Contains(err.Error(), prefix+"_crawl.json, "+prefix+"_neighbors.ndjson") {
		t.Errorf("files are missing, and the error is: %v", err)
	}
	if _, err := Find(t.TempDir()); err == nil || !strings.Contains(err.Error(), "holds no *_crawl.json") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestCutShort(t *testing.T) {
	for name, head := range map[string]string{
		"cancelled": strings.Replace(head1, "succeeded", "cancelled", 1), "started": strings.Replace(head1, "succeeded", "started", 1),
		"remaining": strings.Replace(head1, `"remaining_peers":0`, `"remaining_peers":7`, 1),
	} {
		if r, err := read(t, folder(t, head, visits, tables), &sink{}); err != nil || r.Crawl.State != observation.CutShort || len(r.Crawl.Notes) < 2 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	s := sink{fail: errors.New("disk full")}
	if _, err := read(t, folder(t, head1, visits, tables), &s); !errors.Is(err, s.fail) || len(s.ended) != 1 || s.ended[0].State != observation.CutShort ||
		!strings.Contains(strings.Join(s.ended[0].Notes, " "), Interrupted) {
		t.Errorf("an import that failed midway ends with %v, %+v", err, s.ended)
	}
}

func FuzzVisit(f *testing.F) {
	for _, line := range append(visits, "{}", "null", `{"Maddrs":["/ip4//tcp/","/p2p-circuit","//////"]}`) {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		v, cut, err := decodeVisit(line, public)
		if err != nil {
			return
		}
		if id, err := identifier.Peer(v.PeerID); err != nil || id != v.PeerID || min(cut.Addresses, cut.Protocols, cut.Unreadable) < 0 || !slices.Contains(observation.Outcomes(), v.Outcome) || v.Handshake < 0 || len(v.Addresses) > maxAddresses || len(v.Protocols) > maxProtocols {
			t.Fatalf("%q is read as %+v", line, v)
		}
		for _, s := range append([]string{v.Agent, v.Detail}, append(v.Protocols, v.Addresses...)...) {
			if s != observation.Text(s) {
				t.Fatalf("%q holds %q", line, s)
			}
		}
		if v.Address.IsValid() && (v.Address.Port() == 0 || v.Address.Addr().Zone() != "") {
			t.Fatalf("%q stands at %v", line, v.Address)
		}
	})
}

func FuzzNeighbours(f *testing.F) {
	for _, line := range append(tables, "{}", `{"ErrorBits":"2"}`) {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		in, _, cut, err := decodeNeighbours(line)
		if err == nil && (identifier.Recorded(in.PeerID) != in.PeerID || len(in.NeighborIDs) > maxNeighbour || cut < 0) {
			t.Fatalf("%q is read as %+v", line, in)
		}
	})
}

func FuzzCrawl(f *testing.F) {
	f.Add([]byte(head1))
	f.Add([]byte(`{"started_at":"9999-12-31T23:59:59Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := decodeHead(text)
		if err == nil && !believable(h.StartedAt) {
			t.Fatalf("%q is read as %+v", text, h)
		}
	})
}

// BenchmarkImport reads a crawl of 10,000 peers with 200 neighbours each.
func BenchmarkImport(b *testing.B) {
	dir := b.TempDir()
	var lines, named []string
	var ids []string
	for i := range 10_000 {
		hash, err := multihash.Sum(fmt.Appendf(nil, "%d", i), multihash.SHA2_256, -1)
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, hash.B58String())
	}
	id := func(i int) string { return ids[i] }
	for i := range 10_000 {
		lines = append(lines, strings.Replace(visits[0], alice, id(i), 1))
		var list []string
		for k := range 200 {
			list = append(list, `"`+id((i+k*k+1)%10_000)+`"`)
		}
		named = append(named, `{"PeerID":"`+id(i)+`","NeighborIDs":[`+strings.Join(list, ",")+`],"ErrorBits":"0000000000000000"}`)
	}
	for name, text := range map[string]string{"_crawl.json": head1, "_visits.ndjson": strings.Join(lines, "\n"), "_neighbors.ndjson": strings.Join(named, "\n")} {
		if err := os.WriteFile(filepath.Join(dir, prefix+name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	found, err := Find(dir)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if r, err := Import(b.Context(), found[0], options, &sink{}); err != nil || r.Visits != 10_000 || r.Bad > 0 {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "peers/s")
}
