package address

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"canopy/crawler/observation"
)

// countries are the codes of ISO 3166-1 alpha-2, and XK, by which publishers of
// address data know Kosovo.
const countries = " AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ" +
	" CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR" +
	" GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP" +
	" KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ" +
	" NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW" +
	" SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ" +
	" UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW "

// Country reads a country code of two letters in either case. It is false for
// what is no country's code: those by which publishers mark proxies, regions
// and what they don't know (A1, A2, O1, AP, EU, XX, ZZ), codes of three letters,
// and names.
func Country(s string) (code string, ok bool) {
	code = strings.ToUpper(s)
	if len(code) != 2 || strings.Contains(code, " ") || !strings.Contains(countries, " "+code+" ") {
		return "", false
	}
	return code, true
}

// blank says whether a value is how publishers write that they have none.
func blank(s string) bool {
	switch strings.ToLower(s) {
	case "", "-", "none", "unknown", "n/a", "null":
		return true
	}
	return false
}

// parseCountry reads a country code in a table of text. A short code that is no
// country's is returned as odd, and the country is unknown; anything else is an
// error, for then the column is likely another one.
func parseCountry(s string) (code, odd string, err error) {
	if blank(s) {
		return "", "", nil
	}
	if code, ok := Country(s); ok {
		return code, "", nil
	}
	if len(s) > 3 || strings.ContainsFunc(s, func(r rune) bool { return r > '~' || !letter(byte(r)) && (r < '0' || r > '9') }) {
		return "", "", fmt.Errorf("%q is no country code of two letters", observation.Text(s))
	}
	return "", s, nil
}

func letter(c byte) bool { c |= 0x20; return 'a' <= c && c <= 'z' }

// mostOdd is how many different values are told apart, and mostShown how many
// of them are named.
const (
	mostOdd   = 1000
	mostShown = 6
)

// oddities counts values that could not be used.
type oddities struct {
	times  map[string]int
	others int // of values beyond mostOdd different ones
}

// add counts n occurrences of a value.
func (o *oddities) add(value string, n int) {
	value = observation.Text(value)
	if _, known := o.times[value]; !known && len(o.times) >= mostOdd {
		o.others += n
		return
	}
	if o.times == nil {
		o.times = map[string]int{}
	}
	o.times[strings.Clone(value)] += n
}

// total is how many values could not be used.
func (o *oddities) total() int {
	n := o.others
	for _, times := range o.times {
		n += times
	}
	return n
}

// String names the most frequent values, and counts the rest.
func (o *oddities) String() string {
	values := slices.SortedFunc(maps.Keys(o.times), func(a, b string) int {
		if d := o.times[b] - o.times[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var parts []string
	rest := o.total()
	for _, value := range values[:min(len(values), mostShown)] {
		parts = append(parts, fmt.Sprintf("%q (%d)", value, o.times[value]))
		rest -= o.times[value]
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("others (%d)", rest))
	}
	return strings.Join(parts, ", ")
}
