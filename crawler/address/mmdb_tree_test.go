package address

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"
)

// replant writes a file whose search tree has the given records, of node i both
// alike, and opens it.
func replant(t *testing.T, record func(i, nodes uint) uint) error {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.mmdb")
	writeMMDB(t, path, "test", map[string]mm{"2001:db8:1:2:3::/80": {"country": ms("NL")}})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := maxminddb.OpenBytes(raw)
	if err != nil {
		t.Fatal(err)
	}
	nodes := db.Metadata.NodeCount
	if db.Metadata.RecordSize != 28 || nodes < 80 {
		t.Fatalf("%d nodes of %d bits", nodes, db.Metadata.RecordSize)
	}
	for i := range nodes {
		r := record(i, nodes)
		for place, b := range []byte{byte(r >> 16), byte(r >> 8), byte(r), byte(r>>24)<<4 | byte(r>>24), byte(r >> 16), byte(r >> 8), byte(r)} {
			raw[7*i+uint(place)] = b
		}
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{})
	return err
}

// TestTreesThatAreNone: nodes that share others lead to 2 to the power of 40
// networks, which no reader would come to the end of.
func TestTreesThatAreNone(t *testing.T) {
	const want = "the file is damaged (its search tree leads in circles, or to more networks"
	data := func(nodes uint) uint { return nodes + 16 }
	for name, record := range map[string]func(i, nodes uint) uint{
		"shared": func(i, nodes uint) uint {
			if i < 40 {
				return i + 1
			}
			return data(nodes)
		},
		"shared, without data": func(i, nodes uint) uint {
			if i < 40 {
				return i + 1
			}
			return nodes
		},
		"a circle": func(uint, uint) uint { return 0 },
	} {
		if err := replant(t, record); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := replant(t, func(_, nodes uint) uint { return data(nodes) }); err != nil {
		t.Errorf("a tree of one node: %v", err)
	}
}
