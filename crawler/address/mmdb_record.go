package address

import (
	"math"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"

	"canopy/crawler/identifier"
	"canopy/crawler/observation"
)

// Bounds of one record; those of publishers are far below.
const (
	mostKeys     = 1000 // of a map
	longestValue = 4096 // bytes of a text
)

// record takes from one record of a MaxMind DB file what [mmdbKeys] names. Of
// whatever type a value is, it is read as far as it says something; what does
// not is kept as odd. Only a file that is damaged is an error.
type record struct {
	keys    *keyNode
	best    [facts]candidate // what was found
	odd     [facts]candidate // what could not be used
	several bool             // it lists several AS, of which the first counts
	known   int              // keys that are read
}

// candidate is a value, and the order of the key that it stands under.
type candidate struct {
	set   bool
	order int
	text  string
	asn   uint32
}

// take keeps a value unless one of a better key is there.
func (c *candidate) take(v candidate) {
	if !c.set || v.order < c.order {
		*c = v
		c.set = true
	}
}

// said is what the record says of its networks.
func (r *record) said() said {
	what := said{asn: r.best[factAS].asn, organisation: r.best[factOrganisation].text, country: r.best[factCountry].text}
	order := r.best[factOrganisation].order
	name := order < len(mmdbKeys[factOrganisation]) && mmdbKeys[factOrganisation][order] == nameKey
	if what.asn == 0 && (name || what.organisation == notRouted) {
		what.organisation = ""
	}
	return what
}

// UnmarshalMaxMindDBCursor reads a record, and returns where it ends.
func (r *record) UnmarshalMaxMindDBCursor(at mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	return r.read(at, r.keys)
}

// read reads the value of a key.
func (r *record) read(at mmdbdata.Cursor, n *keyNode) (mmdbdata.Cursor, error) {
	kind, err := at.Kind()
	if err != nil {
		return at, err
	}
	switch {
	case kind == mmdbdata.KindMap && n.under != nil:
		before := r.known
		end, err := r.readMap(at, n)
		for _, p := range n.places {
			if r.known == before {
				r.odd[p.fact].take(candidate{order: p.order, text: "a map without a known key"})
			}
		}
		return end, err
	case len(n.places) == 0:
		return at.Skip()
	case kind == mmdbdata.KindSlice:
		return r.readFirst(at, n)
	}
	v, end, err := readScalar(at, kind)
	if err == nil {
		r.offer(n.places, v)
	}
	return end, err
}

func (r *record) readMap(at mmdbdata.Cursor, n *keyNode) (mmdbdata.Cursor, error) {
	m, err := at.Map()
	if err != nil {
		return at, err
	}
	if m.Size() > mostKeys {
		n.pass([]byte("a map of more than " + strconv.Itoa(mostKeys) + " keys"))
		return at.Skip()
	}
	for value := (mmdbdata.Cursor{}); ; {
		key, start, more := m.Next(value)
		if !more {
			return m.End()
		}
		if below := n.under[string(key)]; below != nil {
			below.met = true
			r.known++
			value, err = r.read(start, below)
		} else {
			n.pass(key)
			value, err = start.Skip()
		}
		if err != nil {
			return at, err
		}
	}
}

// readFirst reads the first of a list.
func (r *record) readFirst(at mmdbdata.Cursor, n *keyNode) (mmdbdata.Cursor, error) {
	list, err := at.Slice()
	if err != nil {
		return at, err
	}
	for value := (mmdbdata.Cursor{}); ; {
		i, start, more := list.Next(value)
		if !more {
			return list.End()
		}
		if i > 0 {
			r.several = r.several || n.places[0].fact == factAS
			value, err = start.Skip()
		} else if kind, failed := start.Kind(); failed != nil {
			err = failed
		} else {
			var v scalar
			if v, value, err = readScalar(start, kind); err == nil {
				r.offer(n.places, v)
			}
		}
		if err != nil {
			return at, err
		}
	}
}

// scalar is a value that is no map and no list, as text, and whether it is a
// whole number that is not negative, a text, or neither.
type scalar struct {
	text         string
	number       uint64
	whole, words bool
}

