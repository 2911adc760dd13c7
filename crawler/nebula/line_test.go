package nebula

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"canopy/crawler/identifier"
)

// vectors are the multiaddrs that the crawler is tested with.
func vectors(t testing.TB) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "ipfs", "endpoint", "testdata", "multiaddrs.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := csv.NewReader(f)
	c.Comment = '#'
	list, err := c.ReadAll()
	if err != nil || len(list) < 50 {
		t.Fatalf("%d lines, %v", len(list), err)
	}
	for _, fields := range list[1:] {
		for i := range fields {
			fields[i] = strings.NewReplacer("SELF", alice, "PEER", relay, "HASH", "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g").Replace(fields[i])
		}
	}
	return list[1:]
}

// visitOf is the line of a visit to alice.
func visitOf(t testing.TB, in map[string]any) []byte {
	t.Helper()
	line := map[string]any{"PeerID": alice, "VisitStartedAt": "2023-05-01T12:00:01Z", "ConnectErrorStr": "io_timeout"}
	maps.Copy(line, in)
	raw, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestMultiaddrsAsInCrawls reads the multiaddrs that the crawler is tested with:
// where, over what and through which relay is the same for both. A transport that Canopy does not
// dial, and Nebula does, has its own name.
func TestMultiaddrsAsInCrawls(t *testing.T) {
	for _, line := range vectors(t) {
		multiaddr, kind, address, transport, relay := line[0], line[1], line[2], line[3], line[4]
		if address == "" {
			transport = ""
		}
		v, cut, err := decodeVisit(visitOf(t, map[string]any{"Maddrs": []string{multiaddr}}), public)
		if err != nil || cut != (Cuts{}) {
			t.Errorf("%s: %+v, %v", multiaddr, cut, err)
			continue
		}
		at := ""
		if v.Address.IsValid() {
			at = v.Address.String()
		}
		if at != address || v.Transport != transport || strings.Join(v.Relays, " ") != relay {
			t.Errorf("%s is %s over %q through %q, want %s over %q through %q", multiaddr, at, v.Transport, v.Relays, address, transport, relay)
		}
		first, _, _ := decodeVisit(visitOf(t, map[string]any{"Maddrs": []string{multiaddr, "/ip4/45.77.5.5/udp/5/quic-v1"}}), public)
		if want := kind == "direct"; (first.Address.String() == address) != want {
			t.Errorf("beside an address that is dialled, %s gives %v", multiaddr, first.Address)
		}
		filtered, _, _ := decodeVisit(visitOf(t, map[string]any{"FilteredMaddrs": []string{multiaddr}}), public)
		if filtered.Address.IsValid() || !slices.Equal(filtered.Relays, v.Relays) || !slices.Equal(filtered.Addresses, v.Addresses) {
			t.Errorf("%s, which was not dialled: %+v", multiaddr, filtered)
		}
	}
}

// TestListsAreCut reads a peer with longer lists than are kept: the row stays, and
// what is left out is counted, noted at the crawl and told.
func TestListsAreCut(t *testing.T) {
	var many, protocols, named []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("/ip4/45.77.%d.%d/tcp/4001", i/250, i%250))
		protocols = append(protocols, fmt.Sprintf("/p/%d", i))
	}
	for range maxNeighbour + 7 {
		named = append(named, bob)
	}
	many = append(many, "nonsense", "/ip4/1.2.3/tcp/1", "", many[0])
	wide := string(visitOf(t, map[string]any{"Maddrs": many, "FilteredMaddrs": []string{"/ip4/10.0.0.1/tcp/1"}, "Protocols": protocols, "ConnectErrorStr": ""}))
	table, err := json.Marshal(map[string]any{"PeerID": alice, "NeighborIDs": named, "ErrorBits": "0"})
	if err != nil {
		t.Fatal(err)
	}
	var s sink
	r, err := read(t, folder(t, head1, []string{wide, visits[1]}, []string{string(table)}), &s)
	if err != nil || r.Visits != 2 || r.Bad != 0 || r.Edges != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if want := (Cuts{Addresses: 45, Protocols: 44, Neighbours: 7, Unreadable: 3}); r.Cut != want {
		t.Errorf("cut %+v, want %+v", r.Cut, want)
	}
	if v := s.visits[0]; len(v.Addresses) != maxAddresses || len(v.Protocols) != maxProtocols || v.Address.String() != "45.77.0.0:4001" || !v.Partial || v.Neighbours != 1 {
		t.Errorf("%d addresses, %d protocols, %v, %+v", len(v.Addresses), len(v.Protocols), v.Address, v)
	}
	notes := strings.Join(s.ended[0].Notes, " ")
	for _, words := range []string{"45 addresses beyond 256 of one peer", "44 protocols", "7 neighbours beyond 65,536", "3 addresses that are no multiaddr"} {
		if !strings.Contains(notes, words) || !strings.Contains(r.Cut.String(), words) {
			t.Errorf("the notes do not say %q: %s", words, notes)
		}
	}
	if (Cuts{}).String() != "" {
		t.Errorf("nothing is %q", Cuts{})
	}
}

// TestPeersInAnySpelling reads a crawl in which IDs are written in several ways.
func TestPeersInAnySpelling(t *testing.T) {
	other := func(text string) string {
		for _, id := range []string{alice, bob, carol, relay} {
			text = strings.ReplaceAll(text, id, identifier.Spellings(id)[3])
		}
		return text
	}
	var s sink
	r, err := read(t, folder(t, head1, []string{other(visits[0]), visits[0], visits[1], other(visits[2])}, []string{tables[0], other(tables[1])}), &s)
	if err != nil || r.Visits != 3 || r.Repeated != 1 || r.Bad != 0 || r.Strange != 1 || r.Edges != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	for i, want := range []string{alice, bob, carol} {
		if s.visits[i].PeerID != want {
			t.Errorf("visit %d is of %s, want %s", i, s.visits[i].PeerID, want)
		}
	}
	if !slices.Equal(s.visits[2].Relays, []string{relay}) || !slices.Equal(s.edges[0].Neighbours, []uint32{1, 2}) || !slices.Equal(s.edges[1].Neighbours, []uint32{0}) {
		t.Errorf("relays %q, edges %+v", s.visits[2].Relays, s.edges)
	}
}
