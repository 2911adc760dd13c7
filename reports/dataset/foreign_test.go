package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// foreign is a dataset that a test may spoil.
type foreign struct {
	t   *testing.T
	dir string
}

func (f foreign) path(name string) string { return filepath.Join(f.dir, name) }

func (f foreign) read(name string) []byte {
	f.t.Helper()
	text, err := os.ReadFile(f.path(name))
	must(f.t, err)
	return text
}

func (f foreign) write(name string, text []byte) {
	f.t.Helper()
	must(f.t, os.WriteFile(f.path(name), text, 0o600))
}

// cell changes one column of a CSV file, whose cells hold no commas before it.
func (f foreign) cell(name, column, value string) {
	f.t.Helper()
	lines := bytes.Split(f.read(name), []byte("\n"))
	at := slices.Index(strings.Split(string(lines[0]), ","), column)
	fields := strings.Split(string(lines[1]), ",")
	fields[at] = value
	lines[1] = []byte(strings.Join(fields, ","))
	f.write(name, bytes.Join(lines, []byte("\n")))
}

// index changes what the dataset says of itself.
func (f foreign) index(field string, value any) {
	f.t.Helper()
	var all map[string]any
	must(f.t, json.Unmarshal(f.read(indexFile), &all))
	all[field] = value
	text, err := json.Marshal(all)
	must(f.t, err)
	f.write(indexFile, text)
}

// sign makes the checksums those of the files as they are.
func (f foreign) sign() {
	f.t.Helper()
	var out strings.Builder
	for _, name := range names(f.t, f.dir) {
		if name != sumsFile {
			fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(f.read(name)), name)
		}
	}
	f.write(sumsFile, []byte(out.String()))
}

