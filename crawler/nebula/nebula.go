// Package nebula reads the crawls that Nebula, a crawler of libp2p networks,
// writes as JSON lines (github.com/dennis-tra/nebula, `nebula crawl --json-out`),
// so that data of earlier years can be attributed and reported.
//
// A crawl is three files that share a prefix, such as 2023-05-01T12:00:
// PREFIX_crawl.json, PREFIX_visits.ndjson and PREFIX_neighbors.ndjson; the two
// latter were named .json before February 2025, and may be packed with gzip. What
// is read is hostile: every line is bounded and checked, and one that can't be
// believed is named and left out.
package nebula

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"canopy/crawler/observation"
)

// Files are those of one crawl.
type Files struct {
	Prefix     string // that they share, without the folder
	Crawl      string
	Visits     string
	Neighbours string
}

// The ends of their names.
const (
	crawlEnd      = "_crawl.json"
	visitsEnd     = "_visits"
	neighboursEnd = "_neighbors"
	packed        = ".gz"
)

// choose takes a file, or of two with one content the one that is not packed.
func choose(have *string, path string) {
	if *have == "" || strings.HasSuffix(*have, packed) {
		*have = path
	}
}

// Find lists the crawls in a folder, by name. It returns an error that names
// every file that is missing.
func Find(dir string) ([]Files, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("find crawls of Nebula: %w", err)
	}
	found := map[string]*Files{}
	at := func(prefix string) *Files {
		if found[prefix] == nil {
			found[prefix] = &Files{Prefix: prefix}
		}
		return found[prefix]
	}
	for _, e := range entries {
		name, path := e.Name(), filepath.Join(dir, e.Name())
		unpacked := strings.TrimSuffix(name, packed)
		bare := strings.TrimSuffix(strings.TrimSuffix(unpacked, ".ndjson"), ".json")
		switch {
		case !regular(path): // a pipe may never end
		case strings.HasSuffix(name, crawlEnd):
			at(strings.TrimSuffix(name, crawlEnd)).Crawl = path
		case bare != unpacked && strings.HasSuffix(bare, visitsEnd):
			choose(&at(strings.TrimSuffix(bare, visitsEnd)).Visits, path)
		case bare != unpacked && strings.HasSuffix(bare, neighboursEnd):
			choose(&at(strings.TrimSuffix(bare, neighboursEnd)).Neighbours, path)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("find crawls of Nebula: %s holds no *%s, *%s.ndjson or *%s.ndjson", dir, crawlEnd, visitsEnd, neighboursEnd)
	}
	var list []Files
	var missing []string
	for _, f := range found {
		for _, need := range []struct{ path, end string }{{f.Crawl, crawlEnd}, {f.Visits, visitsEnd + ".ndjson"}, {f.Neighbours, neighboursEnd + ".ndjson"}} {
			if need.path == "" {
				missing = append(missing, f.Prefix+need.end)
			}
		}
		list = append(list, *f)
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, fmt.Errorf("find crawls of Nebula: missing in %s: %s", dir, strings.Join(missing, ", "))
	}
	slices.SortFunc(list, func(a, b Files) int { return strings.Compare(a.Prefix, b.Prefix) })
	return list, nil
}

func regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// head is PREFIX_crawl.json.
type head struct {
	State     string     `json:"state"`
	StartedAt time.Time  `json:"started_at"`
	Finished  *time.Time `json:"finished_at"`
	Version   string     `json:"version"`
	Remaining *int64     `json:"remaining_peers"`
}

// maxHead bounds PREFIX_crawl.json, in bytes.
const maxHead = 1 << 20

// earliest is before any crawl of Nebula, which is of 2021.
var earliest = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// readHead reads the crawl itself.
func (f Files) readHead(network observation.Network, vantage string) (c observation.Crawl, err error) {
	file, err := os.Open(f.Crawl)
	if err != nil {
		return c, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxHead+1))
	if err != nil {
		return c, err
	}
	if len(text) > maxHead {
		return c, fmt.Errorf("%s is longer than %d bytes: it is no crawl", filepath.Base(f.Crawl), maxHead)
	}
	h, err := decodeHead(text)
	if err != nil {
		return c, fmt.Errorf("%s: %w", filepath.Base(f.Crawl), err)
	}
	settings, err := json.Marshal(map[string]any{"network": network, "import": map[string]string{"from": "nebula", "files": observation.Text(f.Prefix)}})
	if err != nil {
		return c, err
	}
	c = observation.Crawl{
		ID: crawlID(network.Name, vantage, h.StartedAt), Network: network.Name, Vantage: vantage, Scope: observation.ScopeGlobal,
		StartedAt: h.StartedAt.UTC(), EndedAt: h.StartedAt.UTC(), State: observation.Complete, Settings: string(settings),
		Software: strings.TrimSpace("nebula/" + observation.Text(h.Version)),
	}
	if h.Finished != nil {
		c.EndedAt = h.Finished.UTC()
	}
	switch {
	case h.State == "succeeded" && (h.Remaining == nil || *h.Remaining == 0) && h.Finished != nil:
	case h.State == "succeeded":
		c.State, c.Notes = observation.CutShort, append(c.Notes, "Nebula stopped before it had visited all peers that it heard of.")
	default:
		c.State, c.Notes = observation.CutShort, append(c.Notes, fmt.Sprintf("Nebula calls this crawl %q: it did not come to its end.", observation.Text(h.State)))
	}
	return c, nil
}

func decodeHead(text []byte) (h head, err error) {
	if err := json.Unmarshal(text, &h); err != nil {
		return h, fmt.Errorf("read crawl: %w", err)
	}
	switch {
	case !believable(h.StartedAt):
		return h, errors.New("read crawl: started_at is missing or no date of a crawl")
	case h.Finished != nil && (h.Finished.Before(h.StartedAt) || !believable(*h.Finished)):
		return h, errors.New("read crawl: finished_at is before started_at, or no date of a crawl")
	}
	return h, nil
}

// believable says whether a crawl may have been made at t.
func believable(t time.Time) bool { return t.After(earliest) && t.Before(time.Now().Add(24*time.Hour)) }

// crawlID is the same whenever the same crawl is read, whatever its files are
// called by then, so that to import twice is to import once: Nebula tells the
// start to the nanosecond. It sorts by start, as those of our own crawls do.
func crawlID(network, vantage string, start time.Time) observation.CrawlID {
	id := observation.NewCrawlID(start)
	sum := sha256.Sum256([]byte(strings.Join([]string{"nebula", network, vantage, start.UTC().Format(time.RFC3339Nano)}, "\x00")))
	copy(id[6:], sum[:10])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}
