package address

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"go4.org/netipx"

	"canopy/crawler/observation"
)

// readMMDB fills the builder from a MaxMind DB file (specification 2.0) and
// takes the date from its build time. Publishers differ in keys and types:
// [mmdbKeys] says which are read. What a record does not say is unknown, counted
// and told in a warning; a file that says nothing at all is an error.
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
	if err := checkTree(raw, db.Metadata); err != nil {
		return fmt.Errorf("the file is damaged (%w); get it again", err)
	}
	b.built(db.Metadata.BuildTime().UTC())
	s := survey{keys: newKeyTree()}
	seen := map[uintptr]judged{} // many networks share a record
	for result := range db.Networks() {
		what, ok := seen[result.Offset()]
		if !ok {
			rec := record{keys: s.keys}
			if err := errors.Join(result.Err(), result.Decode(&rec)); err != nil {
				return fmt.Errorf("the file is damaged (%w); get it again", err)
			}
			what = s.judge(&rec)
			seen[result.Offset()] = what
		}
		s.count(what)
		b.add(spanOf(result.Prefix()), what.said)
	}
	if len(b.spans) == 0 {
		return s.nothing(db.Metadata.DatabaseType)
	}
	b.warn = append(b.warn, s.warnings(b.source.title())...)
	return nil
}

// built takes the date of a file from its build time, unless it states none
// that can be.
func (b *builder) built(at time.Time) {
	if b.source.DateFrom != dateManifest && at.Unix() > 0 && at.Year() < 10_000 {
		b.source.Date, b.source.DateFrom = at.Truncate(24*time.Hour), "build time"
	}
}

// judged is what a record says, and what it lacks.
type judged struct {
	said
	none    [facts]bool
	odd     *[facts]string // values that could not be used, nil for none
	several bool
}

// survey counts what the networks of a file lack.
type survey struct {
	keys     *keyNode
	networks int
	without  [facts]int
	odd      [facts]oddities
	several  int
}

func (s *survey) judge(r *record) judged {
	what := judged{said: r.said(), several: r.several}
	var odd [facts]string
	if what.none, odd = r.lacks(what.said); odd != [facts]string{} {
		what.odd = &odd
	}
	return what
}

// count takes in one network.
func (s *survey) count(what judged) {
	s.networks++
	if what.several {
		s.several++
	}
	for f, none := range what.none {
		if none {
			s.without[f]++
		}
		if what.odd != nil && what.odd[f] != "" {
			s.odd[f].add(what.odd[f], 1)
		}
	}
}

// warnings says what the networks of a file lack, one sentence for each fact. A
// fact that the edition does not have is no reason for one, if all keys of the
// file are known.
func (s *survey) warnings(file string) (out []string) {
	for f := range facts {
		without, odd := s.without[f], &s.odd[f]
		absent := without == s.networks && odd.total() == 0 && !s.keys.strange()
		told := f == factOrganisation && without == s.without[factAS] && without < s.networks && odd.total() == 0
		if without == 0 || absent || told {
			continue
		}
		text := fmt.Sprintf("%s: %d of %d networks without %s", file, without, s.networks, f)
		if odd.total() > 0 {
			text += " (not usable: " + odd.String() + ")"
		}
		text += fmt.Sprintf("; this file has keys %s; known keys are %s.", listed(s.keys.found("")), strings.Join(mmdbKeys[f], ", "))
		out = append(out, text)
	}
	if s.several > 0 {
		out = append(out, fmt.Sprintf("%s: %d of %d networks list several AS: the first is taken.", file, s.several, s.networks))
	}
	return out
}

// nothing is the error of a file that says nothing of any network.
func (s *survey) nothing(kind string) error {
	var known, odd []string
	for f := range facts {
		known = append(known, fmt.Sprintf("of the %s %s", f, strings.Join(mmdbKeys[f], ", ")))
		if s.odd[f].total() > 0 {
			odd = append(odd, s.odd[f].String())
		}
	}
	text := fmt.Sprintf("no record of this %s database names an AS, an organisation or a country: "+
		"known keys are, %s; this file has %d networks and keys %s",
		observation.Text(kind), strings.Join(known, "; "), s.networks, listed(s.keys.found("")))
	if len(odd) > 0 {
		text += "; not usable: " + strings.Join(odd, ", ")
	}
	return errors.New(text + "; use an ASN, ISP, Country, City or Enterprise edition")
}

func spanOf(p netip.Prefix) span {
	r := netipx.RangeOfPrefix(p)
	return span{from: r.From(), to: r.To()}
}
