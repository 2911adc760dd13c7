package reports

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"canopy/crawler/observation"
)

// awkwardFolders are names that mean something else in an address.
var awkwardFolders = []string{
	"2026-10-01T06:00", "a b", "100%", "a%20b", "#1", "what?", "a&b", `"quoted"`, "it's", "<b>", "-dash", `back\slash`, "日本語", "two\nlines",
	"javascript:alert(1)", "https:", "C:", "host:80", "{{.}}", "right\u202eleft",
}

// awkwardArchive is a folder with a report in a folder of each awkward name,
// whose page has the place of the name as its title.
func awkwardArchive(t *testing.T) (dir string) {
	t.Helper()
	s := openStore(t)
	write(t, s, alpha, crawlsEvery(2, time.Hour, observation.ScopeGlobal), population("alpha")[:20])
	r := build(t, s.DB())
	one := t.TempDir()
	must(t, r.Write(one))
	numbers, err := os.ReadFile(filepath.Join(one, Numbers))
	must(t, err)
	dir = t.TempDir()
	for i, name := range awkwardFolders {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name, Numbers), numbers, 0o600))
		must(t, os.WriteFile(filepath.Join(dir, name, Index), fmt.Appendf(nil, "<!DOCTYPE html><title>report %d</title>", i), 0o600))
	}
	n, err := Archive(dir, day, "canopy test")
	must(t, err)
	if n != len(awkwardFolders) {
		t.Fatalf("%d reports, want %d", n, len(awkwardFolders))
	}
	return dir
}

var rowLink = regexp.MustCompile(`<th scope="row"><a href="([^"]*)">`)

// TestArchiveLeadsToItsReports resolves every link of an archive's page, and
// finds the page of the report there.
func TestArchiveLeadsToItsReports(t *testing.T) {
	t.Parallel()
	dir := awkwardArchive(t)
	page, err := os.ReadFile(filepath.Join(dir, Index))
	must(t, err)
	base := &url.URL{Scheme: "file", Path: filepath.Join(dir, Index)}
	var reached []string
	for _, m := range rowLink.FindAllStringSubmatch(string(page), -1) {
		u, err := base.Parse(strings.NewReplacer("&amp;", "&", "&#39;", "'", "&#43;", "+").Replace(m[1]))
		must(t, err)
		if info, err := os.Stat(u.Path); err != nil || !info.Mode().IsRegular() || u.Fragment+u.RawQuery != "" {
			t.Errorf("the link %q leads to no page: %v", m[1], err)
		}
		reached = append(reached, filepath.Base(filepath.Dir(u.Path)))
	}
	slices.Sort(reached)
	if want := slices.Sorted(slices.Values(awkwardFolders)); !slices.Equal(reached, want) {
		t.Errorf("reached %q\nwant    %q", reached, want)
	}
}

// TestBrowserFollowsTheArchive follows every link of the page with Chromium.
func TestBrowserFollowsTheArchive(t *testing.T) {
	t.Parallel()
	dir := awkwardArchive(t)
	ctx := browser(t)
	must(t, chromedp.Do(ctx, chromedp.Navigate("file://"+filepath.Join(dir, Index)), chromedp.WaitReady("footer")))
	links, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll('th a')].map(a => a.href)`))
	must(t, err)
	titles := map[string]string{}
	for _, link := range links {
		if !strings.HasPrefix(link, "file://"+dir+"/") {
			t.Errorf("a link leads out of the archive: %q", link)
			continue
		}
		must(t, chromedp.Do(ctx, chromedp.Navigate(link), chromedp.WaitReady("title")))
		title, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.title`))
		must(t, err)
		titles[title] = link
	}
	for i, name := range awkwardFolders {
		if titles[fmt.Sprintf("report %d", i)] == "" {
			t.Errorf("no link leads to the report in %q", name)
		}
	}
}

// TestReportWithoutPage: what has no page has no row that leads to it.
func TestReportWithoutPage(t *testing.T) {
	t.Parallel()
	dir := awkwardArchive(t)
	must(t, os.Remove(filepath.Join(dir, "#1", Index)))
	n, err := Archive(dir, day, "canopy test")
	must(t, err)
	page, err := os.ReadFile(filepath.Join(dir, Index))
	must(t, err)
	if n != len(awkwardFolders)-1 || !strings.Contains(string(page), "#1: its page is missing") {
		t.Errorf("%d reports; the page does not name the one without a page", n)
	}
}

// TestEntriesAreLinkedByAnyID: a registry of the user's own may call its entries
// anything.
func TestEntriesAreLinkedByAnyID(t *testing.T) {
	t.Parallel()
	for _, id := range append([]string{"a:b"}, awkwardFolders...) {
		v := view{Network: &Network{slug: "alpha", Registered: []Registered{{ID: id, Name: "Example"}}}}
		u, err := url.Parse(v.entryOf("Example"))
		if err != nil || u.Fragment != v.entryID(id) || u.Scheme+u.Host+u.Path != "" {
			t.Errorf("%q: the link %q leads to %v, %v", id, v.entryOf("Example"), u, err)
		}
		if strings.Contains(v.entryOf("Example"), ":") {
			t.Errorf("%q: the link %q would be taken for one with a scheme", id, v.entryOf("Example"))
		}
	}
}
