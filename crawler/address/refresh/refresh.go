// Package refresh fetches the data sets that package address reads, from their
// publishers, from a mirror or from a folder, and keeps every version, so that
// an old crawl can be attributed as of its day.
//
// A version is taken in only when all of its files came whole, read as what
// they claim to be, and hold about as much as the version before; else the old
// data stay as they are. The index of versions is replaced in one step.
package refresh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"canopy/crawler/address"
)

// maxFile bounds one file, packed or not, in bytes.
const maxFile = 1 << 29

// Options tunes [Update]; see [DefaultOptions].
type Options struct {
	From    string // URL or folder of a mirror; empty asks the publishers
	Shrink  bool   // take a version in that is suspiciously small
	Client  *http.Client
	Agent   string // names us to the publishers
	Now     func() time.Time
	Logger  *slog.Logger
	Timeout time.Duration // of one file
}

// DefaultOptions asks the publishers.
func DefaultOptions() Options {
	return Options{Client: http.DefaultClient, Agent: "canopy", Now: time.Now, Logger: slog.New(slog.DiscardHandler), Timeout: 5 * time.Minute}
}

// State is how the refresh of one source ended.
type State string

// The states.
const (
	Updated   State = "updated"   // a new version is kept
	Unchanged State = "unchanged" // the version at hand is the newest
	Absent    State = "absent"    // the mirror does not hold it
	Failed    State = "failed"    // the data at hand stay, if there are any
)

// Result is what became of one source.
type Result struct {
	Source  string          `json:"source"`
	State   State           `json:"state"`
	Reason  string          `json:"reason,omitempty"` // why it failed
	Note    string          `json:"note,omitempty"`   // what of it could not be used
	Version address.Version `json:"version,omitzero"` // in force now
}

// Update refreshes sources in a data folder. A source that fails is a Result;
// an error means that the folder could not be read or written, or that another
// update runs.
func Update(ctx context.Context, dir string, sources []Source, o Options) ([]Result, error) {
	versions := filepath.Join(dir, address.VersionsName)
	if err := os.MkdirAll(versions, 0o755); err != nil {
		return nil, fmt.Errorf("update address data: %w", err)
	}
	lock := flock.New(filepath.Join(versions, "lock"))
	if ok, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("update address data: %w", err)
	} else if !ok {
		return nil, fmt.Errorf("update address data: another update of %s is under way", dir)
	}
	defer func() { _ = lock.Unlock() }()
	index, err := address.ReadIndex(dir)
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, s := range sources {
		u := update{Options: o, Source: s, dir: dir, set: index.Sets[s.Name]}
		set, result := u.run(ctx)
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		if set != nil {
			index.Sets[s.Name] = set
			if err := index.Write(dir); err != nil {
				return results, err
			}
		}
		results = append(results, result)
	}
	return results, nil
}

// update is the refresh of one source.
type update struct {
	Options
	Source
	dir  string
	set  *address.Set // nil if none is kept
	note string       // what of the files could not be used
}

// run returns the set to keep from now on, nil to leave it as it is.
func (u *update) run(ctx context.Context) (*address.Set, Result) {
	r := Result{Source: u.Name, Version: u.set.Latest()}
	files, err := u.fetch(ctx)
	switch {
	case errors.Is(err, errUnchanged):
		r.State = Unchanged
		kept := *u.set
		kept.Checked = u.Now().UTC()
		return &kept, r
	case errors.Is(err, fs.ErrNotExist) && u.From != "":
		r.State = Absent
		return nil, r
	case err == nil:
		var set *address.Set
		if set, err = u.take(files); err == nil {
			r.State, r.Version, r.Note = Updated, set.Latest(), u.note
			if u.set != nil && r.Version == u.set.Latest() {
				r.State = Unchanged
			}
			return set, r
		}
	}
	r.State, r.Reason = Failed, err.Error()
	u.Logger.Warn("refresh address data", "source", u.Name, "error", err)
	return nil, r
}

