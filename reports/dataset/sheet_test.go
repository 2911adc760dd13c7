package dataset

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostile are strings that a peer may send.
var hostile = []string{
	"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "'=1", `=HYPERLINK("http://evil.example","x")`, "a,b", `say "hi"`, "two\nlines",
	"nul\x00here", "\x1b[31mred", "\u202eright to left", "\xff\xfe", strings.Repeat("long ", 100), "", "plain", "µTorrent/3.5",
}

// TestCSVFormulas reads cells as a spreadsheet would.
func TestCSVFormulas(t *testing.T) {
	for _, s := range hostile {
		line := string(appendText(nil, clean(s)))
		fields, err := csv.NewReader(strings.NewReader(line + ",end\n")).Read()
		if err != nil || len(fields) != 2 || fields[1] != "end" {
			t.Errorf("%q is written as %q, which reads as %q (%v)", s, line, fields, err)
			continue
		}
		cell := strings.TrimLeftFunc(fields[0], unicode.IsSpace)
		if cell != "" && strings.ContainsRune("=+-@\t\r＝＋－＠", []rune(cell)[0]) {
			t.Errorf("%q is written as %q: a spreadsheet takes it for a formula", s, line)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := clean(s)
		if !utf8.ValidString(c) || len(c) > longest+len("…")+16 {
			t.Fatalf("%q becomes %q", s, c)
		}
		for _, r := range c {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
				t.Fatalf("%q becomes %q, which holds %U", s, c, r)
			}
		}
		fields, err := csv.NewReader(strings.NewReader(string(appendText(nil, c)) + ",end\n")).Read()
		if err != nil || len(fields) != 2 {
			t.Fatalf("%q is written as %q: %v", s, appendText(nil, c), err)
		}
		if back := strings.TrimPrefix(fields[0], "'"); back != c {
			t.Fatalf("%q is read back as %q", c, back)
		}
	})
}

var nan = float32(math.NaN())

type everything struct {
	a, b string
	c    int64
	d    float64
	e    float32
	f    int64
	g    []uint32
}

var everythingForm = newForm("everything", "A table of all kinds.",
	words("a", "", func(v *everything) string { return v.a }), texts("b", "", func(v *everything) string { return v.b }), wholes("c", "", func(v *everything) int64 { return v.c }),
	reals("d", "", func(v *everything) float64 { return v.d }), measures("e", "", func(v *everything) float32 { return v.e }), moments("f", "", func(v *everything) int64 { return v.f }),
	lists("g", "", func(v *everything) []uint32 { return v.g }))

// TestFilesAreRead has the engine read what was written, in both formats, with
// rows enough for several pages.
func TestFilesAreRead(t *testing.T) {
	s := openEmpty(t)
	for _, format := range []string{Parquet, CSV} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			out, err := create(dir, everythingForm.table, format)
			must(t, err)
			const n = 10_000
			for range 2 {
				var list []everything
				for i := range n {
					v := everything{clean(hostile[i%len(hostile)]), "b" + strings.Repeat("x", i%7), int64(i), float64(i) / 8, float32(i), int64(i) * 1000, nil}
					if i%3 == 0 {
						v.e, v.f = nan, never
					}
					for k := range i % 5 {
						v.g = append(v.g, uint32(i+k))
					}
					list = append(list, v)
				}
				made, err := out.encode(everythingForm.rows(list))
				must(t, err)
				must(t, out.commit(made))
			}
			must(t, out.close())
			source, err := everythingForm.source(dir, format)
			must(t, err)
			var rows, c, nulls, entries, distinct uint64
			var d float64
			must(t, s.DB().QueryRowContext(t.Context(), "SELECT count(), toUInt64(sum(c)), sum(d), countIf(isNull(e) AND isNull(f)), toUInt64(sum(length(g))), uniqExact(a) FROM "+source).Scan(&rows, &c, &d, &nulls, &entries, &distinct))
			if rows != 2*n || c != n*(n-1) || d != float64(n*(n-1))/8 || nulls != 2*3334 || entries != 2*2*n || int(distinct) != len(hostile) {
				t.Errorf("read %d rows, sum %d and %v, %d absent, %d entries, %d strings", rows, c, d, nulls, entries, distinct)
			}
			var wrong uint64
			must(t, s.DB().QueryRowContext(t.Context(), "SELECT countIf(arrayExists((x, i) -> x != c + i - 1, g, arrayEnumerate(g)) OR toUnixTimestamp64Milli(f) != c * 1000) FROM "+source).Scan(&wrong))
			if wrong > 0 {
				t.Errorf("%d rows hold the wrong entries or moments", wrong)
			}
		})
	}
}

func TestNoFileIsWrittenOver(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "everything.csv"), nil, 0o600))
	if _, err := create(dir, everythingForm.table, CSV); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that is there is written over: %v", err)
	}
}
