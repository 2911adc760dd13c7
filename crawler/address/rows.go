package address

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"canopy/crawler/observation"
)

// said is what one line of a table says, before the class of its AS is known.
type said struct {
	asn          uint32
	organisation string
	country      string
	hosting      observation.Hosting // empty if the table has no such column
	note         string              // what else it says of the block, for the evidence
}

// builder collects a layer. Equal rows are kept once: half a million ranges
// share under a hundred thousand.
type builder struct {
	classes *classes
	source  Source
	spans   []span
	rows    []row
	index   map[said]uint32
	warn    []string
	codes   oddities // country codes of a table of text that are no country's
}

func newBuilder(c *classes, s Source) *builder {
	return &builder{classes: c, source: s, index: map[said]uint32{}}
}

// expect makes room for so many ranges, of which about six share a row.
func (b *builder) expect(ranges int) {
	b.spans, b.rows = make([]span, 0, ranges), make([]row, 0, ranges/6)
	b.index = make(map[said]uint32, ranges/6)
}

// row returns the index of the row that says s, made on first sight.
func (b *builder) row(s said) uint32 {
	i, ok := b.index[s]
	if ok {
		return i
	}
	i = uint32(len(b.rows))
	kept := s
	kept.organisation = strings.Clone(s.organisation) // s shares memory with its line
	kept.country, kept.note = strings.Clone(s.country), strings.Clone(s.note)
	b.index[kept] = i
	r := row{source: &b.source, column: kept.hosting != "", name: observation.Text(kept.organisation), note: kept.note}
	class := b.classes.judge(kept.asn, r.name)
	r.facts = observation.Facts{
		ASN: kept.asn, Organisation: cmp.Or(class.Group, r.name), Country: kept.country,
		Hosting: cmp.Or(kept.hosting, class.Hosting), Source: b.source.Name, Date: b.source.Date,
	}
	b.rows = append(b.rows, r)
	return i
}

// evidence says why a row has its class.
func (l *layer) evidence(r *row) Evidence {
	class := l.classes.judge(r.facts.ASN, r.name)
	if !r.column {
		return class
	}
	e := Evidence{
		Hosting: r.facts.Hosting, Rule: "column", Source: r.source.Name, Group: class.Group,
		Reason: fmt.Sprintf("The table %s gives the class itself.", r.source.Name),
	}
	if r.note != "" {
		e.Reason = fmt.Sprintf("The table %s lists the block as %s.", r.source.Name, observation.Text(r.note))
	}
	return e
}

// add takes one range in. A range that says nothing is dropped, so that a
// table below may speak for it.
func (b *builder) add(s span, what said) {
	if what == (said{}) {
		return
	}
	if s.all() {
		family := "IPv6"
		if s.from.Is4() {
			family = "IPv4"
		}
		b.warn = append(b.warn, fmt.Sprintf("%s: a range claims every address of %s.", b.source.title(), family))
	}
	s.row = b.row(what)
	b.spans = append(b.spans, s)
}

// layer closes the builder.
func (b *builder) layer(rank int) *layer {
	l := &layer{source: []*Source{&b.source}, rank: rank, rows: slices.Clip(b.rows), classes: b.classes}
	b.source.Rows = len(b.spans)
	l.insert(b.spans)
	return l
}

// merge makes one layer of those of published blocks, and one of those of
// anonymisers, so that a look-up asks one of each. Of equal
// blocks the one of the first layer remains.
func merge(layers []*layer) (out []*layer) {
	for _, l := range layers {
		last := len(out) - 1
		if l.rank != rankPublished && l.rank != rankExits || last < 0 || out[last].rank != l.rank {
			out = append(out, l)
			continue
		}
		into := out[last]
		offset := uint32(len(into.rows))
		for block, i := range l.blocks.All() {
			if _, taken := into.blocks.Get(block); !taken {
				into.blocks.Insert(block, i+offset)
			}
		}
		into.rows, into.source = append(into.rows, l.rows...), append(into.source, l.source...)
	}
	return out
}

// parseHosting reads a hosting class; empty and "unknown" mean that the table
// does not say.
func parseHosting(s string) (observation.Hosting, error) {
	if s == "" || strings.EqualFold(s, string(observation.HostingUnknown)) {
		return "", nil
	}
	for _, h := range observation.HostingClasses() {
		if strings.EqualFold(s, string(h)) {
			return h, nil
		}
	}
	return "", fmt.Errorf("%q is no hosting class; known are %v", observation.Text(s), observation.HostingClasses())
}
