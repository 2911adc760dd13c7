package dataset

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"
)

//go:embed papers
var paperFiles embed.FS

var papers = template.Must(template.New("").Funcs(template.FuncMap{"quote": quoted, "plain": unmarked.Replace}).ParseFS(paperFiles, "papers/*"))

// The files beside the tables.
const (
	sumsFile  = "SHA256SUMS"
	indexFile = "dataset.json"
)

// Index is dataset.json: what a program must know of a dataset.
type Index struct {
	Schema     int              `json:"schema"` // of the tables
	Title      string           `json:"title"`
	Software   string           `json:"software"`
	Generated  time.Time        `json:"generated"`
	From       time.Time        `json:"from,omitzero"`
	To         time.Time        `json:"to,omitzero"`
	Rules      string           `json:"rules"`
	Format     string           `json:"format"`
	Raw        bool             `json:"raw"`
	Smallest   int              `json:"smallest_cell"`
	Rows       map[string]int64 `json:"rows"`
	Withheld   map[string]int64 `json:"withheld"` // visits, by the first field that is
	LeftOut    int64            `json:"left_out"` // visits
	Licence    string           `json:"licence"`
	Attributed []string         `json:"attributions"`
}

// schemaVersion changes with the tables.
const schemaVersion = 1

// tables are the forms of all files, in the order of the papers.
var tables = []table{
	crawlsForm.table, visitsForm.table, edgesForm.table, probesForm.table, sessionsForm.table, agentsForm.table, protocolsForm.table, sizesForm.table, findingsForm.table, clearcutsForm.table,
}

type paperColumn struct{ Name, Kind, About string }

type paperTable struct {
	Name, About string
	Rows        int64
	Columns     []paperColumn
}

type paperQuery struct{ Name, SQL string }

// paper is what the papers tell.
type paper struct {
	Title, About, Software, Generated, Day, Version, Period, Networks, Vantages, Rules, Format, Creator, Fate, LeftOut string
	Raw                                                                                                                bool
	Smallest                                                                                                           int
	Tables                                                                                                             []paperTable
	Attributions, Withheld                                                                                             []string
	Queries                                                                                                            []paperQuery
}

// writePapers writes what goes with the tables.
func (x *exporter) writePapers() error {
	p := x.paper()
	for _, name := range []string{"README.md", "DATASHEET.md", "LICENSE", "CITATION.cff", "queries.sql"} {
		var out bytes.Buffer
		if err := papers.ExecuteTemplate(&out, name, p); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(x.dir, name), out.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	index := Index{
		schemaVersion, p.Title, x.Software, x.Generated.UTC(), x.Window.From, x.Window.To, x.Rules.Version(), x.Format, x.Raw, Smallest,
		x.sum.Rows, x.sum.Suppressed, x.sum.Dropped, "CC-BY-4.0", p.Attributions,
	}
	if x.Raw {
		index.Licence, index.Smallest = "none: raw", 1
	}
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(x.dir, indexFile), append(text, '\n'), 0o644)
}

