package address

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"go4.org/netipx"
)

// record holds the fields of the common MaxMind DB schemas that say something
// of an address: GeoLite2/GeoIP2 ASN, ISP, Country and City, DB-IP's editions
// of them, and IPinfo's flat ones.
type record struct {
	ASN          uint32 `maxminddb:"autonomous_system_number"`
	Organisation string `maxminddb:"autonomous_system_organization"`
	Country      any    `maxminddb:"country"` // a map with iso_code, or IPinfo's plain code
	CountryCode  string `maxminddb:"country_code"`
	IPinfoASN    string `maxminddb:"asn"`
	IPinfoName   string `maxminddb:"as_name"`
}

// said translates a record.
func (r record) said() (said, error) {
	what := said{asn: r.ASN, organisation: r.Organisation}
	if what.asn == 0 && r.IPinfoASN != "" {
		asn, err := parseASN(r.IPinfoASN)
		if err != nil {
			return what, err
		}
		what.asn, what.organisation = asn, r.IPinfoName
	}
	code := r.CountryCode
	switch c := r.Country.(type) {
	case string:
		if len(c) == 2 { // some editions hold the name here
			code = c
		}
	case map[string]any:
		if iso, ok := c["iso_code"].(string); ok {
			code = iso
		}
	}
	var err error
	what.country, err = parseCountry(code)
	return what, err
}

// readMMDB fills the builder from a MaxMind DB file (specification 2.0) and
// takes the date from its build time.
func (b *builder) readMMDB(r io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(r, maxTable+1))
	if err != nil {
		return err
	}
	if len(raw) > maxTable {
		return fmt.Errorf("the file is larger than %d MiB", maxTable>>20)
	}
	db, err := maxminddb.OpenBytes(raw)
	if err != nil {
		return fmt.Errorf("this is no MaxMind DB file, or it is cut short (%w); get it again", err)
	}
	defer db.Close()
	if b.source.DateFrom != dateManifest {
		b.source.Date, b.source.DateFrom = db.Metadata.BuildTime().UTC().Truncate(24*time.Hour), "build time"
	}
	seen := map[uintptr]said{} // many networks share a record
	for result := range db.Networks() {
		what, ok := seen[result.Offset()]
		if !ok {
			var rec record
			if err := errors.Join(result.Err(), result.Decode(&rec)); err != nil {
				return fmt.Errorf("the file is damaged (%w); get it again", err)
			}
			if what, err = rec.said(); err != nil {
				return fmt.Errorf("network %s: %w", result.Prefix(), err)
			}
			seen[result.Offset()] = what
		}
		b.add(spanOf(result.Prefix()), what)
	}
	if len(b.spans) == 0 {
		return fmt.Errorf("no record of this %s database names an AS or a country; use an ASN, ISP, Country or City edition", db.Metadata.DatabaseType)
	}
	return nil
}

func spanOf(p netip.Prefix) span {
	r := netipx.RangeOfPrefix(p)
	return span{from: r.From(), to: r.To()}
}
