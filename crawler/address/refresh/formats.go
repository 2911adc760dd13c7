package refresh

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go4.org/netipx"

	"canopy/crawler/address"
	"canopy/crawler/observation"
)

// rows collects what the files of a source say, as a table that package
// address reads.
type rows struct {
	out  bytes.Buffer
	ext  string    // of the table: .csv or .tsv
	date time.Time // of the data; zero if the files do not say
	n    int
	odd  map[string]int // codes in place of a country's, by how often they occur
	csv  *csv.Writer    // of a table with a header, nil before its first line
}

// block adds a block that its owner publishes.
func (r *rows) block(prefix string, hosting observation.Hosting, country, note string) error {
	p, err := netip.ParsePrefix(strings.TrimSpace(prefix))
	if err != nil {
		return err
	}
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p = p.Masked(); !p.IsValid() {
		return fmt.Errorf("%s is no block", observation.Text(prefix))
	}
	if least := leastBits(p); p.Bits() < least {
		return fmt.Errorf("%s claims too much of the internet: want at least /%d", p, least)
	}
	return r.span(netipx.RangeOfPrefix(p), country, hosting, note)
}

// leastBits is the length of the largest block that anyone owns.
func leastBits(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 8
	}
	return 16
}

func (r *rows) span(s netipx.IPRange, country string, hosting observation.Hosting, note string) error {
	if r.csv == nil {
		r.csv, r.ext = csv.NewWriter(&r.out), ".csv"
		if err := r.csv.Write([]string{"start", "end", "country", "hosting", "note"}); err != nil {
			return err
		}
	}
	r.n++
	return r.csv.Write([]string{s.From().String(), s.To().String(), country, string(hosting), observation.Text(note)})
}

// finish completes the table.
func (r *rows) finish() error {
	if r.csv == nil {
		return nil
	}
	r.csv.Flush()
	return r.csv.Error()
}

// dated keeps the youngest date that a file states.
func (r *rows) dated(layout, text string) {
	if t, err := time.Parse(layout, text); err == nil && t.After(r.date) {
		r.date = t.UTC()
	}
}

func parseJSON(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the file is damaged or cut short: %w", err)
	}
	return nil
}