func (x *exporter) paper() paper {
	first, last := x.groups[0].crawls[0].StartedAt, x.groups[0].crawls[0].StartedAt
	var networks, vantages []string
	for _, g := range x.groups {
		networks = append(networks, clean(g.name()))
		for _, c := range g.crawls {
			if c.StartedAt.Before(first) {
				first = c.StartedAt
			}
			if c.StartedAt.After(last) {
				last = c.StartedAt
			}
			if v := clean(c.Vantage); v != "" && !slices.Contains(vantages, v) {
				vantages = append(vantages, v)
			}
		}
	}
	period := fmt.Sprintf("Crawls from %s to %s", first.Format("2006-01-02 15:04"), last.Format("2006-01-02 15:04 UTC"))
	p := paper{
		Title: fmt.Sprintf("Who runs %s: %s to %s", strings.Join(networks, ", "), first.Format(time.DateOnly), last.Format(time.DateOnly)),
		About: "Crawls of peer-to-peer networks: who answers, on whose land it stands, and who runs it.", Software: clean(x.Software),
		Generated: x.Generated.UTC().Format("2006-01-02 15:04 UTC"), Day: x.Generated.UTC().Format(time.DateOnly), Version: x.Generated.UTC().Format("2006.01.02"),
		Period: period, Networks: strings.Join(networks, ", "), Vantages: strings.Join(vantages, ", "), Rules: clean(x.Rules.Version()), Format: x.Format, Creator: clean(x.Creator),
		Raw: x.Raw, Smallest: Smallest, Fate: x.fate(),
		LeftOut: fmt.Sprintf("%d visits are left out, of the observer's own nodes and addresses and of networks with fewer than %d peers; %d crawls that had not ended, too.", x.sum.Dropped, Smallest, x.sum.Unfinished),
	}
	for _, name := range levels {
		if n := x.sum.Suppressed[name]; n > 0 && !x.Raw {
			p.Withheld = append(p.Withheld, fmt.Sprintf("From %s on: %d visits", name, n))
		}
	}
	for _, a := range x.Attributions {
		p.Attributions = append(p.Attributions, clean(a))
	}
	for _, t := range tables {
		about := paperTable{Name: t.name, About: t.about, Rows: x.sum.Rows[t.name]}
		for _, c := range t.columns {
			about.Columns = append(about.Columns, paperColumn{c.name, kindNames[c.kind], c.about})
		}
		p.Tables = append(p.Tables, about)
	}
	p.Queries = x.paperQueries()
	return p
}

// paperQueries are the queries as they were run for the first crawl there is.
// Whom probes were asked of one by one is not told.
func (x *exporter) paperQueries() []paperQuery {
	g, network, least := x.groups[0], literal(x.groups[0].network), Smallest
	if x.Raw {
		least = 1
	}
	crawl := g.crawls[0].ID
	list := []paperQuery{
		{"visits", fmt.Sprintf(visitsSQL, network, crawl, 0, visitsAtOnce)},
		{"where each peer was seen last, for the size of cells", g.cellsQuery(1, 0)},
		{"edges", fmt.Sprintf(edgesSQL, network, crawl, 0, tablesAtOnce)},
		{"probes", fmt.Sprintf(probesSQL, network, "(SELECT groupUniqArray(peer_id) FROM probes)", x.within("probed_at"), notOurs(g.network))},
		{"sessions", fmt.Sprintf(sessionsSQL, network, x.within("first_up"), notOurs(g.network))},
		{"protocols", fmt.Sprintf(protocolsSQL, g.where(), least)},
	}
	for i := range list {
		list[i].SQL = strings.TrimSpace(list[i].SQL)
	}
	return list
}

// fate says what becomes of the key.
func (x *exporter) fate() string {
	if !x.Key.Kept {
		return "The key was made for this dataset, was never written down, and was destroyed when it was finished."
	}
	until := "when its epoch ends"
	if !x.Key.End.IsZero() {
		until = "when its epoch ends, on " + x.Key.End.UTC().Format(time.DateOnly)
	}
	return "The key is kept by the steward until then, and is to be destroyed " + until + "; datasets made with it share pseudonyms."
}

// seal writes the checksums of every file.
func (x *exporter) seal() error {
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		return err
	}
	var out strings.Builder
	for _, e := range entries {
		sum, size, err := checksum(filepath.Join(x.dir, e.Name()))
		if err != nil {
			return err
		}
		x.sum.Bytes += size
		fmt.Fprintf(&out, "%s  %s\n", sum, e.Name())
	}
	return os.WriteFile(filepath.Join(x.dir, sumsFile), []byte(out.String()), 0o644)
}

func checksum(path string) (sum string, size int64, err error) {
	f, err := openFile(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// unmarked writes a text so that Markdown takes nothing in it for a link, an
// element or a cell of a table: names of networks and data sets may hold anything.
var unmarked = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "<", `\<`, ">", `\>`, "|", `\|`, "!", `\!`)

// quoted is a string in YAML, as JSON writes it.
func quoted(s string) string {
	text, _ := json.Marshal(s) // never fails for a string
	return string(text)
}
