package address

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"canopy/crawler/installation"
)

// Options tunes [Open]. The zero value is right for most.
type Options struct {
	// Own names the user's own tables, which overrule every other; of two, the
	// later overrules the earlier.
	Own []string
	// AsOf picks, of each data set that is kept in versions, the one of that
	// day: the latest that is not younger, or the oldest there is. Zero means
	// the latest.
	AsOf time.Time
	// Now tells a date in the future; time.Now if nil.
	Now func() time.Time
}

// The ranks of tables: whoever knows more closely overrules. Within a rank the
// later file name overrules.
const (
	rankCountry   = iota // says only the country
	rankAS               // address to AS, for all the world
	rankMMDB             // somebody chose this one
	rankBlocks           // blocks of mixed organisations: our own list
	rankPublished        // blocks that their owner publishes
	rankExits            // addresses of anonymisers, which stand in such blocks
	rankExtended         // has a header: written for Canopy
	rankOwn              // named by the user
)

// ManifestName is the file in a data folder that may name and date its tables.
const ManifestName = "sources.yaml"

// manifest is the content of ManifestName.
type manifest struct {
	Sources []struct {
		File    string `yaml:"file"` // name of a table in the same folder
		Name    string `yaml:"name"`
		Date    string `yaml:"date"` // 2006-01-02
		Licence string `yaml:"licence"`
		Credit  string `yaml:"credit"`
		Note    string `yaml:"note"`
	} `yaml:"sources"`
}

const dateManifest = "manifest"

// Open reads every table in the folder: *.csv and *.tsv of address ranges,
// *.mmdb, and ip-location-db packages that npm put under node_modules. An empty
// dir, a folder that is missing, or one without tables yields a table that
// knows nothing and a warning that says so. A table that cannot be read whole
// is an error that names the file and, for text, the line.
func Open(dir string, o Options) (*Table, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	files, err := discover(dir, o.AsOf)
	if err != nil {
		return nil, err
	}
	for _, f := range o.Own {
		files = append(files, file{Source: fileSource(f), rank: rankOwn})
	}
	layers, warnings, err := loadAll(files)
	if err != nil {
		return nil, err
	}
	t := &Table{layers: layers, warnings: warnings}
	if t.Empty() {
		where := "no data folder was found"
		if dir != "" {
			where = "the data folder holds no tables"
		}
		t.warnings = append(t.warnings, "Nothing is known of addresses: "+where+". Run make data, or point CANOPY_DATA at a folder with tables.")
	}
	for _, s := range t.Status() {
		t.warnings = append(t.warnings, s.doubts(o.Now(), o.AsOf)...)
	}
	return t, nil
}

// doubts says what is odd about the date of a source.
func (s Source) doubts(now, asOf time.Time) (out []string) {
	if !asOf.IsZero() && s.Date.After(asOf) {
		out = append(out, fmt.Sprintf("%s: no version is as old as %s; that of %s stands in for it.", s.Name, asOf.Format(time.DateOnly), s.Date.Format(time.DateOnly)))
	}
	if s.Date.After(now.Add(24 * time.Hour)) {
		out = append(out, fmt.Sprintf("%s: its date %s lies in the future.", s.title(), s.Date.Format(time.DateOnly)))
	}
	if s.DateFrom == "file time" {
		out = append(out, fmt.Sprintf("%s: it carries no date; the time of the file, %s, is taken for it.", s.title(), s.Date.Format(time.DateOnly)))
	}
	return out
}

// file is a table that was found and not yet read.
type file struct {
	Source
	rank  int
	fixed bool // the rank does not depend on the columns
}

