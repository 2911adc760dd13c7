package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"codeberg.org/go-fonts/liberation/liberationmonoregular"
	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"github.com/chromedp/chromedp"
	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"

	"canopy/reports/typeface"
)

// machine has some fonts only, whatever this machine has.
func machine(t *testing.T, fonts map[string][]byte) (environment string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "fonts"), 0o755))
	for name, content := range fonts {
		must(t, os.WriteFile(filepath.Join(dir, "fonts", name), content, 0o600))
	}
	config := fmt.Sprintf(`<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>%s</dir><cachedir>%s</cachedir></fontconfig>`,
		filepath.Join(dir, "fonts"), filepath.Join(dir, "cache"))
	path := filepath.Join(dir, "fonts.conf")
	must(t, os.WriteFile(path, []byte(config), 0o600))
	return "FONTCONFIG_FILE=" + path
}

// dejaVu finds the fonts of the package fonts-dejavu-core.
func dejaVu(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for _, root := range []string{"/usr/share/fonts", "/usr/local/share/fonts"} {
		must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || !strings.HasPrefix(d.Name(), "DejaVuSans") || filepath.Ext(path) != ".ttf" {
				return err
			}
			found[d.Name()], err = os.ReadFile(path)
			return err
		}))
	}
	if len(found) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("no DejaVu Sans is installed")
		}
		t.Skip("no DejaVu Sans is installed: install the package fonts-dejavu-core to look at the page in it")
	}
	return found
}

// misplaced lists texts that are not where they should be: of a figure, those
// that reach out of it or over another; of the page, those that reach out of
// their block, and what is cut off.
const misplaced = `(() => {
	const found = [];
	const near = 1.5;
	const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
		&& Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
	const beyond = (a, frame, high) => a.left < frame.left - near || a.right > frame.right + near || a.top < frame.top - high || a.bottom > frame.bottom + high;
	const say = (what, text) => found.push(what + ': ' + text.slice(0, 80));
	const by = (box, frame) => ' by ' + [frame.left - box.left, box.right - frame.right, frame.top - box.top, box.bottom - frame.bottom]
		.map(d => d.toFixed(1)).join(', ');
	for (const svg of document.querySelectorAll('svg')) {
		const frame = svg.getBoundingClientRect();
		if (!frame.width) continue;
		const texts = [...svg.querySelectorAll('text')].map(e => ({text: e.textContent, box: e.getBoundingClientRect()}));
		texts.forEach((a, i) => {
			if (beyond(a.box, frame, near)) say('out of its figure' + by(a.box, frame), a.text);
			for (const b of texts.slice(i + 1)) if (over(a.box, b.box)) say('over another', a.text + ' | ' + b.text);
		});
	}
	if (!document.body) return found; // an SVG file
	const wide = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth > wide) say('wider than the page', document.documentElement.scrollWidth + ' > ' + wide);
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = document.createRange();
	while (walk.nextNode()) {
		const node = walk.currentNode;
		if (!node.data.trim() || node.parentElement.closest('svg, .unseen, .skip')) continue;
		let block = node.parentElement;
		while (getComputedStyle(block).display.startsWith('inline')) block = block.parentElement;
		const frame = block.getBoundingClientRect();
		range.selectNodeContents(node);
		const scrolls = block.closest('.scroll') && getComputedStyle(block.closest('.scroll')).overflowX === 'auto';
		for (const r of range.getClientRects()) {
			if (!r.width) continue;
			const out = !scrolls && r.right > wide + near ? 'out of the page' + by(r, {left: 0, top: 0, right: wide, bottom: r.bottom})
				: beyond(r, frame, 4) ? 'out of its ' + block.localName + by(r, frame) : '';
			if (out) { say(out, node.data.trim()); break; }
		}
	}
	for (const e of document.querySelectorAll('body *:not(svg, svg *, .unseen)')) {
		const style = getComputedStyle(e);
		if (['hidden', 'clip'].includes(style.overflowX) && e.scrollWidth > e.clientWidth + 1) say('cut off', e.textContent);
		if (style.textOverflow === 'ellipsis') say('cut off', e.textContent);
	}
	return found;
})()`

