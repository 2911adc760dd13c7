package mainline

import (
	"hash/crc32"
	"net/netip"

	"canopy/crawler/mainline/krpc"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bep42 tells whether the first 21 bits of id follow from addr, as BEP 42 asks:
// "valid" or "invalid", or "exempt" for local addresses.
func bep42(id *krpc.ID, addr netip.Addr) string {
	addr = addr.Unmap()
	if addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return "exempt"
	}
	sum := bep42Prefix(addr, id[19])
	if id[0] == byte(sum>>24) && id[1] == byte(sum>>16) && (id[2]^byte(sum>>8))&0xf8 == 0 {
		return "valid"
	}
	return "invalid"
}

// bep42Prefix is the checksum whose first 21 bits begin the ID.
func bep42Prefix(addr netip.Addr, random byte) uint32 {
	var masked [8]byte
	n := 8
	if addr.Is4() {
		ip := addr.As4()
		n = copy(masked[:], ip[:])
		for i, m := range [4]byte{0x03, 0x0f, 0x3f, 0xff} {
			masked[i] &= m
		}
	} else {
		ip := addr.As16()
		copy(masked[:], ip[:8])
		for i := range masked {
			masked[i] &= 0xff >> (7 - i)
		}
	}
	masked[0] |= random & 7 << 5
	return crc32.Checksum(masked[:n], castagnoli)
}
