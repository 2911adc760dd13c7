package store

import (
	"errors"
	"net/http"

	"canopy/crawler/store/chdb"
)

// Handler serves ClickHouse's HTTP interface on top of an embedded store, to
// whoever knows password (to everybody if it is empty). On a store that
// was opened with ReadOnly it only reads. Close the server before the store.
func (s *Store) Handler(password string) (http.Handler, error) {
	if s.engine == nil {
		return nil, errors.New("only an embedded store (chdb:DIR) can be served; a ClickHouse server serves itself")
	}
	return s.engine.Handler(chdb.ServeOptions{Database: s.target.database, Password: password, AllowWrites: !s.opt.ReadOnly}), nil
}
