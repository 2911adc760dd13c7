package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"canopy/reports/figure"
	"canopy/reports/page"
)

// Index is the name of the page in a report's folder.
const Index = "index.html"

// Write writes the report into a folder, which is made if need be: index.html,
// figures.json, and each figure as PNG and SVG. All files are made beside the
// folder's own before the first of them is replaced, so that a failure leaves an
// earlier report as it was. Other files in the folder stay.
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
	for _, f := range files { // the page last: it refers to the others
		if err := os.Rename(filepath.Join(temp, f.name), filepath.Join(dir, f.name)); err != nil {
			return err
		}
	}
	return nil
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
	numbers, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode numbers: %w", err)
	}
	var html bytes.Buffer
	if err := page.Write(&html, r.document(drawn)); err != nil {
		return nil, err
	}
	return append(files, file{"figures.json", append(numbers, '\n')}, file{Index, html.Bytes()}), nil
}
