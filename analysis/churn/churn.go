// Package churn says what a sequence of crawls shows of peers coming and
// going. All of it is interval-censored: between two crawls nothing is known,
// and what began before the first crawl or went on after the last has an open
// end. It fits no survival curve; it counts what was seen.
package churn

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Method says in one sentence what a session seen is.
const Method = "count; a session seen is a run of consecutive crawls in which the peer answered, " +
	"open where it touches the first or last crawl"

// What a crawl saw of a peer: the letters of [Presence].Pattern.
const (
	NotHeard = '0' // nobody named it: not seen, which does not prove that it had left
	Silent   = '1' // named by somebody, did not answer
	Answered = '2'
)

// Crawl is when a crawl began and ended.
type Crawl struct{ Start, End time.Time }

// Presence is how many peers showed one pattern over the crawls, and on whose
// land they stood.
type Presence struct {
	Pattern string // one letter for each crawl, in order of time
	Hosting string
	Peers   int
}

// Result is what the crawls of one network show of coming and going.
type Result struct {
	Crawls    int           `json:"crawls"`
	Peers     int           `json:"peers"`            // that answered at least once
	Shortest  time.Duration `json:"shortest_ns"`      // longest time between two visits of one peer: a session of this length can't be missed, a shorter one can
	Span      time.Duration `json:"span_ns"`          // from the first crawl to the last
	InAll     int           `json:"peers_in_all"`     // answered in every crawl
	InOne     int           `json:"peers_in_one"`     // answered in exactly one
	Sessions  int           `json:"sessions"`         // runs of crawls
	OpenStart int           `json:"open_at_start"`    // already up in the first crawl: censored
	OpenEnd   int           `json:"open_at_end"`      // still up in the last crawl: censored
	Closed    int           `json:"closed"`           // began and ended within the window
	Returns   int           `json:"peers_returned"`   // seen, not seen, and seen again
	SeenIn    []int         `json:"peers_by_crawls"`  // peers by the number of crawls they answered in; index 0 is one crawl
	Steps     []Step        `json:"between_crawls"`   // between each crawl and the next
	Hosting   []ByHosting   `json:"by_hosting_class"` // in the order given
	Method    string        `json:"method"`
	Warnings  []string      `json:"warnings,omitempty"`
}

// Step is what changed between two crawls.
type Step struct {
	From     time.Time `json:"from"`      // start of the earlier crawl
	To       time.Time `json:"to"`        // start of the later crawl
	Before   int       `json:"before"`    // answered in the earlier
	Arrived  int       `json:"arrived"`   // answered in the later, not in the earlier
	Silent   int       `json:"silent"`    // answered in the earlier, in the later still named but silent
	NotHeard int       `json:"not_heard"` // answered in the earlier, in the later named by nobody
}

// Gone is the number of peers that answered before and not after.
func (s Step) Gone() int { return s.Silent + s.NotHeard }

// ByHosting is the same for peers on one class of land.
type ByHosting struct {
	Hosting  string `json:"hosting"`
	Peers    int    `json:"peers"`
	InAll    int    `json:"peers_in_all"`
	InOne    int    `json:"peers_in_one"`
	Sessions int    `json:"sessions"`
	SeenIn   []int  `json:"peers_by_crawls"`
}

// Compute reads the patterns of peers over crawls in order of time. Peers that never answered do not count. It returns an
// error if there is no crawl or a pattern has another length.
func Compute(crawls []Crawl, presences []Presence) (Result, error) {
	if len(crawls) == 0 {
		return Result{}, errors.New("compute churn: no crawl")
	}
	r := Result{Crawls: len(crawls), SeenIn: make([]int, len(crawls)), Method: Method}
	r.Span = crawls[len(crawls)-1].Start.Sub(crawls[0].Start)
	for t, c := range crawls[1:] {
		// A peer may be visited at the very start of one crawl and at the very end of the next.
		r.Shortest = max(r.Shortest, c.Start.Sub(crawls[t].Start), c.End.Sub(crawls[t].Start))
		r.Steps = append(r.Steps, Step{From: crawls[t].Start, To: c.Start})
	}
	byHosting := map[string]int{}
	for _, p := range presences {
		if len(p.Pattern) != len(crawls) {
			return Result{}, fmt.Errorf("compute churn: a pattern of %d letters for %d crawls", len(p.Pattern), len(crawls))
		}
		at, known := byHosting[p.Hosting]
		if !known {
			at = len(r.Hosting)
			byHosting[p.Hosting] = at
			r.Hosting = append(r.Hosting, ByHosting{Hosting: p.Hosting, SeenIn: make([]int, len(crawls))})
		}
		r.add(p, &r.Hosting[at])
	}
	r.Hosting = slices.DeleteFunc(r.Hosting, func(h ByHosting) bool { return h.Peers == 0 })
	if r.Peers == 0 {
		return Result{}, errors.New("compute churn: no peer answered")
	}
	if len(crawls) == 1 {
		r.Warnings = append(r.Warnings, "one crawl only: nothing can be said of coming and going")
	}
	return r, nil
}

// add counts the peers of one pattern.
func (r *Result) add(p Presence, h *ByHosting) {
	last := len(p.Pattern) - 1
	seen, sessions := 0, 0
	for t := range p.Pattern {
		if p.Pattern[t] != Answered {
			continue
		}
		seen++
		if first := t == 0 || p.Pattern[t-1] != Answered; first {
			sessions++
			r.addSession(p, t)
		}
	}
	if seen == 0 {
		return
	}
	for t := range last {
		r.Steps[t].add(p.Pattern[t], p.Pattern[t+1], p.Peers)
	}
	r.Peers += p.Peers
	r.Sessions += sessions * p.Peers
	r.SeenIn[seen-1] += p.Peers
	h.Peers += p.Peers
	h.Sessions += sessions * p.Peers
	h.SeenIn[seen-1] += p.Peers
	if sessions > 1 {
		r.Returns += p.Peers
	}
	if seen == len(p.Pattern) {
		r.InAll += p.Peers
		h.InAll += p.Peers
	}
	if seen == 1 {
		r.InOne += p.Peers
		h.InOne += p.Peers
	}
}

// addSession notes which ends of the session that begins at crawl t are known.
func (r *Result) addSession(p Presence, t int) {
	end := t
	for end+1 < len(p.Pattern) && p.Pattern[end+1] == Answered {
		end++
	}
	openStart, openEnd := t == 0, end == len(p.Pattern)-1
	if openStart {
		r.OpenStart += p.Peers
	}
	if openEnd {
		r.OpenEnd += p.Peers
	}
	if !openStart && !openEnd {
		r.Closed += p.Peers
	}
}

func (s *Step) add(before, after byte, peers int) {
	switch {
	case before != Answered && after == Answered:
		s.Arrived += peers
	case before == Answered:
		s.Before += peers
		switch after {
		case Silent:
			s.Silent += peers
		case NotHeard:
			s.NotHeard += peers
		}
	}
}
