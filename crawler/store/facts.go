package store

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"

	"canopy/crawler/observation"
)

// factsColumn writes all that is known of an address as one value, in the form
// that 004_compact.sql and 007_vantage.sql explain and the view visits takes
// apart.
var factsColumn = column[observation.Visit]{"facts", func(rows [][]observation.Visit, n int) chproto.ColInput {
	c := new(chproto.ColStr).LowCardinality()
	c.Values = make([]string, 0, n)
	written := map[factsKey]string{}
	fill(rows, func(v *observation.Visit) string {
		key := newFactsKey(v)
		text, ok := written[key]
		if !ok {
			text = key.String()
			written[key] = text
		}
		return text
	}, c.Append)
	return c
}}

// factsKey is what one value of the column tells. Its facts have no prefix
// where bits does: the address tells the rest.
type factsKey struct {
	facts observation.Facts
	bits  int16  // length of the prefix, -1 when it is not that of the address
	net   uint16 // first half of the address, see netOf
}

func newFactsKey(v *observation.Visit) factsKey {
	k := factsKey{v.Facts, -1, netOf(v)}
	if p := k.facts.Prefix; p.IsValid() && p == p.Masked() && p.Contains(address(v.Address)) {
		k.facts.Prefix, k.bits = netip.Prefix{}, int16(p.Bits())
	}
	return k
}

var escapeTabs = strings.NewReplacer("\t", "\x02t", "\x02", "\x02b")

func (k factsKey) String() string {
	f, where := k.facts, prefix(k.facts.Prefix)
	if k.bits >= 0 {
		where = strconv.Itoa(int(k.bits))
	}
	net := ""
	if k.net != 0 {
		net = strconv.FormatUint(uint64(k.net), 10)
	}
	return strings.Join([]string{
		where, strconv.FormatUint(uint64(f.ASN), 10), escapeTabs.Replace(f.Organisation), escapeTabs.Replace(f.Country),
		escapeTabs.Replace(hosting(f.Hosting)), escapeTabs.Replace(f.Source), instant(f.Date).Format(time.DateOnly), net,
	}, "\t")
}
