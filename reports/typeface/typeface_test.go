package typeface

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"golang.org/x/image/font/sfnt"
)

// Each character of Liberation Sans is in one slice, so that what can be measured
// can be shown, and in no more than one.
func TestSlicesPartTheTypeface(t *testing.T) {
	list, err := read()
	if err != nil {
		t.Fatal(err)
	}
	for name, ttf := range map[string][]byte{"regular": liberationsansregular.TTF, "bold": liberationsansbold.TTF} {
		face, err := sfnt.Parse(ttf)
		if err != nil {
			t.Fatal(err)
		}
		characters := 0
		for r := ' '; r <= 0x1ffff; r++ {
			if glyph, err := face.GlyphIndex(nil, r); err != nil || glyph == 0 {
				continue
			}
			characters++
			in := 0
			for _, s := range list {
				if s.holds(r) {
					in++
				}
			}
			if in != 1 {
				t.Errorf("%s: %U is in %d slices", name, r, in)
			}
		}
		if characters < 2000 {
			t.Errorf("%s has %d characters only", name, characters)
		}
	}
}

// A text brings the slices that it needs and no others.
func TestRulesHoldWhatATextNeeds(t *testing.T) {
	all := []string{"U+0020", "U+0100", "U+0250", "U+0370", "U+0400", "U+0590", "U+203B"} // how the ranges of the slices begin
	for text, want := range map[string][]string{
		"": nil, "plain 57 % (49–65) …": {"U+0020"}, "Čeština": {"U+0020", "U+0100"}, "Телеком": {"U+0400"}, "Ελλάδα, שלום": {"U+0020", "U+0370", "U+0590"}, "日本": nil,
	} {
		rules := Rules(text)
		var got []string
		for _, first := range all {
			switch strings.Count(rules, "unicode-range:"+first) {
			case 0:
			case 2: // regular and bold
				got = append(got, first)
			default:
				t.Errorf("%q: slice %s is there in one weight only, or too often", text, first)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q brings %v, want %v", text, got, want)
		}
	}
	if all := Rules("aČʘΩЖש∞"); len(all) > 320_000 || len(Rules("a")) > 30_000 {
		t.Errorf("the typeface takes %d bytes, its first slice %d", len(all), len(Rules("a")))
	}
}

// The licence reserves the name of the original, and wants its notice with each copy.
func TestLicence(t *testing.T) {
	for _, reserved := range []string{"Liberation", "Arimo", "Tinos", "Cousine"} {
		if strings.Contains(Family, reserved) || strings.Contains(strings.ReplaceAll(Rules("a"), notice, ""), reserved) {
			t.Errorf("the typeface is named %s, which its licence reserves", reserved)
		}
	}
	licence, err := os.ReadFile("OFL.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, holder := range []string{"2010 Google Corporation", "2012 Red Hat, Inc.", "SIL Open Font License"} {
		if !strings.Contains(string(licence), holder) || !strings.Contains(Rules("a"), holder) {
			t.Errorf("%q stands in one of licence and notice only", holder)
		}
	}
}

func TestRangesThatAreNone(t *testing.T) {
	for _, ranges := range []string{"", "U+", "U+0020-", "U+XYZ", "U+0020-00FF,U+0100"} {
		if spans, err := parse(ranges); !errors.Is(err, strconv.ErrSyntax) {
			t.Errorf("%q is read as %v, %v", ranges, spans, err)
		}
	}
}
