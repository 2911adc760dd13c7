package page

//lint:file-ignore fixedpath the paths in these texts are to be refused as links: nothing opens them

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// awkward are names of files that mean something else in an address.
var awkward = []string{
	"2026-10-01T06:00", "a b", "100%", "a%20b", "a%2fb", "#1", "what?", "a&b", `"quoted"`, "it's", "<b>", "-dash", ".dot", "..twice", `back\slash`, "日本語", "two\nlines",
	"javascript:alert(1)", "https:", "C:", "mailto:a@b", "host:80", ";semi", "a=b+c", "@at", "\xff\xfe", "~home", "[::1]", "{{.}}", "e\u0301", "right\u202eleft", "...",
}

// TestLinksLeadToTheirFiles resolves each link as it stands in the page against
// the page's own address, and finds the file there.
func TestLinksLeadToTheirFiles(t *testing.T) {
	dir := t.TempDir()
	base := &url.URL{Scheme: "file", Path: filepath.Join(dir, "index.html")}
	document := Document{Sections: []Section{{ID: "s", Blocks: []Block{{Table: &Table{Head: []string{"x"}}}}}}}
	table := document.Sections[0].Blocks[0].Table
	for _, name := range awkward {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		table.Rows = append(table.Rows, []string{"x"})
		table.Links = append(table.Links, Beside(name, name))
	}
	html := render(t, document)
	links := hrefs(t, html)
	for i, name := range awkward {
		u, err := base.Parse(links[i])
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if want := filepath.Join(dir, name, name); u.Scheme != "file" || u.Path != want || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q: the link %q leads to %q", name, links[i], u)
		}
		if _, err := os.Stat(u.Path); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// hrefs are the links of the rows of tables, as a browser reads them.
func hrefs(t *testing.T, page string) (links []string) {
	t.Helper()
	for _, part := range strings.Split(page, `<th scope="row"><a href="`)[1:] {
		link, _, _ := strings.Cut(part, `"`)
		links = append(links, unescaped.Replace(link))
	}
	if len(links) != len(awkward) {
		t.Fatalf("%d links, want %d", len(links), len(awkward))
	}
	return links
}

var unescaped = strings.NewReplacer("&amp;", "&", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">", "&#43;", "+", "&quot;", `"`)

func TestNamesThatLeadElsewhereHaveNoLink(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../up", "/etc/passwd", "//host/x", "a/b", "nul\x00"} {
		if got := Beside("folder", name); got != "" {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// A place is found whatever its ID holds.
func TestLinksWithinThePage(t *testing.T) {
	document := Document{}
	for _, name := range awkward {
		document.Sections = append(document.Sections, Section{ID: name})
	}
	nav, _, _ := strings.Cut(strings.SplitN(render(t, document), `<nav`, 2)[1], "</nav>")
	links := strings.Split(nav, `<a href="`)[1:]
	for i, name := range awkward {
		link, _, _ := strings.Cut(links[i], `"`)
		u, err := url.Parse(unescaped.Replace(link))
		if err != nil || u.Fragment != name || u.Path != "" {
			t.Errorf("%q: the link %q leads to %v, %v", name, link, u, err)
		}
	}
}
