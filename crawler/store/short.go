package store

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"canopy/crawler/observation"
)

// What follows writes visits in fewer bytes, as 007_vantage.sql tells; the view
// visits undoes it.

// id20 is an ID of 40 lower-case hexadecimal digits as bytes, or zeros.
type id20 [20]byte

func shortID(v *observation.Visit) (id id20) {
	if len(v.PeerID) != 2*len(id) {
		return id20{}
	}
	for i := range id {
		high, low := digits[v.PeerID[2*i]], digits[v.PeerID[2*i+1]]
		if high|low > 15 {
			return id20{}
		}
		id[i] = high<<4 | low
	}
	return id
}

// digits gives the value of a lower-case hexadecimal digit, 255 for others.
var digits = func() (values [256]byte) {
	for i := range values {
		values[i] = 255
	}
	for i, digit := range []byte("0123456789abcdef") {
		values[digit] = byte(i)
	}
	return values
}()

// longID is the ID where it does not fit into an id20.
func longID(v *observation.Visit) string {
	if shortID(v) != (id20{}) {
		return ""
	}
	return v.PeerID
}

// netOf is the first half of an IPv4 address, 0 where the address is kept as a
// whole.
func netOf(v *observation.Visit) uint16 {
	if a := address(v.Address).Unmap(); a.Is4() {
		whole := a.As4()
		return binary.BigEndian.Uint16(whole[:])
	}
	return 0
}

func hostOf(v *observation.Visit) uint16 {
	if netOf(v) == 0 {
		return 0
	}
	whole := v.Address.Addr().Unmap().As4()
	return binary.BigEndian.Uint16(whole[2:])
}

func wholeAddress(v *observation.Visit) netip.Addr {
	if netOf(v) != 0 {
		return netip.Addr{}
	}
	return address(v.Address)
}

// shortTime is the first half of a Float32 of milliseconds, 0 for none.
func shortTime(d time.Duration) uint16 {
	if d <= 0 {
		return 0
	}
	bits := math.Float32bits(float32(float64(d) / float64(time.Millisecond)))
	return uint16((bits + 1<<15) >> 16)
}

// visitTick is how exactly the time of a visit is kept.
const visitTick = 128 * time.Millisecond

// visitTime is when a visit was made, as it is kept: rounded down to a tick
// since 1970, but not to before its crawl began.
func visitTime(v *observation.Visit) time.Time {
	exact := instant(v.VisitedAt).Truncate(time.Millisecond)
	tick := time.UnixMilli(exact.UnixMilli() &^ (visitTick.Milliseconds() - 1)).UTC()
	if start := startOf(v.CrawlID); tick.Before(start) && !exact.Before(start) {
		return start
	}
	return tick
}
