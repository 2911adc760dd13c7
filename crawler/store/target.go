package store

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// DefaultDatabase holds the record where a store's URL names no other.
const DefaultDatabase = "canopy"

// target is where a store's URL points.
type target struct {
	name     string // for people: the URL without credentials
	dir      string // of an embedded store, else empty
	database string
	cluster  string             // the URL's option cluster, empty for a single server
	options  clickhouse.Options // without the database
}

var databaseName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

func parseURL(raw string) (*target, error) {
	t := &target{}
	var err error
	switch scheme, rest, _ := strings.Cut(raw, ":"); scheme {
	case "chdb":
		err = t.parseEmbedded(rest)
	case "clickhouse", "http", "https":
		err = t.parseServer(raw)
	default:
		err = errors.New("it begins with none of chdb:, clickhouse://, http://, https://; examples are chdb:canopy-data and clickhouse://user:password@host:9000/canopy")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	if t.database == "" {
		t.database = DefaultDatabase
	}
	if !databaseName.MatchString(t.database) {
		return nil, fmt.Errorf("%w: %q is no database name: use letters, digits and _", ErrURL, t.database)
	}
	return t, nil
}

// Folder is where the embedded store at url keeps its data, empty for a store
// on a server.
func Folder(url string) (string, error) {
	t, err := parseURL(url)
	if err != nil || t.dir == "" {
		return "", err
	}
	return filepath.Abs(t.dir)
}

func (t *target) parseEmbedded(rest string) error {
	dir, query, _ := strings.Cut(rest, "?")
	if dir == "" {
		return errors.New("chdb: needs a folder, such as chdb:canopy-data")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	for name := range values {
		if name != "database" {
			return fmt.Errorf("chdb: takes no option %q, only database", name)
		}
	}
	t.name, t.dir, t.database = "chdb:"+dir, dir, values.Get("database")
	t.options = clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{"embedded"}, Settings: clickhouse.Settings{}}
	return nil
}

func (t *target) parseServer(raw string) error {
	if strings.HasPrefix(raw, "https:") && !strings.Contains(raw, "secure=") {
		separator := "?"
		if strings.Contains(raw, "?") {
			separator = "&"
		}
		raw += separator + "secure=true"
	}
	options, err := clickhouse.ParseDSN(raw) // hides credentials in its errors
	if err != nil {
		return err
	}
	t.options, t.database = *options, options.Auth.Database
	if t.options.Settings == nil {
		t.options.Settings = clickhouse.Settings{}
	}
	if cluster, ok := t.options.Settings["cluster"]; ok {
		delete(t.options.Settings, "cluster")
		if t.cluster = fmt.Sprint(cluster); !databaseName.MatchString(t.cluster) {
			return fmt.Errorf("%q is no name of a cluster: use letters, digits and _", t.cluster)
		}
		maps.Copy(t.options.Settings, distributing)
	}
	scheme, _, _ := strings.Cut(raw, ":")
	for i, addr := range t.options.Addr {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			t.options.Addr[i] = net.JoinHostPort(strings.Trim(addr, "[]"), t.defaultPort(scheme))
		}
	}
	if t.options.DialTimeout == 0 {
		t.options.DialTimeout = 10 * time.Second
	}
	if t.options.Protocol == clickhouse.Native && t.options.Compression == nil {
		t.options.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	t.name = fmt.Sprintf("%s://%s", scheme, strings.Join(t.options.Addr, ","))
	return nil
}

// spoolDir is where rows wait for this store, empty for nowhere. A folder of
// its own for each store lets several share what Options.Spool names.
func (s *Store) spoolDir() string {
	base := s.opt.Spool
	switch {
	case base == NoSpool:
		return ""
	case base == "" && s.target.dir != "":
		base = s.target.dir + ".spool"
	case base == "":
		base = "canopy-spool"
	}
	return filepath.Join(base, unsafeInPath.ReplaceAllString(strings.Join(s.target.options.Addr, ",")+"-"+s.target.database, "_"))
}

var unsafeInPath = regexp.MustCompile(`[^A-Za-z0-9.,-]`)

func (t *target) defaultPort(scheme string) string {
	switch {
	case scheme == "http":
		return "8123"
	case scheme == "https":
		return "8443"
	case t.options.TLS != nil:
		return "9440"
	}
	return "9000"
}

// withDatabase returns a copy of the client's options, for database.
func (t *target) withDatabase(database string) *clickhouse.Options {
	o := t.options
	o.Auth.Database = database
	o.Settings = maps.Clone(o.Settings)
	return &o
}

// The oldest ClickHouse that has every type and function of the schema.
const oldestMajor, oldestMinor = 23, 8

// checkVersion refuses engines that are too old.
func checkVersion(version string) error {
	var parts [2]int
	for i, text := range strings.SplitN(version+".0.0", ".", 3)[:2] {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("read ClickHouse version %q: %w", version, err)
		}
		parts[i] = n
	}
	if parts[0] < oldestMajor || parts[0] == oldestMajor && parts[1] < oldestMinor {
		return fmt.Errorf("%w, and this is %s", ErrOldServer, version)
	}
	return nil
}
