package address

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// VersionsName is the folder below a data folder in which fetched data sets are
// kept, each version a file that never changes. Its index alone says which
// exist, so replacing the index replaces all at once.
const VersionsName = "versions"

// Kind is what a kept data set speaks of.
type Kind string

// The kinds of kept data sets, by rising precedence.
const (
	KindCountry   Kind = "country"   // in which country a block is registered
	KindAS        Kind = "as"        // which AS announces a block
	KindPublished Kind = "published" // blocks that their owner publishes
	KindExits     Kind = "exits"     // addresses of anonymisers
)

var kindRanks = map[Kind]int{KindCountry: rankCountry, KindAS: rankAS, KindPublished: rankPublished, KindExits: rankExits}

// Index is what a versions folder holds.
type Index struct {
	Sets map[string]*Set `json:"sets"` // by name of the data set
}

// Set is one data set in all versions that are kept.
type Set struct {
	Kind       Kind                 `json:"kind"`
	Licence    string               `json:"licence"`
	Credit     string               `json:"credit,omitempty"`
	Note       string               `json:"note,omitempty"`
	Checked    time.Time            `json:"checked"`    // when its origin was last asked with success
	Validators map[string]Validator `json:"validators"` // by URL
	Versions   []Version            `json:"versions"`   // oldest first
}

// Validator is what an origin said of a file, to ask whether it changed.
type Validator struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	SHA256       string `json:"sha256"` // of the bytes that came
}

// Version is one table of a data set.
type Version struct {
	File     string    `json:"file"`      // below the versions folder
	Date     time.Time `json:"date"`      // of the data
	DateFrom string    `json:"date_from"` // what says so
	Fetched  time.Time `json:"fetched"`
	From     string    `json:"from"`   // URL or folder
	SHA256   string    `json:"sha256"` // of File
	Rows     int       `json:"rows"`
}

// Latest is the newest version, zero if there is none.
func (s *Set) Latest() Version {
	if s == nil || len(s.Versions) == 0 {
		return Version{}
	}
	return s.Versions[len(s.Versions)-1]
}

// At is the version of a day: the latest that is not younger, else the oldest.
func (s *Set) At(day time.Time) Version {
	if day.IsZero() || len(s.Versions) == 0 {
		return s.Latest()
	}
	best := s.Versions[0]
	for _, v := range s.Versions {
		if !v.Date.After(day) {
			best = v
		}
	}
	return best
}

// ReadIndex reads the index of a data folder; without one it is empty.
func ReadIndex(dir string) (*Index, error) {
	x := &Index{Sets: map[string]*Set{}}
	path := indexPath(dir)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read index of address data: %w", err)
	}
	if err := json.Unmarshal(raw, x); err != nil {
		return nil, fmt.Errorf("read index of address data %s: %w; remove the folder it lies in and run canopy data update", path, err)
	}
	for name, s := range x.Sets {
		if s == nil {
			return nil, fmt.Errorf("read index of address data %s: %q holds nothing", path, name)
		}
		if _, ok := kindRanks[s.Kind]; !ok {
			return nil, fmt.Errorf("read index of address data %s: %q has the unknown kind %q", path, name, s.Kind)
		}
		for _, v := range s.Versions {
			if !filepath.IsLocal(v.File) {
				return nil, fmt.Errorf("read index of address data %s: %q lies outside of the folder", path, v.File)
			}
		}
	}
	return x, nil
}

// Write replaces the index of a data folder in one step.
func (x *Index) Write(dir string) error {
	raw, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return fmt.Errorf("write index of address data: %w", err)
	}
	return WriteWhole(indexPath(dir), append(raw, '\n'))
}

func indexPath(dir string) string { return filepath.Join(dir, VersionsName, "index.json") }

// WriteWhole writes a file so that a reader, and a crash, see the old one or
// the new one, and never a part.
func WriteWhole(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write address data: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write address data: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write address data: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// keptFiles lists the tables of a day that are kept in versions.
func keptFiles(dir string, day time.Time) (out []file, err error) {
	x, err := ReadIndex(dir)
	if err != nil {
		return nil, err
	}
	for name, s := range x.Sets {
		if v := s.At(day); v.File != "" {
			out = append(out, file{rank: kindRanks[s.Kind], fixed: true, Source: Source{
				Name: name, File: filepath.Join(dir, VersionsName, v.File), Licence: s.Licence, Credit: s.Credit, Note: s.Note,
				Date: v.Date, DateFrom: v.DateFrom, SHA256: v.SHA256,
			}})
		}
	}
	slices.SortFunc(out, func(a, b file) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Check reads one table whole and says how many ranges it holds.
func Check(path string) (rows int, err error) {
	c, err := loadClasses()
	if err != nil {
		return 0, err
	}
	l, _, err := load(file{Source: fileSource(path)}, c)
	if err != nil {
		return 0, err
	}
	return l.source[0].Rows, nil
}