// take reads fetched files and keeps them as a version.
func (u *update) take(files []fetched) (*address.Set, error) {
	table, date, dateFrom, err := u.read(files)
	if err != nil {
		return nil, err
	}
	u.note = table.note()
	set := u.newSet(files)
	now, last := u.Now().UTC(), u.set.Latest()
	sum := sha256.Sum256(table.out.Bytes())
	v := address.Version{Date: date, DateFrom: dateFrom, Fetched: now, From: files[0].from, SHA256: hex.EncodeToString(sum[:])}
	switch {
	case v.SHA256 == last.SHA256:
		return set, nil
	case date.After(now.Add(24 * time.Hour)):
		return nil, fmt.Errorf("the data are of %s, which lies in the future: the publisher's clock or ours is wrong", date.Format(time.DateOnly))
	case date.Before(last.Date):
		return nil, fmt.Errorf("the data are of %s, older than those at hand of %s: the mirror is stale", date.Format(time.DateOnly), last.Date.Format(time.DateOnly))
	}
	v.File = filepath.Join(u.Name, date.Format(time.DateOnly)+"-"+v.SHA256[:8]+table.ext)
	path := filepath.Join(u.dir, address.VersionsName, v.File)
	if err := address.WriteWhole(path, table.out.Bytes()); err != nil {
		return nil, err
	}
	if v.Rows, err = address.Check(path); err == nil {
		err = u.enough(v.Rows, last)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	set.Versions = append(set.Versions, v)
	return set, nil
}

// enough refuses what is likely cut short.
func (u *update) enough(rows int, last address.Version) error {
	switch {
	case u.Shrink || rows >= u.Min && 2*rows >= last.Rows:
		return nil
	case rows < u.Min:
		return fmt.Errorf("it holds %d ranges, where at least %d are expected: suspiciously small", rows, u.Min)
	}
	return fmt.Errorf("it holds %d ranges where the version of %s holds %d: suspiciously small; --shrink takes it in all the same",
		rows, last.Date.Format(time.DateOnly), last.Rows)
}

// read makes a table of the files. Its date is what they say, else when they
// were last modified, else today.
func (u *update) read(files []fetched) (table *rows, date time.Time, dateFrom string, err error) {
	table = &rows{}
	modified := time.Time{}
	for _, f := range files {
		if trimmed := bytes.TrimSpace(f.raw[:min(512, len(f.raw))]); len(trimmed) == 0 {
			return nil, date, "", fmt.Errorf("%s is empty", f.name)
		} else if trimmed[0] == '<' {
			return nil, date, "", fmt.Errorf("%s is a web page (HTML), not data", f.name)
		}
		raw, err := unpacked(f.raw)
		if err == nil {
			err = u.parse(table, raw)
		}
		if err != nil {
			return nil, date, "", fmt.Errorf("read %s: %w", f.name, err)
		}
		if f.modified.After(modified) {
			modified = f.modified
		}
	}
	if err := table.finish(); err != nil {
		return nil, date, "", err
	}
	date, dateFrom = table.date, "stated in the file"
	if date.IsZero() {
		date, dateFrom = modified, "last modified"
	}
	if date.IsZero() {
		date, dateFrom = u.Now(), "day of fetching"
	}
	if table.n == 0 {
		return nil, date, "", errors.New("it holds no range at all")
	}
	return table, date.UTC().Truncate(24 * time.Hour), dateFrom, nil
}

// newSet is the set with what the source says of itself today.
func (u *update) newSet(files []fetched) *address.Set {
	set := &address.Set{Kind: u.Kind, Licence: u.Licence, Credit: u.Credit, Note: u.Note, Checked: u.Now().UTC(), Validators: map[string]address.Validator{}}
	if u.set != nil {
		set.Versions = append(set.Versions, u.set.Versions...)
	}
	for _, f := range files {
		set.Validators[f.url] = f.validator
	}
	return set
}

// Stale says whether a data folder's sets were last checked longer ago than
// age, or never: the question to ask before a scheduled refresh.
func Stale(dir string, age time.Duration, now time.Time) (bool, error) {
	index, err := address.ReadIndex(dir)
	if err != nil {
		return false, err
	}
	for _, s := range index.Sets {
		if now.Sub(s.Checked) < age {
			return false, nil
		}
	}
	return true, nil
}