// mismeasured lists texts whose width differs from the one that they were
// measured to have, unless they have a character that the typeface lacks.
const mismeasured = `(() => {
	const found = [];
	for (const e of document.querySelectorAll('text')) {
		if (!e.getClientRects().length || !/^[\u0020-\u024f\u0370-\u0512\u2010-\u203a]*$/.test(e.textContent)) continue;
		const measured = e.getAttribute('textLength');
		e.removeAttribute('textLength');
		const shown = e.getComputedTextLength();
		e.setAttribute('textLength', measured);
		if (Math.abs(shown - measured) > 0.3 + measured * 0.005) found.push(e.textContent.slice(0, 80) + ': measured ' + measured + ', shown ' + shown);
	}
	return found;
})()`

// Text is where it was laid out, whatever fonts a reader's machine has, and also
// where a reader's program blocks the typeface that files carry.
func TestTextFitsWithEveryFont(t *testing.T) {
	t.Parallel()
	dir := hostileReport(t)
	without := blocked(t, dir)
	liberation := func(*testing.T) map[string][]byte {
		return map[string][]byte{"LiberationSans-Regular.ttf": liberationsansregular.TTF, "LiberationSans-Bold.ttf": liberationsansbold.TTF}
	}
	mono := func(*testing.T) map[string][]byte {
		return map[string][]byte{"LiberationMono-Regular.ttf": liberationmonoregular.TTF}
	}
	for _, reader := range []struct {
		name  string
		fonts func(*testing.T) map[string][]byte
		same  bool // the machine's own font is as wide as that of the figures
	}{{"DejaVu only", dejaVu, false}, {"Liberation", liberation, true}, {"neither", mono, false}} {
		t.Run(reader.name, func(t *testing.T) {
			ctx := browser(t, machine(t, reader.fonts(t)))
			must(t, chromedp.Do(ctx)) // opens the tab
			t.Run("carried", func(t *testing.T) { fits(t, ctx, dir, true) })
			t.Run("blocked", func(t *testing.T) { fits(t, ctx, without, reader.same) })
		})
	}
}

// Every character of the typeface is as wide in the slices that files carry as
// in the font that figures are measured in.
func TestTypefaceKeepsTheWidths(t *testing.T) {
	t.Parallel()
	widths := map[string]map[string]float64{}
	var characters strings.Builder
	for weight, ttf := range map[string][]byte{"400": liberationsansregular.TTF, "700": liberationsansbold.TTF} {
		face, err := sfnt.Parse(ttf)
		must(t, err)
		widths[weight] = map[string]float64{}
		em := fixed.Int26_6(face.UnitsPerEm())
		for r := rune(0x21); r <= 0xffff; r++ {
			if r == 0x5c3 || r == 0xfffc { // a mark to the font, and a character that browsers never show
				continue
			}
			glyph, err := face.GlyphIndex(nil, r)
			if err != nil || glyph == 0 || !unicode.IsGraphic(r) || unicode.In(r, unicode.Mn, unicode.Zs) {
				continue
			}
			advance, err := face.GlyphAdvance(nil, glyph, em, font.HintingNone)
			must(t, err)
			widths[weight][string(r)] = float64(advance) / float64(em)
			characters.WriteRune(r)
		}
	}
	path := filepath.Join(t.TempDir(), Index)
	html := "<!DOCTYPE html><meta charset=utf-8><style>" + typeface.Rules(characters.String()) + "</style><p>"
	must(t, os.WriteFile(path, []byte(html), 0o600))
	ctx := browser(t, machine(t, map[string][]byte{"LiberationMono-Regular.ttf": liberationmonoregular.TTF}))
	must(t, chromedp.Do(ctx, chromedp.Navigate("file://"+path)))
	for weight, want := range widths {
		list, err := json.Marshal(slices.Sorted(maps.Keys(want)))
		must(t, err)
		got, err := chromedp.Run(ctx, chromedp.Evaluate[map[string]float64](fmt.Sprintf(`(async () => {
			const style = '%s 1000px "%s"', list = %s;
			await document.fonts.load(style, list.join(''));
			const pen = document.createElement('canvas').getContext('2d');
			pen.font = style; pen.textRendering = 'geometricPrecision';
			return Object.fromEntries(list.map(c => [c, pen.measureText(c).width / 1000]));
		})()`, weight, typeface.Family, list), chromedp.EvalAwaitPromise))
		must(t, err)
		if len(got) < 2000 {
			t.Errorf("weight %s: %d characters were measured only", weight, len(got))
		}
		for c, w := range got {
			if math.Abs(w-want[c]) > 0.002 {
				t.Errorf("weight %s: %s %+q is %v em wide, want %v", weight, c, c, w, want[c])
			}
		}
	}
}

