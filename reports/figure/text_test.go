package figure

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"

	"canopy/reports/typeface"
)

// shown is a text of an SVG and the width that it is set to.
type shown struct {
	text   string
	length float64
}

func textsOf(t *testing.T, svg []byte) (texts []shown) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "text" {
			continue
		}
		var s shown
		for _, a := range start.Attr {
			switch a.Name.Local {
			case "textLength":
				if s.length, err = strconv.ParseFloat(a.Value, 64); err != nil {
					t.Fatal(err)
				}
			case "lengthAdjust":
				if a.Value != "spacingAndGlyphs" {
					t.Errorf("lengthAdjust is %q", a.Value)
				}
			}
		}
		if err := decoder.DecodeElement(&s.text, &start); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, s)
	}
}

// Each text is set to the width that it was measured to have, whatever it says.
func TestTextsTakeTheirMeasuredWidth(t *testing.T) {
	names := []string{"Example Telecom", "#1C2128", "<text x=\"1\">", "日本語の組織", "شركة", "a  b   c", "Z\u0301\u0301\u0301\u0301\u0301\u0301", "\u0301mark", "Ünïcödé"}
	bars := Bars{Axis: "share", Format: Percent, Keys: []Key{{"", Blue}}}
	for _, name := range names {
		bars.Rows = append(bars.Rows, Bar{Label: name, Parts: []float64{0.1}, Value: "10 %"})
	}
	f, err := Draw(Frame{Name: "x", Title: "A finding", Caption: "A caption"}, bars)
	if err != nil {
		t.Fatal(err)
	}
	for form, svg := range map[string][]byte{"file": f.SVG, "wide": f.Wide, "narrow": f.Narrow} {
		found := map[string]float64{}
		for _, s := range textsOf(t, svg) {
			found[s.text] = s.length
		}
		for _, want := range []string{"Example Telecom", "#1C2128", "<text x=\"1\">", "日本語の組織", "شركة", "a b c", "Z\u0301\u0301\u0301", "mark", "Ünïcödé"} {
			length, ok := found[want]
			if !ok {
				t.Errorf("%s: %q is not shown as it is", form, want)
			} else if measured := bodyText.width(want).Points(); math.Abs(length-measured) > 0.05 {
				t.Errorf("%s: %q is set to %v points, measured %v", form, want, length, measured)
			}
		}
	}
}

// What the font lacks has the room that it takes in other fonts.
func TestRoomForWhatTheFontLacks(t *testing.T) {
	for text, want := range map[string]vg.Length{"日本": 24, "ส": 7.8, "สิ": 7.8, "🐝": 12, "": 0} {
		if got := bodyText.width(text); math.Abs((got - want).Points()) > 1e-9 {
			t.Errorf("%q has %v points, want %v", text, got, want)
		}
	}
	if got := fit(strings.Repeat("e\u0301", 10_000), bodyText, 100); bodyText.width(got) > 100 || !strings.HasSuffix(got, "…") {
		t.Errorf("a long text with marks is cut to %q", got)
	}
}

// A file carries the typeface; a chart in a page does not, since the page does.
func TestFilesCarryTheTypeface(t *testing.T) {
	f, err := Draw(Frame{Name: "x", Title: "Открытие", Caption: "A caption"}, shares())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(f.SVG), "<style>\n"+typeface.Rules(f.Alt)+"</style>") {
		t.Error("the file does not carry the slices of its text")
	}
	for form, svg := range map[string][]byte{"wide": f.Wide, "narrow": f.Narrow} {
		if strings.Contains(string(svg), "<style") {
			t.Errorf("%s carries the typeface", form)
		}
	}
	for form, svg := range map[string][]byte{"file": f.SVG, "wide": f.Wide, "narrow": f.Narrow} {
		if !strings.Contains(string(svg), `font-family="`+typeface.Stack+`"`) || strings.Contains(string(svg), "font-family:Liberation") {
			t.Errorf("%s is not set in the typeface", form)
		}
	}
}
