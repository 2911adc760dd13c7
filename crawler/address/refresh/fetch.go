package refresh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"canopy/crawler/address"
)

// errUnchanged says that every file is the one at hand.
var errUnchanged = errors.New("nothing changed")

// fetched is one file as it came.
type fetched struct {
	name, url, from string
	raw             []byte
	modified        time.Time // zero if not known
	validator       address.Validator
}

// fetch gets every file of the source. First it asks for those that changed;
// if any did it gets the others too.
func (u *update) fetch(ctx context.Context) ([]fetched, error) {
	var out []fetched
	unchanged := 0
	for _, f := range u.Files {
		got, err := u.get(ctx, f, true)
		if errors.Is(err, errUnchanged) {
			unchanged++
			got.name = f.Name
		} else if err != nil {
			return nil, fmt.Errorf("fetch %s: %w", f.Name, err)
		}
		out = append(out, got)
	}
	if unchanged == len(u.Files) {
		return nil, errUnchanged
	}
	for i, f := range u.Files {
		if out[i].raw != nil {
			continue
		}
		got, err := u.get(ctx, f, false)
		if err != nil {
			return nil, fmt.Errorf("fetch %s: %w", f.Name, err)
		}
		out[i] = got
	}
	return out, nil
}

// get gets one file; conditionally, it returns errUnchanged if it is the one
// at hand.
func (u *update) get(ctx context.Context, f File, conditional bool) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, u.Timeout)
	defer cancel()
	url, check := f.URL, func([]byte) error { return nil }
	switch {
	case strings.HasPrefix(u.From, "http://") || strings.HasPrefix(u.From, "https://"):
		url = strings.TrimSuffix(u.From, "/") + "/" + u.Name + "/" + f.Name
	case u.From != "":
		return u.copy(filepath.Join(u.From, u.Name, f.Name), conditional)
	case f.link != nil:
		if path, ok := strings.CutPrefix(url, npmScheme); ok {
			var err error
			if url, err = npmURL(ctx, path); err != nil {
				return fetched{}, err
			}
		}
		page, err := u.download(ctx, url, address.Validator{})
		if err != nil {
			return fetched{}, err
		}
		var linked func([]byte) error
		if url, linked, err = f.link(page.raw); err != nil {
			return fetched{}, err
		}
		if linked != nil {
			check = linked
		}
	}
	at := address.Validator{}
	if conditional && u.set != nil {
		at = u.set.Validators[url]
	}
	got, err := u.download(ctx, url, at)
	if err != nil {
		return got, err
	}
	got.name = f.Name
	if at.SHA256 == got.validator.SHA256 {
		return fetched{}, errUnchanged
	}
	return got, check(got.raw)
}

// download gets a URL, unless it is as at says.
func (u *update) download(ctx context.Context, url string, at address.Validator) (fetched, error) {
	none := fetched{}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return none, err
	}
	req.Header.Set("User-Agent", u.Agent)
	if at.ETag != "" {
		req.Header.Set("If-None-Match", at.ETag)
	}
	if at.LastModified != "" {
		req.Header.Set("If-Modified-Since", at.LastModified)
	}
	res, err := u.Client.Do(req)
	if err != nil {
		return none, err
	}
	defer func() { _ = res.Body.Close() }()
	switch {
	case res.StatusCode == http.StatusOK:
	case res.StatusCode == http.StatusNotModified && at.SHA256 != "":
		return none, errUnchanged
	case res.StatusCode == http.StatusNotFound:
		return none, fmt.Errorf("%s is not there: %w", url, fs.ErrNotExist)
	default:
		return none, fmt.Errorf("%s answered %s", url, res.Status)
	}
	got := fetched{url: url, from: url}
	if got.raw, err = readWhole(res.Body); err != nil {
		return none, fmt.Errorf("%s: %w", url, err)
	}
	got.validator = address.Validator{ETag: res.Header.Get("ETag"), LastModified: res.Header.Get("Last-Modified"), SHA256: digest(got.raw)}
	if t, err := http.ParseTime(got.validator.LastModified); err == nil {
		got.modified = t
	}
	return got, nil
}

// copy reads a file of a folder.
func (u *update) copy(path string, conditional bool) (fetched, error) {
	file, err := os.Open(path)
	if err != nil {
		return fetched{}, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return fetched{}, err
	}
	got := fetched{name: filepath.Base(path), url: path, from: path, modified: info.ModTime()}
	if got.raw, err = readWhole(file); err != nil {
		return fetched{}, err
	}
	got.validator.SHA256 = digest(got.raw)
	if conditional && u.set != nil && u.set.Validators[path] == got.validator {
		return fetched{}, errUnchanged
	}
	return got, nil
}

func readWhole(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the file broke off: %w", err)
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("the file is larger than %d MiB", maxFile>>20)
	}
	return raw, nil
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