func readScalar(at mmdbdata.Cursor, kind mmdbdata.Kind) (v scalar, end mmdbdata.Cursor, err error) {
	switch kind {
	case mmdbdata.KindString:
		if at.CheckMaxSize(mmdbdata.NewKindSet(mmdbdata.KindString), longestValue) != nil {
			v.text = "a text that is too long"
			break
		}
		v.words = true
		v.text, end, err = at.ReadString()
		v.text = strings.TrimSpace(v.text)
		return v, end, err
	case mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64, mmdbdata.KindInt32:
		var signed bool
		v.number, signed, end, err = at.ReadInteger()
		v.whole, v.text = true, strconv.FormatUint(v.number, 10)
		if signed && int64(v.number) < 0 {
			v.whole, v.text = false, strconv.FormatInt(int64(v.number), 10)
		}
		return v, end, err
	case mmdbdata.KindUint128:
		var high uint64
		high, v.number, end, err = at.ReadUint128()
		v.whole, v.text = high == 0, strconv.FormatUint(v.number, 10)
		return v, end, err
	case mmdbdata.KindFloat32, mmdbdata.KindFloat64:
		var f float64
		f, end, err = at.ReadFloat()
		v.text = strconv.FormatFloat(f, 'g', -1, 64)
		if f >= 0 && f <= math.MaxUint32 && f == math.Trunc(f) {
			v.number, v.whole = uint64(f), true
		}
		return v, end, err
	default:
		v.text = "a " + kind.String()
	}
	end, err = at.Skip()
	return v, end, err
}

// offer gives a value to each fact that it may stand for.
func (r *record) offer(places []keyPlace, v scalar) {
	if v.words && blank(v.text) {
		return
	}
	for _, p := range places {
		found := candidate{order: p.order}
		ok := v.words
		switch p.fact {
		case factAS:
			if found.asn, ok = r.number(p, v); ok && found.asn == 0 {
				continue // not routed
			}
			if !ok && v.words && len(places) > 1 {
				continue // the key holds a name
			}
		case factOrganisation:
			if found.text = v.text; p.numbered {
				found.text = r.split(p, v)
			}
			if blank(found.text) || !ok && v.whole && len(places) > 1 {
				continue // the key holds a number
			}
		case factCountry:
			if ok {
				found.text, ok = Country(v.text)
			}
		}
		if ok {
			r.best[p.fact].take(found)
		} else {
			r.odd[p.fact].take(candidate{order: p.order, text: v.text})
		}
	}
}

// number reads an AS number, whatever its type.
func (r *record) number(p keyPlace, v scalar) (asn uint32, ok bool) {
	if !v.words {
		return uint32(v.number), v.whole && v.number <= math.MaxUint32
	}
	first, rest, both := strings.Cut(v.text, " ")
	if both && !p.numbered {
		return 0, false
	}
	asn, err := identifier.AS(first)
	if err == nil && both {
		if !prefixed(first) {
			return 0, false
		}
		r.best[factOrganisation].take(candidate{order: len(mmdbKeys[factOrganisation]) + p.order, text: strings.TrimSpace(rest)})
	}
	return asn, err == nil
}

// split parts a name from an AS number before it, such as "AS64500 Example". The
// number counts where no key for one holds any.
func (r *record) split(p keyPlace, v scalar) (name string) {
	first, rest, _ := strings.Cut(v.text, " ")
	asn, err := identifier.AS(first)
	if err != nil || !prefixed(first) {
		return v.text
	}
	if asn != 0 {
		r.best[factAS].take(candidate{order: len(mmdbKeys[factAS]) + p.order, asn: asn})
	}
	return strings.TrimSpace(rest)
}

func prefixed(asn string) bool { return len(asn) > 2 && strings.EqualFold(asn[:2], "AS") }

// lacks says which facts the record does not give, and of each the value that
// could not be used, if there is one.
func (r *record) lacks(what said) (none [facts]bool, odd [facts]string) {
	none = [facts]bool{what.asn == 0, what.organisation == "", what.country == ""}
	for f := range none {
		if none[f] && r.odd[f].set {
			odd[f] = observation.Text(mmdbKeys[f][r.odd[f].order] + ": " + r.odd[f].text)
		}
	}
	return none, odd
}
