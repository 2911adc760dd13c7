// Package address knows the facts of an IP address: the block it lies in, its
// autonomous system, organisation, country and hosting class, each with the
// data set that said so and that set's date.
//
// [Open] reads a folder of data sets into a [Table], which never changes: a
// refresh opens a new one and swaps it whole. What is not known is a value,
// not an error: a table without data answers every question with facts that
// say so.
package address

import (
	"net/netip"
	"path/filepath"
	"time"

	"github.com/gaissmai/bart"

	"canopy/crawler/observation"
)

// Table answers what is known of an address. It is immutable and safe for
// concurrent use. The zero value knows nothing.
type Table struct {
	layers   []*layer // highest precedence first
	warnings []string
}

// Source describes one file of a data set.
type Source struct {
	Name     string    `json:"name"`      // of the data set, as Facts.Source repeats it
	File     string    `json:"file"`      // path that was read
	Licence  string    `json:"licence"`   // empty if not known
	Credit   string    `json:"credit"`    // attribution the licence asks for
	Note     string    `json:"note"`      // what a reader must know of its quality
	Date     time.Time `json:"date"`      // of the data
	DateFrom string    `json:"date_from"` // what says so: manifest, package version, build time, file time
	Rows     int       `json:"rows"`      // ranges that say something
	SHA256   string    `json:"sha256"`    // of the file, hexadecimal
}

// title names the file in sentences that are kept and published: without its
// folder, which may tell who the observer is.
func (s Source) title() string { return observation.Text(filepath.Base(s.File)) }

// layer is one file, or several of one rank: blocks that point to rows. Many
// blocks share a row.
type layer struct {
	source  []*Source
	rank    int
	blocks  bart.Table[uint32]
	rows    []row
	classes *classes // that judged the rows
}

// row is what a table says of a block. Its facts are complete but for Prefix.
type row struct {
	facts  observation.Facts
	source *Source
	name   string // of the holder, as the table has it
	note   string // what else the table says
	column bool   // the hosting class stands in the table itself
}

// Evidence is the rule that gave an address its hosting class.
type Evidence struct {
	Hosting observation.Hosting `json:"hosting"`
	Rule    string              `json:"rule"`            // column, as, word, or none
	Reason  string              `json:"reason"`          // a sentence
	Group   string              `json:"group,omitempty"` // organisation that owns the AS, if the AS list names one
	Source  string              `json:"source"`          // where the rule has it from
}

// Match is what one data set says of an address.
type Match struct {
	Source   Source            `json:"source"`
	Name     string            `json:"name,omitempty"` // of the AS or holder, as the data set has it
	Facts    observation.Facts `json:"facts"`
	Evidence Evidence          `json:"evidence"`
}

// Lookup returns the facts of an address. IPv4-mapped IPv6 addresses are
// looked up as IPv4. The AS, organisation, block, source and date come from
// the first data set in order of precedence that names an AS or organisation,
// the country from the first that names a country, and the hosting class from
// the first whose table has a column for it, else from the AS. The organisation
// is the owner of the AS where the list of known AS names one, so that all AS
// of one owner count as one; else it is the name that the data set has.
func (t *Table) Lookup(addr netip.Addr) observation.Facts {
	f, _ := t.find(addr)
	return f
}

// reason is the row that gave a hosting class.
type reason struct {
	layer *layer
	row   *row // nil if no data set covers the address
}

// find merges the layers, and says which row gave the hosting class. It
// allocates nothing.
func (t *Table) find(addr netip.Addr) (f observation.Facts, why reason) {
	f.Hosting = observation.HostingUnknown
	host, ok := hostPrefix(addr)
	if !ok {
		return f, why
	}
	column := false
	for _, l := range t.layers {
		if !l.holds(host) {
			continue
		}
		block, i, ok := l.blocks.LookupPrefixLPM(host)
		if !ok {
			continue
		}
		r := &l.rows[i]
		if f.ASN == 0 && f.Organisation == "" && (r.facts.ASN != 0 || r.facts.Organisation != "" || !f.Prefix.IsValid()) {
			f.Prefix, f.ASN, f.Organisation = block, r.facts.ASN, r.facts.Organisation
			f.Source, f.Date = r.facts.Source, r.facts.Date
			if !column {
				f.Hosting, why = r.facts.Hosting, reason{l, r}
			}
		}
		if f.Country == "" {
			f.Country = r.facts.Country
		}
		if r.column && !column {
			column, f.Hosting, why = true, r.facts.Hosting, reason{l, r}
		}
		if column && f.Country != "" && (f.ASN != 0 || f.Organisation != "") {
			break
		}
	}
	return f, why
}

// holds says whether the layer has blocks of the address's family.
func (l *layer) holds(host netip.Prefix) bool {
	if host.Addr().Is4() {
		return l.blocks.Size4() > 0
	}
	return l.blocks.Size6() > 0
}

// Explain returns the facts of an address, the evidence for its hosting class,
// and what each data set says of it, highest precedence first.
func (t *Table) Explain(addr netip.Addr) (observation.Facts, Evidence, []Match) {
	f, why := t.find(addr)
	evidence := Evidence{Hosting: observation.HostingUnknown, Rule: "none", Reason: "No data set covers this address."}
	if why.row != nil {
		evidence = why.layer.evidence(why.row)
	}
	var matches []Match
	if host, ok := hostPrefix(addr); ok {
		for _, l := range t.layers {
			if block, i, ok := l.blocks.LookupPrefixLPM(host); ok {
				r := &l.rows[i]
				m := Match{Source: *r.source, Name: r.name, Facts: r.facts, Evidence: l.evidence(r)}
				m.Facts.Prefix = block
				matches = append(matches, m)
			}
		}
	}
	return f, evidence, matches
}

func hostPrefix(addr netip.Addr) (netip.Prefix, bool) {
	if !addr.IsValid() {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), true // drops the zone
}

// Warnings says in sentences what a reader of the facts must know: that there
// are none, that a date is a guess, that a range claims everything.
func (t *Table) Warnings() []string { return t.warnings }

// Status describes each file that was read, highest precedence first.
func (t *Table) Status() []Source {
	var out []Source
	for _, l := range t.layers {
		for _, s := range l.source {
			out = append(out, *s)
		}
	}
	return out
}

// Empty says whether the table knows nothing.
func (t *Table) Empty() bool { return len(t.layers) == 0 }
