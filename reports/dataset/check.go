package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxPaper bounds a paper that programs read, in bytes.
const maxPaper = 1 << 20

// Check reads what a dataset says of itself, and holds every file against its
// checksum. An error names the files that are missing or changed. Files that the
// checksums don't name are never read.
func Check(dir string) (*Index, error) {
	text, err := readPaper(dir, indexFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is no dataset of canopy: it holds no %s", dir, indexFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read dataset: %w", err)
	}
	index, err := decodeIndex(text)
	if err != nil {
		return nil, fmt.Errorf("read dataset: %s: %w", indexFile, err)
	}
	if err := hold(dir, index); err != nil {
		return nil, fmt.Errorf("read dataset %s: %w", dir, err)
	}
	return index, nil
}

func decodeIndex(text []byte) (*Index, error) {
	var index Index
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	switch {
	case index.Schema == 0:
		return nil, errors.New("it names no schema, so this is no dataset of canopy")
	case index.Schema != schemaVersion:
		return nil, fmt.Errorf("its schema is %d, this program reads %d: use the version of canopy that made it, %s", index.Schema, schemaVersion, clean(index.Software))
	case index.Format != Parquet && index.Format != CSV:
		return nil, fmt.Errorf("its format is %q; want %s or %s", clean(index.Format), Parquet, CSV)
	}
	index.Rules = clean(index.Rules)
	for i, line := range index.Attributed {
		index.Attributed[i] = clean(line)
	}
	return &index, nil
}

// hold compares files with their checksums: all that are named, and all that
// there must be.
func hold(dir string, index *Index) error {
	listed, err := sums(dir)
	if err != nil {
		return err
	}
	var need []string
	for _, t := range tables {
		need = append(need, t.name+"."+index.Format)
	}
	need = append(need, indexFile)
	var others []string
	for name := range listed {
		if filepath.Base(name) != name || name == ".." {
			return fmt.Errorf("%s names %s, which is no file of the folder: this dataset is not to be trusted", sumsFile, clean(name))
		}
		if !slices.Contains(need, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	var missing, changed []string
	for _, name := range append(need, others...) {
		sum, _, err := checksum(filepath.Join(dir, name))
		switch {
		case errors.Is(err, os.ErrNotExist):
			missing = append(missing, clean(name))
		case err != nil:
			return err
		case listed[name] != sum:
			changed = append(changed, clean(name))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing: %s", strings.Join(missing, ", "))
	}
	if len(changed) > 0 {
		return fmt.Errorf("not as %s says: %s", sumsFile, strings.Join(changed, ", "))
	}
	return nil
}

// sums are the checksums by the names of files.
func sums(dir string) (map[string]string, error) {
	text, err := readPaper(dir, sumsFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("missing: %s", sumsFile)
	}
	if err != nil {
		return nil, err
	}
	listed := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if sum, name, ok := strings.Cut(lines.Text(), "  "); ok {
			listed[name] = sum
		}
	}
	return listed, lines.Err()
}

func readPaper(dir, name string) ([]byte, error) {
	f, err := openFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPaper+1))
	if err == nil && len(text) > maxPaper {
		err = fmt.Errorf("%s is longer than %d bytes: it is none of a dataset", name, maxPaper)
	}
	return text, err
}

// openFile opens a file; what is none, such as a pipe that never ends, is an
// error.
func openFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	return os.Open(path)
}
