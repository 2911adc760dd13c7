package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"canopy/crawler/store/chdb"
)

// Handler serves ClickHouse's HTTP interface on top of an embedded store, to
// whoever knows password (to everybody if it is empty). On a store that
// was opened with ReadOnly it only reads. Close the server before the store.
func (s *Store) Handler(ctx context.Context, password string) (http.Handler, error) {
	if s.engine == nil {
		return nil, errors.New("only an embedded store (chdb:DIR) can be served; a ClickHouse server serves itself")
	}
	o := chdb.ServeOptions{Database: s.target.database, Password: password, AllowWrites: !s.opt.ReadOnly}
	if o.AllowWrites {
		var err error
		if o.Schema, err = s.schema(); err != nil {
			return nil, err
		}
		o.Tables = tablesOf(o.Schema)
	}
	handler, err := s.engine.Handler(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("serve store %s: %w", s.target.name, err)
	}
	return handler, nil
}

// tablesOf lists the tables that statements of the schema create.
func tablesOf(statements []string) (names []string) {
	for _, s := range statements {
		if created := creation.FindStringSubmatch(s); created != nil {
			names = append(names, created[1])
		}
	}
	return names
}

var creation = regexp.MustCompile(`^\s*CREATE TABLE IF NOT EXISTS (\w+)`)

// schema lists the statements that bring an embedded store up to date.
func (s *Store) schema() ([]string, error) {
	list, err := readMigrations(migrationFiles)
	if err != nil {
		return nil, err
	}
	statements := []string{createDatabase + s.target.database, migrationsTable}
	for _, m := range list {
		statements = append(statements, m.statements...)
	}
	return statements, nil
}
