// Package analysis declares what every computation of Canopy shares: an
// [Estimate], which carries its doubt with it, and a [Querier], through which
// the record is read, with what several questions read alike. Each package
// below it answers one.
package analysis

import (
	"context"
	"database/sql"
	"time"
)

// Estimate is one published figure. A figure without unit, n, interval and
// method is not published.
type Estimate struct {
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`   // such as "share of reachable peers"
	Lower    float64  `json:"lower"`  // of the interval
	Upper    float64  `json:"upper"`  // of the interval
	Level    float64  `json:"level"`  // confidence of the interval, 0.95; 1 for a bound or a full count
	N        int      `json:"n"`      // observations behind the value
	NUnit    string   `json:"n_unit"` // what N counts, such as "peers in 4 crawls"
	Method   string   `json:"method"` // how value and interval were computed
	Warnings []string `json:"warnings,omitempty"`
}

// Querier reads the record. *sql.DB is one.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Window is the half-open period [From, To) that a report covers. A zero end
// is open.
type Window struct {
	From, To time.Time
}
