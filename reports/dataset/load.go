package dataset

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"canopy/analysis"
)

// Engine is a ClickHouse that reads files of this machine, such as the embedded
// one.
type Engine interface {
	analysis.Querier
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Load puts the tables of a checked dataset into an empty database, in the form
// in which reports read the record: see reports.Options.Published.
func Load(ctx context.Context, e Engine, dir string, index *Index) error {
	if dir, err := filepath.Abs(dir); err != nil || strings.ContainsAny(dir, "*?{}[]") {
		return errors.Join(fmt.Errorf("load dataset: the engine can't read a path with *?{}[] in it: %s", dir), err)
	}
	for _, l := range loads(index.Raw) {
		if err := l.table.formed(ctx, e, dir, index.Format); err != nil {
			return damaged(ctx, l.table.name+"."+index.Format, err)
		}
		source, err := l.table.source(dir, index.Format)
		if err != nil {
			return fmt.Errorf("load %s: %w", l.table.name, err)
		}
		query := fmt.Sprintf("CREATE TABLE %s ENGINE = MergeTree ORDER BY tuple() AS ", l.table.name) + fmt.Sprintf(l.query, source)
		if _, err := e.ExecContext(ctx, query); err != nil {
			return damaged(ctx, l.table.name+"."+index.Format, err)
		}
	}
	if err := believable(ctx, e, index); err != nil {
		return fmt.Errorf("load dataset: %w", err)
	}
	// A crawl of whose peers none may be published shows none that answered.
	_, err := e.ExecContext(ctx, "ALTER TABLE crawls UPDATE reachable = 0 WHERE crawl_id NOT IN (SELECT crawl_id FROM visits WHERE outcome = 'answered') SETTINGS mutations_sync = 1")
	if err != nil {
		return fmt.Errorf("load crawls: %w", err)
	}
	// The observer's own nodes are not in a dataset.
	_, err = e.ExecContext(ctx, "CREATE TABLE marks (network String, peer_id String, kind String) ENGINE = MergeTree ORDER BY tuple()")
	if err != nil {
		return fmt.Errorf("load marks: %w", err)
	}
	return nil
}

// source is the query of a table's file, with the types that its form says.
func (t table) source(dir, format string) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, t.name+"."+format))
	if err != nil {
		return "", err
	}
	types := map[kind]string{word: "String", text: "String", whole: "Int64", real: "Float64", measure: "Nullable(Float32)", moment: "Nullable(DateTime64(3, \\'UTC\\'))", list: "Array(Int64)"}
	var structure, columns []string
	for _, c := range t.columns {
		structure = append(structure, c.name+" "+types[c.kind])
		if format == CSV && (c.kind == word || c.kind == text) { // the apostrophe before what looks like a formula
			columns = append(columns, fmt.Sprintf("if(startsWith(raw.%[1]s, '\\''), substring(raw.%[1]s, 2), raw.%[1]s) AS %[1]s", c.name))
		} else {
			columns = append(columns, "raw."+c.name+" AS "+c.name)
		}
	}
	name := map[string]string{Parquet: "Parquet", CSV: "CSVWithNames"}[format]
	return fmt.Sprintf("(SELECT %s FROM file(%s, '%s', '%s') AS raw)", strings.Join(columns, ", "), quotedPath(path), name, strings.Join(structure, ", ")), nil
}

func quotedPath(path string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(path) + "'"
}

type load struct {
	table table
	query string // %s is the file
}

// pseudoAddress makes an IPv6 address of two pseudonyms, so that addresses of
// one block share 56 bits: reports count blocks by them.
const pseudoAddress = `CAST(toFixedString(unhex(if(address = '', repeat('0', 32), concat(substring(block, 1, 14), substring(address, 1, 18)))), 16), 'IPv6')`

// loads say how each file becomes a table of the record.
func loads(raw bool) []load {
	address, prefix, endpoint := pseudoAddress, "announced", `CAST(toFixedString(unhex(endpoint), 16), 'IPv6')`
	if raw {
		address, prefix, endpoint = "toIPv6OrDefault(address)", "announced", "toIPv6OrDefault(trim(BOTH '[]' FROM extract(endpoint, '^(.*):')))"
	}
	return []load{
		{crawlsForm.table, `SELECT network, toUUID(crawl_id) AS crawl_id, vantage, scope, zone, assumeNotNull(started_at) AS started_at, ended_at, state,
			accurateCast(discovered, 'UInt64') AS discovered, accurateCast(reachable, 'UInt64') AS reachable, accurateCast(queries, 'UInt64') AS queries, software, settings, if(notes = '', [], [notes]) AS notes FROM %s`},
		{visitsForm.table, `SELECT toLowCardinality(v.network) AS network, toUUID(v.crawl_id) AS crawl_id, accurateCast(number, 'UInt32') AS number, c.started_at AS visited_at, peer_id,
			` + address + ` AS address, toUInt16(0) AS port, toLowCardinality(outcome) AS outcome, '' AS detail, toLowCardinality(agent) AS agent, CAST([], 'Array(String)') AS protocols,
			rtt_ms, handshake_ms, accurateCast(neighbours, 'UInt32') AS neighbours, accurateCast(partial, 'UInt8') AS partial, accurateCast(queries, 'UInt32') AS queries,
			toLowCardinality(` + prefix + `) AS prefix, accurateCast(asn, 'UInt32') AS asn, toLowCardinality(organisation) AS organisation, toLowCardinality(country) AS country,
			toLowCardinality(if(hosting = '', 'unknown', hosting)) AS hosting, toLowCardinality(facts_source) AS facts_source, toDateOrDefault(facts_date) AS facts_date,
			toLowCardinality(if(operator = '', 'unknown', operator)) AS operator, toLowCardinality(if(leaning = '', 'unknown', leaning)) AS leaning,
			toLowCardinality(operator_name) AS operator_name, probability, toLowCardinality(set_aside) AS set_aside
			FROM %s AS v INNER JOIN (SELECT toString(crawl_id) AS crawl_id, started_at FROM crawls) AS c ON c.crawl_id = v.crawl_id`},
		{edgesForm.table, `SELECT network, toUUID(crawl_id) AS crawl_id, accurateCast(peer, 'UInt32') AS peer, arrayMap(n -> accurateCast(n, 'UInt32'), neighbours) AS neighbours, accurateCast(partial, 'UInt8') AS partial FROM %s`},
		{probesForm.table, `SELECT network, vantage, peer_id, ` + endpoint + ` AS address, toUInt16(0) AS port, assumeNotNull(probed_at) AS probed_at, outcome, rtt_ms, accurateCast(control_ok, 'UInt8') AS control_ok FROM %s`},
		{sessionsForm.table, `SELECT network, vantage, peer_id, last_down_before, assumeNotNull(first_up) AS first_up, assumeNotNull(last_up) AS last_up, first_down_after, accurateCast(probes, 'UInt32') AS probes, reason FROM %s`},
		{agentsForm.table, `SELECT network, scope, agent, peers, counts, weight, squares FROM %s`},
		{protocolsForm.table, `SELECT network, toUUID(crawl_id) AS crawl_id, protocol, peers FROM %s`},
		{sizesForm.table, `SELECT network, scope, result FROM %s`},
		{findingsForm.table, `SELECT network, scope, result FROM %s`},
		{clearcutsForm.table, `SELECT network, scope, result FROM %s`},
	}
}
