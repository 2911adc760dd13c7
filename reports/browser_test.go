package reports

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"canopy/crawler/observation"
)

// browser starts Chromium, with settings of the environment such as "A=b", or
// skips the test where there is none.
func browser(t *testing.T, environment ...string) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("no Chromium is installed")
		}
		t.Skip("no Chromium is installed: install the package chromium to look at the page")
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-background-networking", true),
		chromedp.Env(environment...))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 8*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// complaints collects what a page should not do: errors and requests.
type complaints struct {
	mu   sync.Mutex
	list []string
}

func (c *complaints) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

func (c *complaints) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		c.add("console: %s", e.Type)
	case *runtime.EventExceptionThrown:
		c.add("exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		c.add("log: %s %s", e.Entry.Text, e.Entry.URL)
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, "file:") && !strings.HasPrefix(url, "data:") || strings.HasPrefix(url, "file:") && !strings.HasSuffix(url, Index) {
			c.add("request: %s", url)
		}
	}
}

// hostilePopulation has a hostile string in every field.
func hostilePopulation() []plannedPeer {
	var peers []plannedPeer
	for i, s := range hostile {
		for k := range 3 + i {
			peers = append(peers, plannedPeer{
				id: fmt.Sprintf("%d-%d-%s", i, k, s), agent: s, address: netip.AddrFrom4([4]byte{45, 60, byte(i), byte(k)}).String(), up: always,
				facts: observation.Facts{Organisation: s, Country: s, Hosting: observation.Hosting(s), Source: s, ASN: uint32(i)},
			})
		}
	}
	return peers
}

// hostileReport writes a report of two networks, one of them with hostile strings
// in every field, and the archive in the folder above.
func hostileReport(t *testing.T) (dir string) {
	t.Helper()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(6, time.Minute, observation.ScopeLocal), population("alpha"))
	crawls := crawlsEvery(3, 26*time.Hour, observation.ScopeGlobal)
	for i := range crawls {
		crawls[i].notes = hostile
	}
	write(t, s, observation.Network{Name: "zeta/../<b>", Title: hostile[0] + strings.Repeat("B", 300), Identity: hostile[1]}, crawls, hostilePopulation())
	r, err := Build(t.Context(), s.DB(), Options{Generated: day, Software: hostile[0], Attributions: hostile, Warnings: hostile})
	if err != nil {
		t.Fatal(err)
	}
	dir, _ = writeTo(t, r)
	_, err = Archive(filepath.Dir(dir), day, hostile[0])
	must(t, err)
	return dir
}

func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	dir := hostileReport(t)
	ctx := browser(t)
	var c complaints
	must(t, chromedp.Do(ctx)) // opens the tab
	must(t, chromedp.Listen(ctx, c.listen))
	call(t, ctx, network.Enable, network.EnableParams{})
	call(t, ctx, runtime.Enable, cdp.Empty{})
	call(t, ctx, log.Enable, cdp.Empty{})
	archive := "file://" + filepath.Join(filepath.Dir(dir), Index)
	url := "file://" + filepath.Join(dir, Index)
	paper := int64(794) // A4
	for _, width := range []int64{390, paper, 1280} {
		for _, scheme := range []string{"light", "dark", "print"} {
			if (width == paper) != (scheme == "print") {
				continue
			}
			t.Run(fmt.Sprintf("%s at %d", scheme, width), func(t *testing.T) { inspect(t, ctx, url, width, scheme) })
			t.Run(fmt.Sprintf("archive, %s at %d", scheme, width), func(t *testing.T) { inspect(t, ctx, archive, width, scheme) })
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, complaint := range c.list {
		t.Error(complaint)
	}
}

func call[P, R any](t *testing.T, ctx context.Context, command cdp.Command[P, R], params P) {
	t.Helper()
	if _, err := chromedp.Call(ctx, command, params); err != nil {
		t.Fatal(err)
	}
}

// axe is what finds faults of accessibility. It is no part of the page: the
// browser's debugger runs it.
const axe = "testdata/axe/node_modules/axe-core/axe.min.js"

// accessible fails for each serious or critical fault that axe-core finds.
func accessible(t *testing.T, ctx context.Context) {
	t.Helper()
	source, err := os.ReadFile(axe)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Log("accessibility is not checked: run `make axe` to install axe-core")
		return
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](string(source)+"\n;true")); err != nil {
		t.Fatal(err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`axe.run(document).then(r => r.passes.length > 10 ? r.violations : [{id: 'axe', impact: 'critical', help: 'nothing was checked', nodes: [{target: [], failureSummary: ''}]}]).then(list => list
		.filter(v => v.impact === 'serious' || v.impact === 'critical')
		.flatMap(v => v.nodes.map(n => v.id + ' (' + v.impact + '): ' + v.help + ': ' + n.target.join(' ') + ': ' + n.failureSummary)))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range found {
		t.Error(fault)
	}
}

// faults counts in the page what must not be there.
const faults = `({
	"pixels too wide": document.documentElement.scrollWidth - document.documentElement.clientWidth,
	"scripts": document.scripts.length + document.querySelectorAll('iframe, object, embed, img').length,
	"hostile scripts that ran": window.pwned ? 1 : 0,
	"figures without a name": [...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label')).length,
	"tables that can't be scrolled by keyboard": document.querySelectorAll('table').length - document.querySelectorAll('.scroll[tabindex="0"] table').length,
	"IDs used twice": (ids => ids.length - new Set(ids).size)([...document.querySelectorAll('[id]')].map(e => e.id)),
	"links to nowhere": [...document.querySelectorAll('a[href^="#"]')].filter(a => !document.getElementById(a.getAttribute('href').slice(1))).length,
})`

// show opens a page as light, dark or print.
func show(t *testing.T, ctx context.Context, url string, width int64, scheme string) {
	t.Helper()
	call(t, ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media:    map[string]string{"print": "print"}[scheme],
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: map[string]string{"print": "light"}[scheme] + map[string]string{"light": "light", "dark": "dark"}[scheme]}},
	})
	must(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(url), chromedp.WaitReady("footer")))
}

func inspect(t *testing.T, ctx context.Context, url string, width int64, scheme string) {
	show(t, ctx, url, width, scheme)
	found, err := chromedp.Run(ctx, chromedp.Evaluate[map[string]int](faults))
	if err != nil {
		t.Fatal(err)
	}
	for fault, n := range found {
		if n > 0 {
			t.Errorf("%s: %d", fault, n)
		}
	}
	accessible(t, ctx)
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if len(picture) < 10_000 {
		t.Errorf("the top of the page is an almost empty picture of %d bytes", len(picture))
	}
	keepPicture(t, ctx, fmt.Sprintf("%s-%d-%s.png", filepath.Base(filepath.Dir(url)), width, scheme))
}

// keepPicture leaves a picture of the whole page to be looked at, if
// CANOPY_REPORT names a folder.
func keepPicture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	keep := os.Getenv("CANOPY_REPORT")
	if keep == "" {
		return
	}
	whole, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	must(t, err)
	name = strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()) + "-" + name
	must(t, os.WriteFile(filepath.Join(keep, name), whole, 0o644))
}
