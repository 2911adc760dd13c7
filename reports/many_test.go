package reports

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"canopy/analysis"
	"canopy/analysis/reachability"
	"canopy/reports/page"
)

// A year of crawls, one every hour, fits the page: it says what it leaves to
// the CSV, which has all.
func TestManyCrawls(t *testing.T) {
	t.Parallel()
	const crawls = 8760
	n := &Network{}
	var shares []analysis.Estimate
	var rows [][]string
	for i := range crawls {
		id := fmt.Sprint(i)
		n.Used = append(n.Used, id)
		n.Crawls = append(n.Crawls, reachability.Crawl{ID: id, StartedAt: day.Add(time.Duration(i) * time.Hour)})
		shares = append(shares, analysis.Estimate{Value: float64(i)})
		rows = append(rows, []string{id, "1"})
	}
	l := n.trendChart("land", []Trend{{"hosting", shares}}, landLabel)
	values := l.Series[0].Values
	if len(l.Times) != len(values) || len(values) > mostDrawn+1 || values[0] != 0 || values[len(values)-1] != crawls-1 || !l.Times[len(values)-1].Equal(n.Crawls[crawls-1].StartedAt) {
		t.Errorf("%d times, %d values, the last %v", len(l.Times), len(values), values[len(values)-1])
	}
	if !strings.Contains(n.trendCaption(""), "One crawl in 22 and the last are drawn") {
		t.Error(n.trendCaption(""))
	}
	table := page.Table{Caption: "Crawls.", Head: []string{"Crawl", "n"}, Rows: rows}
	files, err := tables([]page.Section{{ID: "x", Blocks: []page.Block{{Table: &table}}}})
	must(t, err)
	if lines := bytes.Count(files[0].content, []byte("\n")); lines != crawls+1 || len(table.Rows) != mostRows || table.Rows[mostRows-1][0] != fmt.Sprint(crawls-1) {
		t.Errorf("the CSV has %d lines, the page %d rows to %s", lines, len(table.Rows), table.Rows[len(table.Rows)-1])
	}
	if !strings.Contains(table.Caption, "The last 400 of 8"+nbsp+"760 rows") {
		t.Error(table.Caption)
	}
}