// blocked copies a report and its archive without the typeface.
func blocked(t *testing.T, dir string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "report")
	must(t, os.Mkdir(copied, 0o755))
	for from, to := range map[string]string{dir: copied, filepath.Dir(dir): filepath.Dir(copied)} {
		for _, pattern := range []string{"*.svg", "*.html"} {
			paths, err := filepath.Glob(filepath.Join(from, pattern))
			must(t, err)
			for _, path := range paths {
				content, err := os.ReadFile(path)
				must(t, err)
				without := strings.ReplaceAll(string(content), "@font-face{", "@font-nothing{")
				if without == string(content) {
					t.Errorf("%s carries no typeface", path)
				}
				must(t, os.WriteFile(filepath.Join(to, filepath.Base(path)), []byte(without), 0o600))
			}
		}
	}
	return copied
}

// fits looks at all pages and files of a report. As measured, or not, must texts
// be wide without the widths that they are set to.
func fits(t *testing.T, ctx context.Context, dir string, asMeasured bool) {
	for _, url := range []string{filepath.Join(dir, Index), filepath.Join(filepath.Dir(dir), Index)} {
		for _, sight := range []struct {
			width  int64
			scheme string
		}{{390, "light"}, {1280, "dark"}, {794, "print"}} {
			show(t, ctx, "file://"+url, sight.width, sight.scheme)
			complain(t, ctx, fmt.Sprintf("%s, %s at %d", filepath.Base(filepath.Dir(url)), sight.scheme, sight.width), misplaced)
			if asMeasured {
				complain(t, ctx, "in the page", mismeasured)
			}
		}
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	must(t, err)
	if len(paths) < 10 {
		t.Fatalf("the report has %d figures only", len(paths))
	}
	for _, path := range paths {
		must(t, chromedp.Do(ctx, chromedp.EmulateViewport(760, 900), chromedp.Navigate("file://"+path)))
		complain(t, ctx, filepath.Base(path), misplaced)
		if asMeasured {
			complain(t, ctx, filepath.Base(path), mismeasured)
		} else if len(faultsOf(t, ctx, mismeasured)) == 0 {
			t.Errorf("%s is shown in a font as wide as that of figures: the machine is not as planned", filepath.Base(path))
		}
		keepPicture(t, ctx, filepath.Base(path)+".png")
	}
}

func faultsOf(t *testing.T, ctx context.Context, script string) []string {
	t.Helper()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`document.fonts.ready.then(() => `+script+`)`, chromedp.EvalAwaitPromise))
	must(t, err)
	return found
}

// complain reports the first faults that a script finds, and how many there are.
func complain(t *testing.T, ctx context.Context, what, script string) {
	t.Helper()
	const most = 8
	found := faultsOf(t, ctx, script)
	for _, fault := range found[:min(len(found), most)] {
		t.Errorf("%s: %s", what, fault)
	}
	if len(found) > most {
		t.Errorf("%s: and %d more", what, len(found)-most)
	}
}
