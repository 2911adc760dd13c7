package mainline

import (
	"bytes"
	"encoding/hex"
	"math"
	"net/netip"
	"testing"
)

// bep33 is the test vector of BEP 33: 192.0.2.0 to 192.0.2.255 and 2001:db8::
// to 2001:db8::3e7.
const bep33 = "F6C3F5EAA07FFD91BDE89F777F26FB2BFF37BDB8FB2BBAA2FD3DDDE7BACFFF75EE7CCBAEFE5EEDB1FBFAFF67F6ABFF5E43DDBCA3FD9B9FFDF4FFD3E9DFF12D1B" +
	"DF59DB53DBE9FA5B7FF3B8FDFCDE1AFB8BEDD7BE2F3EE71EBBBFE93BCDEEFE148246C2BC5DBFF7E7EFDCF24FD8DC7ADFFD8FFFDFDDFFF7A4BBEEDF5CB95CE81F" +
	"C7FCFF1FF4FFFFDFE5F7FDCBB7FD79B3FA1FC77BFE07FFF905B7B7FFC7FEFEFFE0B8370BB0CD3F5B7F2BD93FEB4386CFDD6F7FD5BFAF2E9EBFFFFEECD67ADBF7" +
	"C67F17EFD5D75EBA6FFEBA7FFF47A91EB1BFBB53E8ABFB5762ABE8FF237279BFEFBFEEF5FFC5FEBFDFE5ADFFADFEE1FB737FFFFBFD9F6AEFFEEE76B6FD8F72EF"

func TestFilterFollowsBEP33(t *testing.T) {
	var halves [2]filter // two nodes that know some of the swarm each, and many of the same
	addr := netip.MustParseAddr("192.0.2.0")
	for i := range 256 {
		halves[i%2].insert(addr)
		addr = addr.Next()
	}
	addr = netip.MustParseAddr("2001:db8::")
	for i := range 1000 {
		halves[0].insert(addr)
		if i%3 == 0 {
			halves[1].insert(addr)
		}
		addr = addr.Next()
	}
	var all filter
	for i := range halves {
		if !all.join(halves[i][:]) {
			t.Fatal("an honest filter was not taken")
		}
	}
	want, err := hex.DecodeString(bep33)
	if err != nil || !bytes.Equal(all[:], want) {
		t.Errorf("the filter is %X, %v", all, err)
	}
	if got := all.size(); math.Abs(got-1224.9308) > 0.0001 {
		t.Errorf("estimate %.4f, BEP 33 says 1224.9308", got)
	}
}

// One liar who says that everybody is here does not spoil what the others say.
func TestFullFiltersAreLeftOut(t *testing.T) {
	var all filter
	all.insert(netip.MustParseAddr("192.0.2.1"))
	before := all
	for _, raw := range [][]byte{bytes.Repeat([]byte{0xff}, filterBytes), make([]byte, filterBytes-1), make([]byte, filterBytes+1), nil} {
		if all.join(raw) || all != before {
			t.Errorf("a filter of %d bytes was taken", len(raw))
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte(nil), []byte{192, 0, 2, 1})
	f.Add(bytes.Repeat([]byte{0xff}, filterBytes), bytes.Repeat([]byte{1}, 16))
	f.Add(make([]byte, filterBytes), []byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw, ip []byte) {
		var all filter
		all.join(raw)
		if size := all.size(); math.IsNaN(size) || size < 0 || size > 7806 {
			t.Fatalf("%x: %g", raw, size)
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			before := all.size()
			all.insert(addr)
			if all.size() < before {
				t.Fatalf("%x with %s is smaller", raw, addr)
			}
		}
		if all != (filter{}) && all.size() <= 0 {
			t.Fatalf("%x is empty", all)
		}
	})
}
