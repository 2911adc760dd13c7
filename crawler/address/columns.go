package address

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"canopy/crawler/observation"
)

// columns says which field of a line holds what; -1 where the table lacks it.
type columns struct {
	start, end, asn, organisation, country, hosting, note int

	network int  // the range in one field, in place of start and end
	header  bool // the table names its columns itself
}

// The layouts without a header, by their number of fields.
var (
	// asnLayout is start,end,asn,organisation: ip-location-db's asn set.
	asnLayout = columns{0, 1, 2, 3, -1, -1, -1, -1, false}
	// countryLayout is start,end,country: ip-location-db's country sets.
	countryLayout = columns{0, 1, -1, -1, 2, -1, -1, -1, false}
	// iptoasnLayout is start, end, asn, country, description, by tabs: iptoasn.com.
	iptoasnLayout = columns{0, 1, 2, 4, 3, -1, -1, -1, false}
)

// rank returns the precedence of a table with these columns.
func (c columns) rank() int {
	switch c {
	case countryLayout:
		return rankCountry
	case asnLayout, iptoasnLayout:
		return rankAS
	}
	return rankExtended
}

// columnNames are the names that a header may give each column, ours first; of
// several in one header the first counts.
var columnNames = struct {
	start, end, network, asn, organisation, country, hosting, note []string
}{
	start:        []string{"start", "start_ip", "range_start", "ip_range_start"},
	end:          []string{"end", "end_ip", "range_end", "ip_range_end"},
	network:      []string{"network", "cidr", "prefix"},
	asn:          []string{"asn", "as_number", "autonomous_system_number"},
	organisation: []string{"organisation", "organization", "as_name", "as_organization", "autonomous_system_organization", "org", "name"},
	country:      []string{"country_code", "country_iso_code", "country"},
	hosting:      []string{"hosting", "hosting_class"},
	note:         []string{"note"},
}

// layout reads the first line: a header, or a line of a table without one.
func layout(fields []string, tabs bool) (columns, error) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = strings.ToLower(strings.TrimSpace(f))
	}
	begins := func(name string) bool {
		return slices.Contains(columnNames.start, name) || slices.Contains(columnNames.network, name)
	}
	if _, err := parseNetwork(names[0]); err != nil && slices.ContainsFunc(names, begins) { // the holder of a range may be called Network
		return headed(names)
	}
	switch {
	case tabs && len(fields) == 5:
		return iptoasnLayout, nil
	case !tabs && len(fields) == 4:
		return asnLayout, nil
	case !tabs && len(fields) == 3:
		return countryLayout, nil
	}
	return columns{}, fmt.Errorf("this is no table of address ranges: want start,end,asn,organisation, or start,end,country, "+
		"or a header with start and end, or network, and some of asn, organisation, country, hosting, note, "+
		"or IPtoASN's five fields by tabs; found %d fields", len(fields))
}

// headed reads a header, whose names are in lower case.
func headed(names []string) (columns, error) {
	known := map[string]bool{}
	place := func(of []string) int {
		for _, name := range of {
			known[name] = true
		}
		for _, name := range of {
			if i := slices.Index(names, name); i >= 0 {
				return i
			}
		}
		return -1
	}
	n := &columnNames
	cols := columns{
		start: place(n.start), end: place(n.end), network: place(n.network), asn: place(n.asn), organisation: place(n.organisation),
		country: place(n.country), hosting: place(n.hosting), note: place(n.note), header: true,
	}
	for i, name := range names {
		if !known[name] && !unreadKeys[name] || slices.Contains(names[:i], name) {
			return columns{}, fmt.Errorf("the header names column %q, which is unknown or named twice; "+
				"known are start, end, network, asn, organisation, country, hosting, note", observation.Text(name))
		}
	}
	switch {
	case cols.network < 0 && cols.end < 0:
		return columns{}, errors.New("the header lacks the column end")
	case max(cols.asn, cols.organisation, cols.country, cols.hosting) < 0:
		return columns{}, errors.New("the header names none of the columns asn, organisation, country and hosting, so that the table says nothing")
	}
	return cols, nil
}

// span reads the range of a line whose fields get returns.
func (c columns) span(get func(int) string) (span, error) {
	if c.network >= 0 {
		return parseNetwork(get(c.network))
	}
	return parseSpan(get(c.start), get(c.end))
}
