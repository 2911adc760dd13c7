package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hostile is what a peer may send as its name.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "\x1b[31mred\x07", "=HYPERLINK(\"http://x\")", strings.Repeat("A", 10_000),
	"\xff\xfe", "right\u202eleft", "日本語の組織", "#1C2128", "",
}

func shares() Bars {
	return Bars{
		Axis: "share of reachable peers", Format: Percent, Whisk: "95 % interval of the whole bar",
		Keys: []Key{{"community", Green}, {"institutional", Sky}, {"commercial", Orange}, {"undecided", Neutral}},
		Rows: []Bar{
			{Label: "residential", Parts: []float64{0.30, 0, 0, 0.05}, Lower: 0.31, Upper: 0.39, Value: "35 % (31–39)"},
			{Label: "mobile", Parts: []float64{0.02, 0, 0, 0.01}, Lower: 0.02, Upper: 0.05, Value: "3 % (2–5)"},
			{Label: "institutional", Parts: []float64{0, 0.06, 0, 0}, Lower: 0.04, Upper: 0.08, Value: "6 % (4–8)"},
			{Label: "hosting", Parts: []float64{0.08, 0, 0.30, 0.14}, Lower: 0.48, Upper: 0.56, First: &[2]float64{0.05, 0.11}, Value: "52 % (48–56)"},
			{Label: "anonymiser", Parts: []float64{0, 0, 0, 0.04}, Lower: 0.02, Upper: 0.06, Value: "4 % (2–6)"},
		},
	}
}

func trend() Lines {
	l := Lines{Axis: "share of reachable peers, band: 95 % interval", Format: Percent}
	a, b := Series{Key: Key{"hosting", Orange}}, Series{Key: Key{"residential", Green}}
	for i := range 9 {
		l.Times = append(l.Times, time.Date(2026, 3, 1+i, 12, 0, 0, 0, time.UTC))
		v := 0.5 + 0.03*math.Sin(float64(i))
		a.Values, a.Lower, a.Upper = append(a.Values, v), append(a.Lower, v-0.03), append(a.Upper, v+0.03)
		b.Values, b.Lower, b.Upper = append(b.Values, 0.9-v), append(b.Lower, 0.87-v), append(b.Upper, 0.93-v)
	}
	l.Series = []Series{a, b}
	return l
}

func survival(look Look, speed float64) SpanCurve {
	c := SpanCurve{Key: Key{hostile[0], look}}
	for t := 600.0; t < 200_000; t *= 1.2 {
		v := math.Exp(-speed * (t - 600) / 20_000)
		c.Seconds, c.Values, c.Lower, c.Upper = append(c.Seconds, t), append(c.Values, v), append(c.Lower, v*0.9), append(c.Upper, min(1, v*1.1))
	}
	return c
}

func charts() map[string]Chart {
	named := Bars{Axis: "share of reachable peers", Format: Percent, Keys: []Key{{"", Blue}}, Whisk: "95 % interval"}
	for _, name := range hostile {
		named.Rows = append(named.Rows, Bar{Label: name, Parts: []float64{0.1}, Lower: 0.08, Upper: 0.13, Value: "10.1 %"})
	}
	return map[string]Chart{
		"shares": shares(), "trend": trend(), "hostile": named,
		"seen":    Histogram{AxisX: "crawls in which a peer answered", AxisY: "peers", Look: Blue, Counts: []float64{120, 40, 33, 20, 11, 900}},
		"seen30":  Histogram{AxisX: "crawls in which a peer answered", AxisY: "peers", Look: Blue, Counts: append(make([]float64, 39), 1200)},
		"spans":   Spans{AxisX: "length of a session", AxisY: "share of sessions that last longer", Curves: []SpanCurve{survival(Green, 2), survival(Orange, 1)}},
		"nothing": Histogram{AxisX: "crawls", AxisY: "peers", Look: Blue, Counts: []float64{0}},
	}
}

