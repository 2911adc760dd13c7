package findability

import (
	"cmp"
	"math"
	"slices"
	"time"

	"canopy/analysis"
)

// Outcomes that mean yes, each of its kind of check.
const (
	found    = "found"
	entered  = "entered"
	answered = "answered"
)

// Labels of starts: the entry points that one had.
const (
	StartAll        = "all"        // every entry point of the list
	StartRemembered = "remembered" // none of the list, but peers that answered in an earlier crawl
	StartOnly       = "only "      // before an entry point: that one alone
	StartWithout    = "without "   // before an entry point: all but that one
)

// Result is what a period's checks of one network in one scope say.
type Result struct {
	Runs      int       `json:"runs"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Vantages  []string  `json:"vantages"`
	Content   []Item    `json:"content"`
	Entries   []Entry   `json:"entry_points"`
	Starts    []Start   `json:"starts"` // with all, without any, each without one and with one alone
	Newcomers Newcomers `json:"newcomers"`
	Warnings  []string  `json:"warnings,omitempty"`
}

// Checks is how often something was asked, and how often the answer was yes.
type Checks struct {
	Times int               `json:"times"`
	Yes   int               `json:"yes"`
	Share analysis.Estimate `json:"share"`
}

// Latest is what the latest check of something came to.
type Latest struct {
	At       time.Time `json:"at"`
	Outcome  string    `json:"outcome"`
	Detail   string    `json:"detail,omitempty"`
	TookMS   float64   `json:"took_ms"`
	FirstMS  float64   `json:"first_ms,omitempty"` // until somebody was named
	RTTMS    float64   `json:"rtt_ms,omitempty"`
	Queries  int       `json:"queries"`
	Hops     int       `json:"hops"`
	Answered int       `json:"answered"`
	Closest  int       `json:"closest"`
	K        int       `json:"k"`
	Namers   int       `json:"namers"`
	Found    int       `json:"found"`
	Cut      bool      `json:"cut,omitempty"`
	Named    int       `json:"named"`

	Seeds    *analysis.Estimate `json:"seeds,omitempty"` // nil where no node gave a filter that can be used
	Leechers *analysis.Estimate `json:"leechers,omitempty"`
	Full     int                `json:"full_filters,omitempty"` // left out
}

// Item is one piece of content.
type Item struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Source string `json:"source,omitempty"`
	Checks
	Latest    Latest    `json:"latest"`
	Land      []Part    `json:"land"`      // hosting classes, largest first
	Operators []Part    `json:"operators"` // who runs them, as far as that is decided
	Holders   []Part    `json:"organisations"`
	Fastest   *Duration `json:"first_named,omitempty"` // until somebody was named, over all checks that found it
}

// Part is how many of those who have something are of one class.
type Part struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Duration is the spread of a time, in milliseconds.
type Duration struct {
	Median float64 `json:"median_ms"`
	Low    float64 `json:"lower_quartile_ms"`
	High   float64 `json:"upper_quartile_ms"`
	N      int     `json:"n"`
}

// Entry is one entry point that clients ship with.
type Entry struct {
	Address string   `json:"address"`
	Clients []string `json:"clients"`
	Source  string   `json:"source,omitempty"`
	Runner  Runner   `json:"runner"`
	Checks
	Latest  Latest `json:"latest"`
	Land    []Site `json:"land"` // one for each address that it stands for
	Alone   Checks `json:"alone"`
	Without Checks `json:"without"`
}

// Runner is who runs an entry point.
type Runner struct {
	Name     string `json:"name"`           // registry entry, else AS organisation, empty if neither is known
	Kind     string `json:"kind,omitempty"` // of the registry entry, such as company or project
	Evidence string `json:"evidence"`       // what says so
}

// Site is on whose land an address stands.
type Site struct {
	ASN          int    `json:"asn,omitempty"`
	Organisation string `json:"organisation,omitempty"`
	Country      string `json:"country,omitempty"`
	Hosting      string `json:"hosting"`
}

// Start is how often starts from the same entry points led into the network.
type Start struct {
	Label string `json:"label"`
	Checks
}

// Newcomers answers whether somebody who has never been in the network would
// still get in if entry points vanished.
type Newcomers struct {
	All        Checks   `json:"all"`        // starts with every entry point
	Listed     int      `json:"listed"`     // entry points that were checked
	Live       int      `json:"live"`       // that answered when last asked
	Sufficient []string `json:"sufficient"` // entry points that led in alone, each time but for chance: in most starts
	Runners    []Party  `json:"runners"`    // who runs those, most first
	Remembered Checks   `json:"remembered"` // starts of those who were here before
}

// Party is one who runs entry points that are enough to enter by.
type Party struct {
	Name    string   `json:"name"`
	Entries []string `json:"entry_points"`
}

// share is a number of tries, which tried names, with its doubt.
func share(yes, times int, unit, tried string) Checks {
	e := analysis.Estimate{Unit: unit, Level: 0.95, N: times, NUnit: tried, Method: "share of " + tried + "; Wilson score interval, as if one did not depend on another", Upper: 1}
	if times > 0 {
		e.Value = float64(yes) / float64(times)
		e.Lower, e.Upper = wilson(e.Value, float64(times))
	}
	return Checks{Times: times, Yes: yes, Share: e}
}

// wilson is the score interval of a share p of n independent observations
// (Wilson 1927).
func wilson(p, n float64) (lower, upper float64) {
	const z = 1.959963984540054 // of 95 %
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, min(p, centre-half)), min(1, max(p, centre+half))
}

// conclude answers for newcomers.
func (r *Result) conclude() {
	n := Newcomers{Listed: len(r.Entries)}
	for _, s := range r.Starts {
		switch s.Label {
		case StartAll:
			n.All = s.Checks
		case StartRemembered:
			n.Remembered = s.Checks
		}
	}
	for _, e := range r.Entries {
		if e.Latest.Outcome == answered {
			n.Live++
		}
		if 2*e.Alone.Yes <= e.Alone.Times {
			continue
		}
		n.Sufficient = append(n.Sufficient, e.Address)
		name := cmp.Or(e.Runner.Name, "somebody unknown")
		i := slices.IndexFunc(n.Runners, func(p Party) bool { return p.Name == name })
		if i < 0 {
			i = len(n.Runners)
			n.Runners = append(n.Runners, Party{Name: name})
		}
		n.Runners[i].Entries = append(n.Runners[i].Entries, e.Address)
	}
	slices.SortStableFunc(n.Runners, func(a, b Party) int { return cmp.Compare(len(b.Entries), len(a.Entries)) })
	r.Newcomers = n
}

// Smallest is the least number of people who share that is told apart: fewer
// are pooled, so that nobody can be picked out.
const Smallest = 5

// pool adds up what is smaller than a number of people may be.
func pool(parts []Part, people bool) []Part {
	slices.SortStableFunc(parts, func(a, b Part) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	if !people {
		return parts
	}
	few, pooled := 0, parts[:0:0]
	for _, p := range parts {
		if p.Count < Smallest {
			few += p.Count
			continue
		}
		pooled = append(pooled, p)
	}
	if few > 0 {
		pooled = append(pooled, Part{"fewer than 5 each", few})
	}
	return pooled
}
