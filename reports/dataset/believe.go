package dataset

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"canopy/analysis"
	"canopy/analysis/identity"
)

// damaged tells of a file that the engine can't read. What the engine says may
// quote the file.
func damaged(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("load dataset: %s is damaged, or was not made by canopy export: %s", name, clean(strings.Join(strings.Fields(err.Error()), " ")))
}

// formed says whether a file has the columns of its table: an engine fills those
// that are missing with zeros.
func (t table) formed(ctx context.Context, q analysis.Querier, dir, format string) error {
	var have []string
	var err error
	if format == CSV {
		have, err = header(filepath.Join(dir, t.name+"."+format))
	} else {
		have, err = described(ctx, q, filepath.Join(dir, t.name+"."+format))
	}
	if err != nil {
		return err
	}
	types := map[kind]string{word: "String", text: "String", whole: "Int64", real: "Float64", measure: "Float32", moment: "DateTime64(3, 'UTC'", list: "Array(Int64"}
	var want []string
	for _, c := range t.columns {
		if format == CSV {
			want = append(want, c.name)
		} else {
			want = append(want, c.name+" "+types[c.kind])
		}
	}
	if !slices.Equal(have, want) {
		for i, column := range want {
			if i >= len(have) || have[i] != column {
				return fmt.Errorf("column %d must be %s", i+1, column)
			}
		}
		return fmt.Errorf("it has %d columns, not %d", len(have), len(want))
	}
	return nil
}

// header is the names of the columns of a CSV file.
func header(path string) ([]string, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 1<<16)).ReadString('\n')
	if err != nil {
		return nil, errors.New("it has no line of names")
	}
	return strings.Split(strings.TrimRight(line, "\r\n"), ","), nil
}

// described is the columns of a Parquet file and their types, without what says
// that a value may be absent.
func described(ctx context.Context, q analysis.Querier, path string) (columns []string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "DESCRIBE TABLE file("+quotedPath(path)+", 'Parquet') SETTINGS describe_compact_output = 1")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return nil, err
		}
		columns = append(columns, name+" "+strings.NewReplacer("Nullable(", "", ")", "").Replace(kind))
	}
	return columns, rows.Err()
}

// doubt is what no dataset holds: the query counts it.
type doubt struct{ about, query string }

// believable looks for what an export never writes: rows that are more or fewer
// than it says, of no crawl or of one that stands twice, and values that no
// column has. Figures made of them would be wrong.
func believable(ctx context.Context, q analysis.Querier, index *Index) error {
	for _, t := range tables {
		n, err := counted(ctx, q, "SELECT toInt64(count()) FROM "+t.name)
		if err != nil {
			return err
		}
		if n != index.Rows[t.name] {
			return fmt.Errorf("%s: %d rows can be used, and %s says %d: the dataset is damaged", t.name, n, indexFile, index.Rows[t.name])
		}
	}
	for _, d := range doubts() {
		n, err := counted(ctx, q, d.query)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%s: %d rows hold what canopy export never writes: the dataset is damaged, or of another make", d.about, n)
		}
	}
	return nil
}

func doubts() []doubt {
	kinds := "('community', 'commercial', 'institutional', 'unknown')"
	reasons := []string{""}
	for _, r := range identity.Reasons() {
		reasons = append(reasons, string(r))
	}
	return []doubt{
		{"crawls, their IDs", "SELECT toInt64(count() - uniqExact(crawl_id)) FROM crawls"},
		{"crawls, state and scope", "SELECT toInt64(countIf(state NOT IN ('complete', 'cut_short', 'degraded') OR scope NOT IN ('global', 'local'))) FROM crawls"},
		{"crawls, when they ended", "SELECT toInt64(countIf(ended_at IS NULL OR ended_at < started_at)) FROM crawls"},
		{"visits, their numbers", "SELECT toInt64(count() - uniqExact(crawl_id, number)) FROM visits"},
		{"visits, hosting", "SELECT toInt64(countIf(hosting NOT IN ('residential', 'mobile', 'hosting', 'institutional', 'anonymiser', 'unknown'))) FROM visits"},
		{"visits, operator and leaning", "SELECT toInt64(countIf(operator NOT IN " + kinds + " OR leaning NOT IN " + kinds + ")) FROM visits"},
		{"visits, probability", "SELECT toInt64(countIf(NOT (probability >= 0 AND probability <= 1))) FROM visits"},
		{"visits, outcome", "SELECT toInt64(countIf(NOT match(toString(outcome), '^[a-z_]{1,32}$'))) FROM visits"},
		{"visits, set_aside", "SELECT toInt64(countIf(NOT has(" + literals(reasons) + ", toString(set_aside)))) FROM visits"},
		{"visits, rtt_ms and handshake_ms", "SELECT toInt64(countIf(NOT (ifNull(rtt_ms, 0) BETWEEN 0 AND 1e9 AND ifNull(handshake_ms, 0) BETWEEN 0 AND 1e9))) FROM visits"},
		{"sessions", "SELECT toInt64(countIf(first_up > last_up OR last_down_before > first_up OR first_down_after < last_up)) FROM sessions"},
		{"agents", "SELECT toInt64(countIf(peers < 0 OR NOT (weight >= 0 AND weight < 1e12 AND squares >= 0 AND squares < 1e12))) FROM agents"},
		{"protocols", "SELECT toInt64(countIf(peers < 0)) FROM protocols"},
		{"sizes, findings and clearcuts", "SELECT toInt64(countIf(NOT isValidJSON(result))) FROM (SELECT result FROM sizes UNION ALL SELECT result FROM findings UNION ALL SELECT result FROM clearcuts)"},
	}
}

func counted(ctx context.Context, q analysis.Querier, query string) (n int64, err error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}
