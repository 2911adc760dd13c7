package address

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// span is an inclusive range of addresses of one family that points to a row.
type span struct {
	from, to netip.Addr
	row      uint32
}

// parseSpan reads an inclusive range. IPv4-mapped addresses become IPv4.
func parseSpan(from, to string) (span, error) {
	a, err := netip.ParseAddr(from)
	if err != nil {
		return span{}, err
	}
	b, err := netip.ParseAddr(to)
	if err != nil {
		return span{}, err
	}
	if a.Zone() != "" || b.Zone() != "" {
		return span{}, errors.New("an address with a zone belongs to no table")
	}
	a, b = a.Unmap(), b.Unmap()
	switch {
	case a.Is4() != b.Is4():
		return span{}, errors.New("the range begins in one address family and ends in the other")
	case b.Less(a):
		return span{}, errors.New("the range is reversed: its start lies after its end")
	}
	return span{from: a, to: b}, nil
}

// parseNetwork reads a block such as 192.0.2.0/24, or a lone address.
func parseNetwork(s string) (span, error) {
	if !strings.Contains(s, "/") {
		return parseSpan(s, s)
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return span{}, err
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return span{}, fmt.Errorf("%s is not the base of its block, which is %s", p, p.Masked())
	}
	return spanOf(p), nil
}

// all says whether the span is a whole address family.
func (s span) all() bool {
	p, ok := netipx.IPRangeFrom(s.from, s.to).Prefix()
	return ok && p.Bits() == 0
}

// insert puts spans into the layer so that the longest matching prefix of an
// address belongs to the smallest span that covers it; of equal spans the one
// that came last wins.
func (l *layer) insert(spans []span) {
	if !sortedApart(spans) {
		slices.SortStableFunc(spans, outerFirst)
	}
	var prefixes []netip.Prefix
	for len(spans) > 0 {
		n := together(spans)
		apart := spans[:n]
		if crossing(apart) {
			apart = flatten(apart)
		}
		for _, s := range apart {
			prefixes = netipx.IPRangeFrom(s.from, s.to).AppendPrefixes(prefixes[:0])
			for _, p := range prefixes {
				l.blocks.Insert(p, s.row)
			}
		}
		spans = spans[n:]
	}
}

// together is how many of the first spans, sorted by outerFirst, hang together.
// Nearly always it is one.
func together(spans []span) int {
	end, n := spans[0].to, 1
	for n < len(spans) && spans[n].from.Compare(end) <= 0 {
		if end.Less(spans[n].to) {
			end = spans[n].to
		}
		n++
	}
	return n
}

// sortedApart says whether the spans ascend without overlap, as those of a
// well-made table do.
func sortedApart(spans []span) bool {
	for i := 1; i < len(spans); i++ {
		if spans[i].from.Compare(spans[i-1].to) <= 0 {
			return false
		}
	}
	return true
}

func outerFirst(a, b span) int {
	return cmp.Or(a.from.Compare(b.from), b.to.Compare(a.to))
}

// crossing says whether two spans overlap without one holding the other. When
// none do, inserting outer spans before inner ones is right: every prefix of an
// inner span lies within one prefix of the outer span, and if it is the same
// prefix it replaces it.
func crossing(spans []span) bool {
	if len(spans) < 2 {
		return false
	}
	var open []span
	for _, s := range spans {
		for len(open) > 0 && open[len(open)-1].to.Less(s.from) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 && open[len(open)-1].to.Less(s.to) {
			return true
		}
		open = append(open, s)
	}
	return false
}

// flatten cuts spans, sorted by outerFirst, into ones that do not overlap;
// where several cover an address the smallest remains.
func flatten(spans []span) []span {
	starts := make([]netip.Addr, 0, 2*len(spans))
	for _, s := range spans {
		starts = append(starts, s.from)
		if next := s.to.Next(); next.IsValid() {
			starts = append(starts, next)
		}
	}
	slices.SortFunc(starts, netip.Addr.Compare)
	starts = slices.Compact(starts)
	var out []span
	var open smallest
	for i, next := 0, 0; i < len(starts); i++ {
		from := starts[i]
		for ; next < len(spans) && spans[next].from == from; next++ {
			heap.Push(&open, ranked{spans[next], next})
		}
		for len(open) > 0 && open[0].to.Less(from) {
			heap.Pop(&open)
		}
		if len(open) == 0 {
			continue
		}
		to := open[0].to
		if i+1 < len(starts) && !to.Less(starts[i+1]) {
			to = starts[i+1].Prev()
		}
		if n := len(out); n > 0 && out[n-1].row == open[0].row && out[n-1].to.Next() == from {
			out[n-1].to = to
		} else {
			out = append(out, span{from, to, open[0].row})
		}
	}
	return out
}

// ranked is a span with its place among the spans, so that of equal ones the
// later wins.
type ranked struct {
	span
	place int
}

// smallest is a heap of open spans. Two open spans both hold the address under
// the sweep, so the smaller is told by its size alone.
type smallest []ranked

func (h smallest) Len() int      { return len(h) }
func (h smallest) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h smallest) Less(i, j int) bool {
	a, b := size(h[i].span), size(h[j].span)
	return cmp.Or(a.Compare(b), cmp.Compare(h[j].place, h[i].place)) < 0
}
func (h *smallest) Push(x any) { *h = append(*h, x.(ranked)) }
func (h *smallest) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// size returns to - from as an address, which compares as a number does.
func size(s span) netip.Addr {
	a, b := s.from.As16(), s.to.As16()
	borrow := 0
	for i := len(a) - 1; i >= 0; i-- {
		d := int(b[i]) - int(a[i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		a[i] = byte(d)
	}
	return netip.AddrFrom16(a)
}