// TestForeign reads datasets that somebody spoiled, by accident or not. Each is
// refused with what is wrong, before a figure is made of it.
func TestForeign(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 2, 600)
	made := map[string]string{}
	for _, format := range []string{Parquet, CSV} {
		made[format] = filepath.Join(t.TempDir(), "dataset")
		_, err := Export(t.Context(), readFrom(s), made[format], Options{Format: format})
		must(t, err)
	}
	const unsigned, signed = false, true
	for name, bad := range map[string]struct {
		format string
		sign   bool
		spoil  func(foreign)
		want   string
	}{
		"a table is missing":    {Parquet, unsigned, func(f foreign) { must(t, os.Remove(f.path("visits.parquet"))) }, "missing: visits.parquet"},
		"a paper is missing":    {Parquet, unsigned, func(f foreign) { must(t, os.Remove(f.path("LICENSE"))) }, "missing: LICENSE"},
		"checksums are missing": {Parquet, unsigned, func(f foreign) { must(t, os.Remove(f.path(sumsFile))) }, "missing: SHA256SUMS"},
		"a paper is changed":    {Parquet, unsigned, func(f foreign) { f.write("README.md", nil) }, "not as SHA256SUMS says: README.md"},
		"the index is changed":  {Parquet, unsigned, func(f foreign) { f.index("raw", true) }, "not as SHA256SUMS says: dataset.json"},
		"a table is a folder": {Parquet, unsigned, func(f foreign) {
			must(t, os.Remove(f.path("visits.parquet")))
			must(t, os.Mkdir(f.path("visits.parquet"), 0o700))
		}, "no regular file"},
		"a table never ends": {Parquet, unsigned, func(f foreign) {
			must(t, os.Remove(f.path("visits.parquet")))
			must(t, os.Symlink("/dev/zero", f.path("visits.parquet")))
		}, "no regular file"},
		"a name leads away":    {Parquet, unsigned, func(f foreign) { f.write(sumsFile, append(f.read(sumsFile), "00  ../../etc/passwd\n"...)) }, "not to be trusted"},
		"of a newer version":   {Parquet, signed, func(f foreign) { f.index("schema", 99) }, "its schema is 99"},
		"of no schema":         {Parquet, signed, func(f foreign) { f.write(indexFile, []byte("null")) }, "no dataset of canopy"},
		"the index is damaged": {Parquet, signed, func(f foreign) { f.write(indexFile, []byte("{")) }, "dataset.json: it is damaged"},
		"the index never ends": {Parquet, signed, func(f foreign) { f.write(indexFile, make([]byte, 2<<20)) }, "longer than"},
		"the format is a path": {Parquet, signed, func(f foreign) { f.index("format", "../../etc/passwd") }, "its format is"},
		"rows are missing":     {Parquet, signed, func(f foreign) { f.index("rows", map[string]int{"visits": 601}) }, "dataset.json says"},
		"a table is cut":       {Parquet, signed, func(f foreign) { f.write("visits.parquet", f.read("visits.parquet")[:3000]) }, "visits.parquet is damaged"},
		"a table is empty":     {Parquet, signed, func(f foreign) { f.write("visits.parquet", nil) }, "visits.parquet is damaged"},
		"tables are swapped": {Parquet, signed, func(f foreign) {
			must(t, os.Rename(f.path("edges.parquet"), f.path("sessions.parquet")))
			f.write("edges.parquet", f.read("visits.parquet"))
		}, "edges.parquet is damaged, or was not made by canopy export: column 3 must be peer Int64"},
		"a text table is cut": {CSV, signed, func(f foreign) { f.write("visits.csv", f.read("visits.csv")[:20_000]) }, "visits"},
		"a column is another": {CSV, signed, func(f foreign) {
			f.write("visits.csv", bytes.Replace(f.read("visits.csv"), []byte("hosting"), []byte("housing"), 1))
		}, "column 23 must be hosting"},
		"a number is a word":     {CSV, signed, func(f foreign) { f.cell("visits.csv", "queries", "many") }, "visits.csv is damaged"},
		"a number is too large":  {CSV, signed, func(f foreign) { f.cell("visits.csv", "queries", "99999999999") }, "visits.csv is damaged"},
		"a number is below zero": {CSV, signed, func(f foreign) { f.cell("visits.csv", "number", "-1") }, "visits.csv is damaged"},
		"a measure is none":      {CSV, signed, func(f foreign) { f.cell("visits.csv", "rtt_ms", "nan") }, "rtt_ms"},
		"a chance is above one":  {CSV, signed, func(f foreign) { f.cell("visits.csv", "probability", "7.5") }, "probability"},
		"a class is made up":     {CSV, signed, func(f foreign) { f.cell("visits.csv", "hosting", "<b>") }, "visits, hosting: 1 rows"},
		"an operator is made up": {CSV, signed, func(f foreign) { f.cell("visits.csv", "operator", "aliens") }, "operator and leaning"},
		"an outcome is made up":  {CSV, signed, func(f foreign) { f.cell("visits.csv", "outcome", "<script>") }, "visits, outcome"},
		"a visit is of no crawl": {CSV, signed, func(f foreign) { f.cell("visits.csv", "crawl_id", "01968bb7-ca00-7138-ae8e-5ee7dd03cadf") }, "visits: 599 rows can be used, and dataset.json says 600"},
		"a crawl has no ID":      {CSV, signed, func(f foreign) { f.cell("crawls.csv", "crawl_id", "zzz") }, "crawls.csv is damaged"},
		"a crawl stands twice": {CSV, signed, func(f foreign) {
			lines := bytes.SplitAfter(f.read("crawls.csv"), []byte("\n"))
			lines[2] = lines[1]
			f.write("crawls.csv", bytes.Join(lines, nil))
		}, "dataset is damaged"},
		"a result is no JSON": {CSV, signed, func(f foreign) {
			f.write("clearcuts.csv", []byte("network,scope,result\nalpha,global,{\n"))
			f.index("rows", rowsOf(f, "clearcuts", 1))
		}, "clearcuts: 1 rows"},
		"an end before its start": {CSV, signed, func(f foreign) { f.cell("crawls.csv", "ended_at", "2001-01-01 00:00:00.000") }, "when they ended"},
	} {
		t.Run(name, func(t *testing.T) {
			f := foreign{t, filepath.Join(t.TempDir(), "dataset")}
			must(t, os.CopyFS(f.dir, os.DirFS(made[bad.format])))
			if bad.spoil(f); bad.sign {
				f.sign()
			}
			index, err := Check(f.dir)
			if err == nil {
				loaded := openEmpty(t)
				err = Load(t.Context(), loaded.DB(), f.dir, index)
			}
			if err == nil || !strings.Contains(err.Error(), bad.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("it says %v, want one line with %q", err, bad.want)
			}
		})
	}
}

// rowsOf are the numbers of rows that a dataset says it has, but for one table.
func rowsOf(f foreign, table string, n int64) map[string]int64 {
	var index Index
	must(f.t, json.Unmarshal(f.read(indexFile), &index))
	index.Rows[table] = n
	return index.Rows
}