// loadAll reads tables side by side and orders them by precedence.
func loadAll(files []file) ([]*layer, []string, error) {
	if len(files) == 0 {
		return nil, nil, nil
	}
	classes, err := loadClasses()
	if err != nil {
		return nil, nil, err
	}
	layers, warns, errs := make([]*layer, len(files)), make([][]string, len(files)), make([]error, len(files))
	var wg sync.WaitGroup
	for i, f := range files {
		wg.Go(func() { layers[i], warns[i], errs[i] = load(f, classes) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	slices.Reverse(layers) // the later file overrules within a rank
	blocks, err := loadBlocks(classes)
	if err != nil {
		return nil, nil, err
	}
	layers = append(layers, blocks)
	slices.SortStableFunc(layers, func(a, b *layer) int { return cmp.Compare(b.rank, a.rank) })
	return merge(layers), slices.Concat(warns...), nil
}

// lineBytes is about how long a line of a table is, to make room beforehand.
const lineBytes = 48

// load reads one table.
func load(f file, c *classes) (*layer, []string, error) {
	in, err := os.Open(f.File)
	if err != nil {
		return nil, nil, fmt.Errorf("open address table: %w", err)
	}
	defer in.Close()
	if info, err := in.Stat(); err == nil && f.Date.IsZero() {
		f.Date, f.DateFrom = info.ModTime().UTC().Truncate(24*time.Hour), "file time"
	}
	sum := sha256.New()
	b := newBuilder(c, f.Source)
	if info, err := in.Stat(); err == nil {
		b.expect(int(min(info.Size(), maxTable)) / lineBytes)
	}
	r := io.TeeReader(in, sum)
	rank := f.rank
	switch filepath.Ext(f.File) {
	case ".mmdb":
		rank, err = max(rank, rankMMDB), b.readMMDB(r)
	default:
		var l columns
		l, err = b.readText(r, filepath.Ext(f.File) == ".tsv")
		if !f.fixed {
			rank = max(rank, l.rank())
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read address table %s: %w", f.File, err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, nil, fmt.Errorf("read address table %s: %w", f.File, err)
	}
	b.source.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if f.SHA256 != "" && f.SHA256 != b.source.SHA256 {
		return nil, nil, fmt.Errorf("read address table %s: its checksum is not the one it was kept with: it was changed or is damaged; remove it and run canopy data update", f.File)
	}
	if n := b.codes.total(); n > 0 {
		b.warn = append(b.warn, fmt.Sprintf("%s: %d ranges have a country code that is no country's, so that their country is unknown: %s.", b.source.title(), n, &b.codes))
	}
	return b.layer(rank), b.warn, nil
}

// discover finds the tables of a folder, in order of their names.
func discover(dir string, asOf time.Time) ([]file, error) {
	if dir == "" {
		return nil, nil
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	files, err := tables(dir)
	if err != nil {
		return nil, err
	}
	kept, err := keptFiles(dir, asOf)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(kept, func(f file) bool { return f.rank == rankAS }) {
		// The packages of npm stand in until a newer table of the world is kept.
		packages, err := filepath.Glob(filepath.Join(dir, "node_modules", "@ip-location-db", "*"))
		if err != nil {
			return nil, fmt.Errorf("look for packages in %s: %w", dir, err)
		}
		for _, p := range packages {
			more, err := tables(p)
			if err != nil {
				return nil, err
			}
			files = append(more, files...)
		}
	}
	return append(kept, files...), nil
}

// tables lists the tables that lie in a folder itself and describes them.
func tables(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read data folder: %w", err)
	}
	describe, err := describer(dir)
	if err != nil {
		return nil, err
	}
	var out []file
	for _, e := range entries {
		name := e.Name()
		switch filepath.Ext(name) {
		case ".csv", ".tsv", ".mmdb":
		default:
			continue
		}
		if e.IsDir() || strings.HasSuffix(name, "-num.csv") { // the same ranges once more, as numbers
			continue
		}
		s := fileSource(filepath.Join(dir, name))
		describe(name, &s)
		out = append(out, file{Source: s})
	}
	return out, nil
}

func fileSource(path string) Source {
	name := filepath.Base(path)
	return Source{Name: strings.TrimSuffix(name, filepath.Ext(name)), File: path}
}

// describer returns what the folder's manifest or package description says of
// a table in it.
func describer(dir string) (func(name string, s *Source), error) {
	pack, err := readPackage(dir)
	if err != nil {
		return nil, err
	}
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	return func(name string, s *Source) {
		pack(s)
		if d, ok := m[name]; ok {
			s.Name = cmp.Or(d.Name, s.Name)
			s.Licence, s.Credit, s.Note = cmp.Or(d.Licence, s.Licence), cmp.Or(d.Credit, s.Credit), cmp.Or(d.Note, s.Note)
			if !d.Date.IsZero() {
				s.Date, s.DateFrom = d.Date, dateManifest
			}
		}
	}, nil
}

// readManifest reads ManifestName, which may be absent.
func readManifest(dir string) (map[string]Source, error) {
	path := filepath.Join(dir, ManifestName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read data manifest: %w", err)
	}
	var m manifest
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(&m); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read data manifest %s: %w", path, err)
	}
	out := map[string]Source{}
	for _, s := range m.Sources {
		if _, err := os.Stat(filepath.Join(dir, filepath.Base(s.File))); err != nil {
			return nil, fmt.Errorf("read data manifest %s: it describes %q, which is not there; correct the name", path, s.File)
		}
		d := Source{Name: s.Name, Licence: s.Licence, Credit: s.Credit, Note: s.Note}
		if s.Date != "" {
			if d.Date, err = time.Parse(time.DateOnly, s.Date); err != nil {
				return nil, fmt.Errorf("read data manifest %s: date of %s: want YYYY-MM-DD, found %q", path, s.File, s.Date)
			}
		}
		out[s.File] = d
	}
	return out, nil
}

// versionDate finds the day in ip-location-db's versions, such as
// 2.3.2026061719: 2026-06-17, 19 h.
var versionDate = regexp.MustCompile(`\.(\d{8})(?:\d\d)?$`)

// readPackage reads the package.json of an npm data set, which may be absent.
func readPackage(dir string) (func(*Source), error) {
	raw, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return func(*Source) {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read package description: %w", err)
	}
	var p struct{ Name, Version, License string }
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, "package.json"), err)
	}
	return func(s *Source) {
		if !strings.HasPrefix(p.Name, "@ip-location-db/") {
			return
		}
		s.Name, s.Licence = p.Name, p.License
		if p.Name == "@ip-location-db/asn" {
			s.Licence = "CC BY 4.0"
			s.Credit = "IP to AS data by RouteViews (routeviews.org), the NRO (nro.net) and DB-IP (https://db-ip.com), merged by ip-location-db, CC BY 4.0"
			s.Note = "Its makers say that the npm edition contains known errors and is no longer updated; a newer table of your own overrules it."
		}
		if m := versionDate.FindStringSubmatch(p.Version); m != nil {
			if d, err := time.Parse("20060102", m[1]); err == nil {
				s.Date, s.DateFrom = d, "package version"
			}
		}
	}, nil
}

// Home is the user's own data folder, which need not exist: canopy in
// XDG_DATA_HOME or ~/.local/share. It is "" when there is no home.
func Home() string {
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "canopy")
}

// Find locates the data folder: CANOPY_DATA if set, else .data beside the
// executable (see package installation), else [Home]. It returns "" when there
// is none. It never looks in the working folder: what lies there may be made to
// mislead.
func Find() (string, error) {
	if dir := os.Getenv("CANOPY_DATA"); dir != "" {
		return dir, nil
	}
	if dir, err := installation.Beside(".data"); err != nil || dir != "" {
		return dir, err
	}
	if dir := Home(); dir != "" && isDir(dir) {
		return dir, nil
	}
	return "", nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
