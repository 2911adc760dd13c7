package page

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"canopy/reports/typeface"
)

const hostile = `</title></style><script>alert(1)</script>"'><img src=x onerror=alert(1)>`

// every puts a string into every field that is text.
func every(s string) Document {
	return Document{
		Title: s, Lead: s, Banner: s, Software: s, Generated: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Headlines: []Headline{{Subject: s, Sentence: s, Points: []Point{{Subject: s, Sentence: s, Target: s}, {Subject: s, Sentence: s}}, Detail: s, Target: s}},
		Sections: []Section{{ID: s, Heading: s, Blocks: []Block{
			{Text: s}, {Notice: s}, {List: []string{s}}, {Terms: []Term{{ID: s, Name: s, Meaning: s, Links: []Link{{Text: s, About: s, URL: s}}}}},
			{Table: &Table{Caption: s, Head: []string{s, s}, Numeric: []bool{false, true}, Rows: [][]string{{s, s}, {s, s}}, Links: []string{s}, CSV: s}},
			{Figure: &Figure{ID: s, Title: s, Caption: s, Wide: []byte("<svg></svg>"), Narrow: []byte("<svg></svg>"), PNG: s, SVG: s}},
		}, Sections: []Section{{ID: "below", Heading: s}}}},
	}
}

func render(t *testing.T, d Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A hostile text makes the same elements as a harmless one.
func TestTextNeverBecomesMarkup(t *testing.T) {
	harmless, attacked := render(t, every("harmless")), render(t, every(hostile))
	for _, markup := range []string{"<script", "<img", "</style", "</title", "<svg", "<a "} {
		if want, got := strings.Count(harmless, markup), strings.Count(attacked, markup); got != want {
			t.Errorf("%d times %s, want %d", got, markup, want)
		}
	}
	if strings.Contains(attacked, `href="javascript:`) {
		t.Error("a link runs a script")
	}
}

func TestPageStandsAlone(t *testing.T) {
	html := render(t, every("harmless"))
	for _, want := range []string{
		`default-src 'none'`, `<main id="main">`, `<nav aria-label=`, `<th scope="col" class="number">`, `<th scope="row">`, `<h3>harmless</h3>`,
		`1 March 2026, 12:00 UTC`, `class="skip"`, `lang="en"`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	own := strings.NewReplacer("http://www.w3.org/2000/svg", "", "url(data:font/woff2;base64,", "")
	for _, banned := range []string{"http://", "https://", "<script", "@import", "url("} {
		if strings.Contains(own.Replace(html), banned) {
			t.Errorf("the page holds %s", banned)
		}
	}
}

// A page carries the slices of the typeface that its text needs, and its policy
// lets them be used.
func TestPageCarriesItsTypeface(t *testing.T) {
	for _, text := range []string{"Plain", "Čeština и русский", "日本語"} {
		html := render(t, every(text))
		if rules := typeface.Rules(text + "–"); strings.Count(html, rules) != 1 {
			t.Errorf("%q: the page does not carry its slices", text)
		}
		if want := strings.Count(typeface.Rules(text+"–"), "@font-face"); strings.Count(html, "@font-face") != want {
			t.Errorf("%q: the page carries other slices than %d", text, want)
		}
		for _, want := range []string{"font-src data:;", `"` + typeface.Family + `"`} {
			if !strings.Contains(html, want) {
				t.Errorf("%q: the page lacks %s", text, want)
			}
		}
	}
}

func TestWithoutBannerThereIsNone(t *testing.T) {
	if html := render(t, Document{Title: "x"}); strings.Contains(html, "<aside") || strings.Contains(html, `class="headlines"`) {
		t.Error("an empty banner or headline is shown")
	}
}

// An interval stays on one line, and what is around it stays text.
func TestIntervalsAreHeld(t *testing.T) {
	if got, want := string(held(`a<b 5 (4–5) & "x" (<1–2) (no range) 3–4 (63 to 67)`)), `a&lt;b 5 <span class="held">(4–5)</span> &amp; &#34;x&#34; <span class="held">(&lt;1–2)</span> (no range) 3–4 <span class="held">(63 to 67)</span>`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(held(`(<script>–"onload="x)`)); strings.Contains(got, "<script") || strings.Contains(got, `"onload`) {
		t.Error(got)
	}
}
