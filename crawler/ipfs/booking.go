package ipfs

import (
	"net/netip"
	"time"
)

// dialsPerBooking is how many dials of one host count as one contact: over TCP
// and over QUIC.
const dialsPerBooking = 2

// bookings are the dials of each host that the pacer knows of and that were not
// made yet, in one visit.
type bookings struct{ left map[netip.Addr]int }

// book has one dial of host booked at least, or returns how long to wait.
func (b *bookings) book(p Pacer, host netip.Addr) (wait time.Duration) {
	if b.left[host] > 0 {
		return 0
	}
	if wait = p.Take(host, time.Now()); wait > 0 {
		return wait
	}
	if b.left == nil {
		b.left = make(map[netip.Addr]int)
	}
	b.left[host] = dialsPerBooking
	return 0
}

// spend notes a dial of host that was booked.
func (b *bookings) spend(host netip.Addr) { b.left[host]-- }
