package reports

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"canopy/analysis"
	"canopy/reports/page"
)

// archived is one report of an archive.
type archived struct {
	*Report
	folder string
}

// ErrNoReport is returned when a folder holds no folder with a report.
var ErrNoReport = errors.New("write reports into it first, such as `canopy report --out DIR/2026-10`")

// Archive writes the page of an archive into a folder: one row for each report
// in a folder below it, by the numbers that the report keeps of itself. It
// returns how many reports it found. A folder that is a report itself is left
// alone.
func Archive(dir string, generated time.Time, software string) (int, error) {
	if _, err := os.Lstat(filepath.Join(dir, Numbers)); err == nil {
		return 0, fmt.Errorf("write archive: %s is a report itself: name the folder above it", dir)
	}
	reports, broken, err := collect(dir)
	if err != nil {
		return 0, fmt.Errorf("write archive: %w", err)
	}
	if len(reports) == 0 {
		return 0, fmt.Errorf("no report in the folders of %s: %w", dir, ErrNoReport)
	}
	var html bytes.Buffer
	if err := page.Write(&html, archivePage(reports, broken, generated, software)); err != nil {
		return 0, err
	}
	temp, err := os.CreateTemp(dir, ".archive-*")
	if err != nil {
		return 0, fmt.Errorf("write archive: %w", err)
	}
	_, err = temp.Write(html.Bytes())
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), filepath.Join(dir, Index))
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("write archive: %w", err), os.Remove(temp.Name()))
	}
	return len(reports), nil
}

// collect reads the reports below a folder, the latest first, and names those
// that can't be read.
func collect(dir string) (reports []archived, broken []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		r, err := readNumbers(filepath.Join(dir, e.Name(), Numbers))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			broken = append(broken, legible(e.Name())+": its numbers can’t be read")
			continue
		}
		if r.Networks = slices.DeleteFunc(r.Networks, func(n Network) bool { return !n.complete() }); len(r.Networks) == 0 {
			broken = append(broken, legible(e.Name())+": it holds no network")
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, e.Name(), Index)); err != nil || !info.Mode().IsRegular() {
			broken = append(broken, legible(e.Name())+": its page is missing")
			continue
		}
		reports = append(reports, archived{r, e.Name()})
	}
	slices.SortStableFunc(reports, func(a, b archived) int {
		return cmp.Or(b.first().Compare(a.first()), b.Generated.Compare(a.Generated), cmp.Compare(a.folder, b.folder))
	})
	return reports, broken, nil
}

// complete says whether a network that was read from a file has what its
// headline needs, and no share that is none.
func (n *Network) complete() bool {
	for _, h := range n.Hosting {
		if !isShare(h.Share) {
			return false
		}
	}
	for _, o := range n.Operator {
		if !isShare(o.AtLeast) || !isShare(o.AtMost) {
			return false
		}
	}
	return len(n.Crawls) > 0 && (n.Absent != "" || len(n.Hosting) > 0 && len(n.Operator) > 0 && n.Undecided != nil && isShare(*n.Undecided))
}

func isShare(e analysis.Estimate) bool {
	const rounding = 1e-9
	return min(e.Lower, e.Value, e.Upper) >= -rounding && max(e.Lower, e.Value, e.Upper) <= 1+rounding
}

// first is when the first crawl of a report began.
func (r *Report) first() time.Time {
	at := r.Networks[0].Crawls[0].StartedAt
	for _, n := range r.Networks {
		if n.Crawls[0].StartedAt.Before(at) {
			at = n.Crawls[0].StartedAt
		}
	}
	return at
}

// archivePage is a section for each network, with a row for each report.
func archivePage(reports []archived, broken []string, generated time.Time, software string) page.Document {
	d := page.Document{
		Title: "Archive of reports", Generated: generated, Software: legible(software),
		Lead: plural(len(reports), "report") + ", the latest first. Each leads to its page, with its method and all its numbers.",
	}
	type network struct{ name, scope string }
	var order []network
	seen := map[network]bool{}
	for _, r := range reports {
		for _, n := range r.Networks {
			key := network{n.Name, n.Scope}
			if !seen[key] {
				seen[key], order = true, append(order, key)
			}
		}
	}
	for i, key := range order {
		d.Sections = append(d.Sections, archiveSection(fmt.Sprintf("network-%d", i+1), reports, key.name, key.scope))
	}
	if len(broken) > 0 {
		d.Sections = append(d.Sections, page.Section{ID: "unread", Heading: "Left out", Blocks: []page.Block{{Text: "Folders with a report that this page can’t tell of:"}, {List: broken}}})
	}
	return d
}

func archiveSection(id string, reports []archived, name, scope string) page.Section {
	s := page.Section{ID: id}
	t := &page.Table{
		Caption: "Each report with its headline figures and their 95\u00a0% intervals; the first column leads to it. Counted: " + Cell + ". Reports made by different rules or from different places do not compare.",
		Head:    []string{"Period", "crawls", "reachable peers per crawl", "largest class of land", "its share", "run by communities, at least", "at most", "rules"},
		Numeric: []bool{false, true, true, false, true, true, true, true},
	}
	for _, r := range reports {
		for i := range r.Networks {
			n := &r.Networks[i]
			if n.Name != name || n.Scope != scope {
				continue
			}
			if s.Heading == "" {
				if s.Heading = legible(n.Title); n.Synthetic() {
					s.Heading += " (synthetic)"
				}
			}
			t.Links = append(t.Links, page.Beside(r.folder, Index))
			t.Rows = append(t.Rows, n.archiveRow(r.Rules))
		}
	}
	if scope == "local" {
		s.Blocks = append(s.Blocks, page.Block{Notice: banner + "."})
	}
	s.Blocks = append(s.Blocks, page.Block{Table: t})
	return s
}

func (n *Network) archiveRow(rules string) []string {
	period := dates(n.Crawls[0].StartedAt, n.Crawls[len(n.Crawls)-1].StartedAt)
	if n.Absent != "" {
		return []string{period, count(len(n.Crawls)), "–", legible(n.Absent), "–", "–", "–", legible(rules)}
	}
	land, c := largestOf(n.Hosting), n.community()
	return []string{
		period, count(len(n.Used)), count(int(n.PerCrawl)), landLabel(land.Class), percentInterval(land.Share),
		percentInterval(c.AtLeast), percentInterval(c.AtMost), legible(rules),
	}
}
