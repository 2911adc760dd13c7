package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

var formatName = regexp.MustCompile(`^\w*$`)

// SQL runs one statement and writes its answer to w. An empty format means an
// aligned table for people, in which every string went through
// observation.Text: control characters are escaped and long values cut. Any
// other format is one of ClickHouse's, written by the engine byte for byte,
// except that a server reached by its native protocol has only JSONEachRow,
// CSV, CSVWithNames, TSV and TSVWithNames. Statements that change something
// fail on a store that was opened with ReadOnly.
func (s *Store) SQL(ctx context.Context, w io.Writer, query, format string) error {
	if !formatName.MatchString(format) {
		return fmt.Errorf("%q is no format: try JSONEachRow, CSV or TSV", format)
	}
	if s.target.speaksHTTP() {
		return s.sqlHTTP(ctx, w, query, format)
	}
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	return writeRows(w, rows, format)
}

// tableFormat is what a table for people is made from.
const tableFormat = "TabSeparatedWithNames"

func (s *Store) sqlHTTP(ctx context.Context, w io.Writer, query, format string) error {
	params := s.settings()
	params.Set("default_format", format)
	if format == "" {
		params.Set("default_format", tableFormat)
	}
	exists, err := s.databaseExists(ctx)
	if err != nil {
		return err
	}
	if exists {
		params.Set("database", s.target.database)
	}
	res, err := s.post(ctx, params, strings.NewReader(query))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if format == "" && res.Header.Get("X-ClickHouse-Format") == tableFormat {
		return writeTabSeparated(w, res.Body)
	}
	_, err = io.Copy(w, res.Body)
	return err
}

func (s *Store) databaseExists(ctx context.Context) (bool, error) {
	var n uint64
	err := s.admin.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = ?", s.target.database).Scan(&n)
	return n > 0, err
}

var errFormat = errors.New("this format needs a chdb: or http(s):// store; the native protocol has " + strings.Join(nativeFormats, ", "))