// parseAWS reads https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-ranges.html#aws-ip-syntax
func parseAWS(r *rows, raw []byte) error {
	type block struct {
		V4      string `json:"ip_prefix"`
		V6      string `json:"ipv6_prefix"`
		Region  string `json:"region"`
		Service string `json:"service"`
	}
	var f struct {
		CreateDate string  `json:"createDate"`
		V4         []block `json:"prefixes"`
		V6         []block `json:"ipv6_prefixes"`
	}
	if err := parseJSON(raw, &f); err != nil {
		return err
	}
	r.dated("2006-01-02-15-04-05", f.CreateDate)
	all := append(f.V4, f.V6...)
	// Every block is listed once for AMAZON and again for its service: the
	// later of equal blocks wins.
	for _, general := range []bool{true, false} {
		for _, b := range all {
			if (b.Service == "AMAZON") != general {
				continue
			}
			if err := r.block(b.V4+b.V6, observation.HostingHosting, "", "Amazon Web Services "+b.Service+", "+b.Region); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseGoogle reads goog.json and cloud.json of
// https://support.google.com/a/answer/10026322
func parseGoogle(r *rows, raw []byte) error {
	var f struct {
		CreationTime string `json:"creationTime"`
		Prefixes     []struct {
			V4      string `json:"ipv4Prefix"`
			V6      string `json:"ipv6Prefix"`
			Service string `json:"service"`
			Scope   string `json:"scope"`
		} `json:"prefixes"`
	}
	if err := parseJSON(raw, &f); err != nil {
		return err
	}
	r.dated("2006-01-02T15:04:05.999999", f.CreationTime)
	for _, b := range f.Prefixes {
		note := "Google"
		if b.Service != "" {
			note = b.Service + ", " + b.Scope
		}
		if err := r.block(b.V4+b.V6, observation.HostingHosting, "", note); err != nil {
			return err
		}
	}
	return nil
}

// parseAzure reads https://learn.microsoft.com/azure/virtual-network/service-tags-overview
func parseAzure(r *rows, raw []byte) error {
	var f struct {
		Values []struct {
			Name       string `json:"name"`
			Properties struct {
				Prefixes []string `json:"addressPrefixes"`
			} `json:"properties"`
		} `json:"values"`
	}
	if err := parseJSON(raw, &f); err != nil {
		return err
	}
	seen := map[string]bool{} // the tags repeat each block several times
	for _, v := range f.Values {
		for _, p := range v.Properties.Prefixes {
			if seen[p] {
				continue
			}
			seen[p] = true
			if err := r.block(p, observation.HostingHosting, "", "Microsoft Azure "+v.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseOracle reads https://docs.oracle.com/en-us/iaas/Content/General/Concepts/addressranges.htm
func parseOracle(r *rows, raw []byte) error {
	var f struct {
		Updated string `json:"last_updated_timestamp"`
		Regions []struct {
			Region string `json:"region"`
			CIDRs  []struct {
				CIDR string   `json:"cidr"`
				Tags []string `json:"tags"`
			} `json:"cidrs"`
		} `json:"regions"`
	}
	if err := parseJSON(raw, &f); err != nil {
		return err
	}
	r.dated("2006-01-02T15:04:05.999999", f.Updated)
	for _, region := range f.Regions {
		for _, c := range region.CIDRs {
			if err := r.block(c.CIDR, observation.HostingHosting, "", "Oracle Cloud "+strings.Join(c.Tags, " ")+", "+region.Region); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseFastly reads https://www.fastly.com/documentation/reference/api/utils/public-ip-list/
func parseFastly(r *rows, raw []byte) error {
	var f struct {
		V4 []string `json:"addresses"`
		V6 []string `json:"ipv6_addresses"`
	}
	if err := parseJSON(raw, &f); err != nil {
		return err
	}
	for _, p := range append(f.V4, f.V6...) {
		if err := r.block(p, observation.HostingHosting, "", "Fastly"); err != nil {
			return err
		}
	}
	return nil
}

// eachLine calls do for each line that holds something; its errors name the line.
func eachLine(raw []byte, do func(string) error) error {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if err := do(text); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// blocks reads one block a line.
func blocks(owner string) func(*rows, []byte) error {
	return func(r *rows, raw []byte) error {
		return eachLine(raw, func(line string) error { return r.block(line, observation.HostingHosting, "", owner) })
	}
}

// geofeed reads a self-published feed of blocks and places (RFC 8805), with or
// without a header.
func geofeed(what string, hosting observation.Hosting) func(*rows, []byte) error {
	return func(r *rows, raw []byte) error {
		first := true
		return eachLine(raw, func(line string) error {
			fields := strings.Split(line, ",")
			header := first && !strings.ContainsAny(fields[0], ".:")
			first = false
			if header && len(fields) > 1 {
				return nil
			}
			if len(fields) < 2 {
				return fmt.Errorf("%q is no line of a geofeed, which is block,country,region,city,postal code", observation.Text(line))
			}
			return r.block(fields[0], hosting, r.country(fields[1]), what)
		})
	}
}

// country reads a country code; one that is no country's, such as EU, is counted
// and unknown.
func (r *rows) country(s string) string {
	s = strings.TrimSpace(s)
	code, ok := address.Country(s)
	if !ok && s != "" {
		if r.odd == nil {
			r.odd = map[string]int{}
		}
		if s = observation.Text(s); len(r.odd) < mostOdd || r.odd[s] > 0 {
			r.odd[s]++
		} else {
			r.odd["others"]++
		}
	}
	return code
}

// mostOdd is how many codes that are no country's are told apart.
const mostOdd = 100

// note says what of the files could not be used, empty if all could.
func (r *rows) note() string {
	if len(r.odd) == 0 {
		return ""
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(r.odd)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", code, r.odd[code]))
	}
	return "codes that are no country's, taken for unknown: " + strings.Join(parts, ", ")
}

// parseTor reads one address a line.
func parseTor(r *rows, raw []byte) error {
	return eachLine(raw, func(line string) error {
		addr, err := netip.ParseAddr(line)
		if err != nil {
			return err
		}
		return r.span(netipx.IPRangeFrom(addr.Unmap().WithZone(""), addr.Unmap().WithZone("")), "", observation.HostingAnonymiser, "an exit of the Tor network")
	})
}

// parseDelegated reads one file of the RIR statistics exchange format:
// registry|cc|type|start|value|date|status, where value is a number of
// addresses in IPv4 and a prefix length in IPv6.
func parseDelegated(r *rows, raw []byte) error {
	r.ext = ".csv" // start,end,country, without a header
	summed, blocks := 0, 0
	err := eachLine(raw, func(line string) error {
		f := strings.Split(line, "|")
		switch {
		case len(f) >= 7 && f[0] != "" && f[0][0] >= '0' && f[0][0] <= '9': // version|registry|serial|records|startdate|enddate|offset
			r.dated("20060102", f[5])
			return nil
		case len(f) == 6 && f[5] == "summary":
			n, err := strconv.Atoi(f[4])
			if f[2] != "asn" {
				summed += n
			}
			return err
		case len(f) < 7:
			return errors.New("it has fewer than 7 fields apart by |")
		case f[2] == "asn":
			return nil
		}
		blocks++
		if f[6] != "allocated" && f[6] != "assigned" {
			return nil
		}
		country := r.country(f[1])
		if country == "" {
			return nil
		}
		s, err := delegatedRange(f[2], f[3], f[4])
		if err != nil {
			return err
		}
		r.n++
		fmt.Fprintf(&r.out, "%s,%s,%s\n", s.From(), s.To(), country)
		return nil
	})
	if err == nil && blocks < summed {
		return fmt.Errorf("its summary counts %d blocks and %d are there: the file is cut short", summed, blocks)
	}
	return err
}

func delegatedRange(kind, start, value string) (netipx.IPRange, error) {
	none := netipx.IPRange{}
	from, err := netip.ParseAddr(start)
	if err != nil {
		return none, err
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n == 0 {
		return none, fmt.Errorf("%q is no size of a block", observation.Text(value))
	}
	switch {
	case kind == "ipv6" && from.Is6():
		p, err := from.Prefix(int(min(n, 129)))
		if err != nil {
			return none, err
		}
		return netipx.RangeOfPrefix(p), nil
	case kind == "ipv4" && from.Is4():
		a := from.As4()
		first := uint64(a[0])<<24 | uint64(a[1])<<16 | uint64(a[2])<<8 | uint64(a[3])
		last := first + n - 1
		if last >= 1<<32 {
			return none, errors.New("the block ends beyond the last address")
		}
		to := netip.AddrFrom4([4]byte{byte(last >> 24), byte(last >> 16), byte(last >> 8), byte(last)})
		return netipx.IPRangeFrom(from, to), nil
	}
	return none, fmt.Errorf("%q with start %s: want ipv4 or ipv6, and an address of it", observation.Text(kind), from)
}

// parseIPtoASN keeps the file as it is: package address reads it.
func parseIPtoASN(r *rows, raw []byte) error {
	r.ext = ".tsv"
	r.n += bytes.Count(raw, []byte{'\n'})
	_, err := r.out.Write(raw)
	return err
}
