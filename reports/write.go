package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"canopy/reports/figure"
	"canopy/reports/page"
)

// Index is the name of the page in a report's folder.
const Index = "index.html"

// Numbers is the name of the file with all numbers.
const Numbers = "figures.json"

// Write writes the report into a folder, which is made if need be: index.html,
// figures.json, each figure as PNG and SVG, and each table as CSV. All files are
// made beside the folder's own before the first of them is replaced, so that a
// failure leaves an earlier report as it was. Figures and tables of an earlier
// report that this one lacks are removed; other files in the folder stay.
func (r *Report) Write(dir string) error {
	if err := r.write(dir); err != nil {
		return fmt.Errorf("write report to %s: %w", dir, err)
	}
	return nil
}

func (r *Report) write(dir string) (err error) {
	files, err := r.files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, ".report-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(temp, f.name), f.content, 0o644); err != nil {
			return err
		}
	}
	before := madeBefore(dir)
	for _, f := range files { // the page last: it refers to the others
		if err := os.Rename(filepath.Join(temp, f.name), filepath.Join(dir, f.name)); err != nil {
			return err
		}
		delete(before, f.name)
	}
	for name := range before {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// madeBefore are the figures and tables of the report that a folder holds, by
// its own list; nothing if there is none.
func madeBefore(dir string) map[string]bool {
	names := map[string]bool{}
	old, err := readNumbers(filepath.Join(dir, Numbers))
	if err != nil {
		return names
	}
	for _, name := range old.Files {
		made := slices.Contains([]string{".png", ".svg", ".csv"}, filepath.Ext(name))
		if info, err := os.Lstat(filepath.Join(dir, name)); made && filepath.IsLocal(name) && filepath.Base(name) == name && err == nil && info.Mode().IsRegular() {
			names[name] = true
		}
	}
	return names
}

// mostNumbers is how long a figures.json may be.
const mostNumbers = 64 << 20

// readNumbers reads a figures.json.
func readNumbers(path string) (*Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe may never end
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, mostNumbers+1))
	if err != nil {
		return nil, err
	}
	if len(content) > mostNumbers {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, mostNumbers)
	}
	var r Report
	if err := json.Unmarshal(content, &r); err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	return &r, nil
}

type file struct {
	name    string
	content []byte
}

// files makes every file in memory, the page last.
func (r *Report) files() ([]file, error) {
	if len(r.Networks) == 0 {
		return nil, errors.New("the report holds no network")
	}
	var files []file
	var drawn []map[string]figure.Figure
	for i := range r.Networks {
		figures, err := r.Networks[i].figures()
		if err != nil {
			return nil, err
		}
		drawn = append(drawn, figures)
		for _, f := range figures {
			files = append(files, file{f.Name + ".png", f.PNG}, file{f.Name + ".svg", f.SVG})
		}
	}
	document := r.document(drawn)
	listed, err := tables(document.Sections)
	if err != nil {
		return nil, err
	}
	files = append(files, listed...)
	r.Files = nil
	for _, f := range files {
		r.Files = append(r.Files, f.name)
	}
	slices.Sort(r.Files)
	numbers, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode numbers: %w", err)
	}
	var html bytes.Buffer
	if err := page.Write(&html, document); err != nil {
		return nil, err
	}
	return append(files, file{Numbers, append(numbers, '\n')}, file{Index, html.Bytes()}), nil
}
