package address

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestTableOf200MB reads a table ten times as large as those that are
// published, with as many blocks of their own, and keeps a bounded part of it.
func TestTableOf200MB(t *testing.T) {
	if testing.Short() {
		t.Skip("writes and reads 200 MB")
	}
	path := filepath.Join(t.TempDir(), "large.csv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	const lines = 1_400_000
	addr := func(n uint32) (a [4]byte) { binary.BigEndian.PutUint32(a[:], n); return a }
	out, name := bufio.NewWriter(f), strings.Repeat("A Company with a Name ", 5)
	for i := range uint32(lines) {
		from := 1<<24 + i*2048
		fmt.Fprintf(out, "%s,%s,%d,%s%d\n", netip.AddrFrom4(addr(from)), netip.AddrFrom4(addr(from+1023)), 1+i%70_000, name, i%70_000)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if size, err := f.Seek(0, 1); err != nil || size < 200_000_000 {
		t.Fatalf("the table has %d bytes: %v", size, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := open(t, filepath.Dir(path), Options{})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 600_000_000 {
		t.Errorf("%d MiB are kept of a table of 200 MB", kept>>20)
	}
	for _, i := range []uint32{0, 1, 69_999, 70_000, lines / 2, lines - 1} {
		from := 1<<24 + i*2048
		if got := table.Lookup(netip.AddrFrom4(addr(from + 77))); got.ASN != 1+i%70_000 || got.Prefix.Bits() != 22 {
			t.Errorf("range %d: %+v", i, got)
		}
		if got := table.Lookup(netip.AddrFrom4(addr(from + 1024))); got.ASN != 0 {
			t.Errorf("between ranges: %+v", got)
		}
	}
}
