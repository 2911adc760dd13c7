package reports

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"canopy/analysis"
	"canopy/analysis/comparison"
	"canopy/analysis/shares"
	"canopy/reports/page"
)

// published are figures of others, with their units and where they were read.
// The key of a figure names ours in the same unit; without one there is none.
//
//go:embed published.csv
var published []byte

// Published is a figure of somebody else beside ours in the same unit.
type Published struct {
	Source   string            `json:"source"`
	Address  string            `json:"address,omitempty"`
	Period   string            `json:"period"`
	Quantity string            `json:"quantity"`
	Unit     string            `json:"unit"`
	Value    *float64          `json:"value,omitempty"` // nil where only a bound is published
	Lower    *float64          `json:"lower,omitempty"`
	Upper    *float64          `json:"upper,omitempty"`
	Read     string            `json:"read"` // how the figure was read
	Ours     analysis.Estimate `json:"ours"`
	Share    bool              `json:"share"` // else a number
}

// week is how long a period is that compares with figures of a week.
const (
	leastWeek = 6 * 24 * time.Hour
	mostWeek  = 8 * 24 * time.Hour
)

// elsewhere finds the figures of others that are in a unit of ours. A local
// network has none.
func elsewhere(n *Network) ([]Published, error) {
	if n.Synthetic() {
		return nil, nil
	}
	ours := n.comparable()
	var list []Published
	r := csv.NewReader(bytes.NewReader(published))
	if _, err := r.Read(); err != nil { // the heads
		return nil, fmt.Errorf("read published figures: %w", err)
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read published figures: %w", err)
		}
		e, ok := ours[row[10]]
		if !ok || row[0] != n.Name {
			continue
		}
		p := Published{Source: row[1], Address: row[2], Period: row[3], Quantity: row[4], Unit: row[5], Read: row[9], Ours: e, Share: e.Upper <= 1}
		for i, into := range []**float64{&p.Value, &p.Lower, &p.Upper} {
			if text := row[6+i]; text != "" {
				v, err := strconv.ParseFloat(text, 64)
				if err != nil {
					return nil, fmt.Errorf("read published figures: %w", err)
				}
				*into = &v
			}
		}
		list = append(list, p)
	}
}

// comparable are our figures in units in which others published theirs, by
// their keys. Figures per IP address are none of these: others count every
// address that a peer announces, a visit here the one that answered or was tried.
func (n *Network) comparable() map[string]analysis.Estimate {
	ours := map[string]analysis.Estimate{}
	for _, c := range n.Counting.Hosting {
		if c.Of != shares.Discovered {
			continue
		}
		over := map[string]string{shares.Mean: "mean ", shares.Union: "union "}[c.Over]
		if e := c.Share("hosting"); e != nil {
			ours["hosting "+over+c.Per] = *e
		}
		if length := n.length(); c.Over == shares.Union && c.OneIn == 0 && length >= leastWeek && length <= mostWeek {
			if c.Per == "peer" {
				v := float64(c.Units)
				ours["peers per week"] = analysis.Estimate{Value: v, Lower: v, Upper: v, Level: 1, N: c.Units, Unit: "named in a week", NUnit: "distinct peers", Method: "count"}
			}
		}
	}
	var discovered []float64
	for _, c := range n.used() {
		discovered = append(discovered, float64(c.Discovered))
	}
	if e, ok := comparison.Mean(discovered, "peers named in a crawl", "crawls"); ok {
		ours["discovered per crawl"] = e
	}
	if e, ok := n.perCrawl(); ok {
		ours["reachable per crawl"] = e
	}
	if n.Size != nil && n.Size.Result != nil && n.Size.Corrected.Estimate != nil {
		ours["size"] = *n.Size.Corrected.Estimate
	}
	return ours
}

// length is from the first crawl used to the last.
func (n *Network) length() time.Duration {
	first, last := n.period()
	return last.Sub(first)
}

// elsewhere is the section.
func (v view) elsewhere() page.Section {
	const name, heading = "elsewhere", "Beside the figures of others"
	switch {
	case v.Synthetic():
		return v.part(name, heading, notice("A local network is not compared with published figures of public ones."))
	case len(v.Published) == 0:
		return v.part(name, heading, notice("No published figure that is known here is in a unit of this report."))
	}
	var rows [][]string
	var links []string
	for _, p := range v.Published {
		rows = append(rows, []string{p.Source + ", " + p.Period, p.Quantity + ": " + p.Unit, p.theirs(), p.here(), p.Read})
		links = append(links, p.Address)
	}
	t := table("Published figures and those of this report in the same unit, ours with 95\u00a0% intervals.", []string{"Published by, of", "what, and its unit", "published", "here", "read from"}, rows)
	t[0].Table.Numeric = []bool{false, false, true, true, false}
	t[0].Table.Links = links
	return v.part(name, heading,
		text("Only figures in the same unit stand side by side, and even these were made at another time, from another place, with other data on addresses: a difference may come from any of these."), t)
}

// theirs writes a published figure, which may be a bound only.
func (p Published) theirs() string {
	write := func(v float64) string {
		if p.Share {
			return strconv.FormatFloat(100*v, 'f', 1, 64) + nbsp + "%"
		}
		return count(int(v))
	}
	switch {
	case p.Value != nil && p.Lower != nil:
		return write(*p.Lower) + " to " + write(*p.Value)
	case p.Value != nil:
		return write(*p.Value)
	case p.Lower != nil:
		return "more than " + write(*p.Lower)
	case p.Upper != nil:
		return "less than " + write(*p.Upper)
	}
	return "–"
}

func (p Published) here() string {
	switch {
	case p.Share:
		return percentInterval(p.Ours)
	case p.Ours.Level == 1:
		return count(p.Ours.N)
	}
	return nodes(&p.Ours)
}
