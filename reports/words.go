package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"canopy/analysis"
	"canopy/analysis/shares"
	"canopy/reports/figure"
)

const nbsp = "\u00a0"

// How many runes of a string from the record a report shows: of a name, and of
// a sentence.
const (
	longest         = 120
	longestSentence = 600
)

// mostMarks is how many marks a character may carry: more pile up over the lines
// above and below. Written languages need three.
const mostMarks = 3

// legible makes a string from the record harmless to read: what steers a
// terminal, turns a line around or piles up becomes its code point. Escaping for
// HTML is the page's own.
func legible(s string) string { return harmless(s, longest) }

// harmless is legible with a length of its own.
func harmless(s string, most int) string {
	var b strings.Builder
	shown, marks := 0, 0
	for i, r := range s {
		if shown++; shown > most {
			b.WriteString("…")
			break
		}
		if marks++; !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
		}
		switch _, size := utf8.DecodeRuneInString(s[i:]); {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case marks > mostMarks:
			fmt.Fprintf(&b, `\u{%04x}`, r)
		case r == ' ' || r == '\u00a0' || unicode.IsGraphic(r) && !unicode.IsSpace(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u{%04x}`, r)
		}
	}
	return b.String()
}

// named is legible, with words for an empty string.
func named(s, otherwise string) string {
	if s = legible(s); strings.TrimSpace(s) == "" {
		return otherwise
	}
	return s
}

// percent writes a share with as many decimals as its interval warrants: none
// if the interval reaches 2 points or more to either side, else one.
func percent(e analysis.Estimate) string {
	return number(e.Value, decimals(e)) + nbsp + "%"
}

// percentInterval writes a share and its interval.
func percentInterval(e analysis.Estimate) string {
	d := decimals(e)
	return fmt.Sprintf("%s%s%% (%s–%s)", number(e.Value, d), nbsp, number(e.Lower, d), number(e.Upper, d))
}

// between writes a bound.
func between(b shares.Bounded) string {
	return number(b.AtLeast.Value, decimals(b.AtLeast)) + " to " + percent(b.AtMost)
}

func decimals(e analysis.Estimate) int {
	if e.Upper-e.Lower >= 0.04 {
		return 0
	}
	return 1
}

// number writes a share times 100. What is not zero never reads as zero, what
// is not all never as all.
func number(share float64, decimals int) string {
	s := strconv.FormatFloat(100*share, 'f', decimals, 64)
	smallest := strconv.FormatFloat(math.Pow10(-decimals), 'f', decimals, 64)
	switch v, _ := strconv.ParseFloat(s, 64); {
	case v == 0 && share > 0:
		return "<" + smallest
	case v == 100 && share < 1:
		return ">" + strconv.FormatFloat(100-math.Pow10(-decimals), 'f', decimals, 64)
	case share == 0 || share == 1:
		return strconv.FormatFloat(100*share, 'f', 0, 64)
	}
	return s
}

func count(n int) string { return figure.Count(float64(n)) }

// plural writes a number and its noun, which takes an s.
func plural(n int, noun string) string {
	if n == 1 {
		return "1" + nbsp + noun
	}
	return count(n) + nbsp + noun + "s"
}

// decimal writes a number that is no share, such as an effective number.
func decimal(e analysis.Estimate) string {
	form := func(v float64) string {
		if v >= 100 {
			return figure.Count(v)
		}
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return fmt.Sprintf("%s (%s–%s)", form(e.Value), form(e.Lower), form(e.Upper))
}

// part puts a share in words that its interval bears out: more than half is
// only what the interval says to be more.
func part(e analysis.Estimate) string {
	words := fraction(e.Value)
	if words == "more than half" && e.Lower <= 0.5 || words == "almost half" && e.Upper >= 0.5 {
		return "about half"
	}
	return words
}

// fraction puts a share in words.
func fraction(v float64) string {
	words := []struct {
		value float64
		words string
	}{
		{0.05, "one in twenty"}, {0.1, "one in ten"}, {0.125, "one in eight"}, {1.0 / 6, "one in six"}, {0.2, "a fifth"}, {0.25, "a quarter"}, {0.3, "three in ten"}, {1.0 / 3, "a third"},
		{0.4, "two in five"}, {0.45, "almost half"}, {0.5, "half"}, {0.55, "more than half"}, {0.6, "three in five"}, {2.0 / 3, "two thirds"}, {0.7, "seven in ten"}, {0.75, "three quarters"}, {0.8, "four in five"}, {0.9, "nine in ten"},
	}
	switch {
	case v >= 1:
		return "all"
	case v > 0.95:
		return "nearly all"
	case v <= 0:
		return "none"
	case v < 0.035:
		return "very few"
	}
	best := words[0]
	for _, w := range words {
		if math.Abs(w.value-v) < math.Abs(best.value-v) {
			best = w
		}
	}
	if math.Abs(best.value-v) > 0.004 && !strings.HasSuffix(best.words, " half") {
		return "about " + best.words
	}
	return best.words
}

// sentence begins with a capital letter.
func sentence(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

// unitOfTime is a unit with the decimals that go with it.
type unitOfTime struct {
	name     string
	length   time.Duration
	decimals int
}

// unitFor is the largest unit that fits a duration.
func unitFor(d time.Duration) unitOfTime {
	switch {
	case d < time.Second:
		return unitOfTime{"ms", time.Millisecond, 0}
	case d < 2*time.Minute:
		return unitOfTime{"s", time.Second, 0}
	case d < 2*time.Hour:
		return unitOfTime{"min", time.Minute, 0}
	case d < 48*time.Hour:
		return unitOfTime{"h", time.Hour, 1}
	}
	return unitOfTime{"days", 24 * time.Hour, 1}
}

// of writes a duration without the unit.
func (u unitOfTime) of(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(u.length), 'f', u.decimals, 64)
}

// lasting writes a duration in the largest unit that fits.
func lasting(d time.Duration) string {
	if d <= 0 {
		return "–"
	}
	u := unitFor(d)
	return u.of(d) + nbsp + u.name
}

// dates writes the days from first to last.
func dates(first, last time.Time) string {
	const day = "2 January 2006"
	switch {
	case first.Format(day) == last.Format(day):
		return first.Format(day)
	case first.Format("January 2006") == last.Format("January 2006"):
		return first.Format("2") + " to " + last.Format(day)
	case first.Year() == last.Year():
		return first.Format("2 January") + " to " + last.Format(day)
	}
	return first.Format(day) + " to " + last.Format(day)
}

// landPlace says where peers of a hosting class are.
func landPlace(class string) string {
	switch class {
	case "residential":
		return "on home connections"
	case "mobile":
		return "on mobile networks"
	case "institutional":
		return "on institutional land"
	case "hosting":
		return "on commercial land (cloud, VPS, colocation)"
	case "anonymiser":
		return "behind a VPN, Tor or a proxy"
	case unknown:
		return "on land that no address data names"
	}
	return "on land of class " + legible(class)
}

// landPhrase says where peers of a hosting class stand.
func landPhrase(class string) string { return "stand " + landPlace(class) }

// runners names those who run peers of a kind.
func runners(kind string) string {
	switch kind {
	case "community":
		return "communities"
	case "commercial":
		return "companies"
	case "institutional":
		return "institutions"
	}
	return kind
}

// ended ends a sentence, also one whose last word ends in a full stop.
func ended(s string) string {
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// joined lists names in a sentence, the first few of them.
func joined(names []string, most int) string {
	var shown []string
	for i, n := range names {
		if i == most {
			shown = append(shown, fmt.Sprintf("%d more", len(names)-most))
			break
		}
		shown = append(shown, legible(n))
	}
	if len(shown) < 2 {
		return strings.Join(shown, "")
	}
	return strings.Join(shown[:len(shown)-1], ", ") + " and " + shown[len(shown)-1]
}