// Every file is an image, and its SVG is well-formed, runs nothing and asks nobody. With CANOPY_FIGURES set to a
// folder, the pictures are left there to be looked at.
func TestFiguresAreImages(t *testing.T) {
	for name, chart := range charts() {
		t.Run(name, func(t *testing.T) {
			frame := Frame{
				Name: name, Title: "Two thirds of reachable peers stand on commercial land, and nobody can tell who runs half of them",
				Caption: "Unit: share of reachable peers, mean of snapshots. n = 1 234 peers in 4 crawls, 1 March 2026. Wilson interval on the effective sample size.",
				Banner:  "Synthetic demo data: a planned population on this machine, not a public network",
			}
			f, err := Draw(frame, chart)
			if err != nil {
				t.Fatal(err)
			}
			if img, err := png.Decode(bytes.NewReader(f.PNG)); err != nil || img.Bounds().Dx() != 1440 {
				t.Errorf("PNG: %v", err)
			}
			for form, svg := range map[string][]byte{"svg": f.SVG, "wide.svg": f.Wide, "narrow.svg": f.Narrow} {
				checkSVG(t, svg)
				keep(t, name+"."+form, svg)
			}
			keep(t, name+".png", f.PNG)
		})
	}
}

func keep(t *testing.T, name string, content []byte) {
	if dir := os.Getenv("CANOPY_FIGURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func checkSVG(t *testing.T, svg []byte) {
	t.Helper()
	if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
		t.Error("SVG has a number that is none")
	}
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("SVG is not well-formed: %v", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !strings.Contains(" svg style g path text ", " "+start.Name.Local+" ") {
			t.Errorf("SVG has a %s", start.Name.Local)
		}
		for _, a := range start.Attr {
			if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
				t.Errorf("SVG has an attribute %s", a.Name.Local)
			}
		}
	}
}

func TestNothingToDraw(t *testing.T) {
	for name, chart := range map[string]Chart{
		"no bars": Bars{}, "no curves": Spans{}, "one point": Spans{Curves: []SpanCurve{{Seconds: []float64{1}, Values: []float64{1}, Lower: []float64{1}, Upper: []float64{1}}}}, "no lines": Lines{}, "one time": Lines{Times: make([]time.Time, 1), Series: make([]Series, 1)}, "no counts": Histogram{},
		"NaN":      Bars{Keys: []Key{{"", Blue}}, Rows: []Bar{{Parts: []float64{math.NaN()}}}},
		"infinite": Histogram{Counts: []float64{math.Inf(1)}},
		"negative": Histogram{Counts: []float64{-1}},
	} {
		if _, err := Draw(Frame{Name: name}, chart); err == nil || !strings.Contains(err.Error(), "nothing to draw") && !strings.Contains(err.Error(), "is no length") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestScaleReachesOverTheLargest(t *testing.T) {
	for _, top := range []float64{0, 1e-4, 0.05, 0.3, 0.999, 1, 7, 120, 98765} {
		s := newScale(top, 4, 100)
		if s.top() < top || s.marks > 10 || s.of(top) > 100 {
			t.Errorf("scale for %v ends at %v with %d marks", top, s.top(), s.marks)
		}
	}
	for _, top := range []float64{0, 1, 2, 3, 17} {
		if s := newScale(top, 4, 100).whole(); s.top() < top || s.step != math.Trunc(s.step) {
			t.Errorf("marks of a count up to %v are %v apart and end at %v", top, s.step, s.top())
		}
	}
	if s := newScale(1, 5, 100); s.top() != 1 {
		t.Errorf("a scale of shares ends at %v", s.top())
	}
}

func TestNumbers(t *testing.T) {
	for want, got := range map[string]string{ // spaces are not to break at
		"20 %": Percent(0.2), "0.5 %": Percent(0.005), "0 %": Percent(0), "30 %": Percent(0.1 + 0.2), "1 234 567": Count(1234567), "12": Count(12), "1.5": Number(1.5), "2": Number(2), "1 200": Number(1200),
	} {
		if want = strings.ReplaceAll(want, " ", nbsp); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
