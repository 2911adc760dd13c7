package churn

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// starts are crawls of five minutes each.
func starts(minutes ...int) []Crawl {
	var crawls []Crawl
	for _, m := range minutes {
		at := start.Add(time.Duration(m) * time.Minute)
		crawls = append(crawls, Crawl{at, at.Add(5 * time.Minute)})
	}
	return crawls
}

func TestSessionsByHand(t *testing.T) {
	r, err := Compute(starts(0, 30, 90, 120), []Presence{
		{"2222", "hosting", 5},     // open at both ends
		{"0220", "residential", 3}, // closed
		{"2102", "residential", 2}, // returned: one session open at the start, one at the end
		{"0010", "anonymiser", 9},  // never answered
		{"0200", "mobile", 1},      // closed, seen once
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Result{
		Crawls: 4, Peers: 11, Shortest: 65 * time.Minute, Span: 2 * time.Hour, InAll: 5, InOne: 1, Sessions: 13,
		OpenStart: 7, OpenEnd: 7, Closed: 4, Returns: 2, SeenIn: []int{1, 5, 0, 5}, Method: Method,
		Steps: []Step{
			{From: start, To: start.Add(30 * time.Minute), Before: 7, Arrived: 4, Silent: 2},
			{From: start.Add(30 * time.Minute), To: start.Add(90 * time.Minute), Before: 9, NotHeard: 1},
			{From: start.Add(90 * time.Minute), To: start.Add(120 * time.Minute), Before: 8, Arrived: 2, NotHeard: 3},
		},
		Hosting: []ByHosting{
			{"hosting", 5, 5, 0, 5, []int{0, 0, 0, 5}},
			{"residential", 5, 0, 0, 7, []int{0, 5, 0, 0}},
			{"mobile", 1, 0, 1, 1, []int{1, 0, 0, 0}},
		},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
	if r.Steps[0].Gone() != 2 {
		t.Errorf("gone = %d", r.Steps[0].Gone())
	}
}

func TestOneCrawlSaysSo(t *testing.T) {
	r, err := Compute(starts(0), []Presence{{"2", "hosting", 4}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Warnings) != 1 || r.InAll != 4 || r.InOne != 4 || r.Shortest != 0 {
		t.Errorf("one crawl: %+v", r)
	}
}

func TestWhatCannotBeCounted(t *testing.T) {
	for name, c := range map[string]struct {
		starts    []Crawl
		presences []Presence
		want      string
	}{
		"no crawl":       {nil, nil, "no crawl"},
		"nobody":         {starts(0), []Presence{{"1", "hosting", 3}}, "no peer answered"},
		"another length": {starts(0, 1), []Presence{{"2", "hosting", 3}}, "a pattern of 1 letters for 2 crawls"},
	} {
		if _, err := Compute(c.starts, c.presences); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPatternOverManyCrawls(t *testing.T) {
	got := pattern([]uint64{1, 1 << 1}, []uint64{3, 1<<1 | 1}, 66)
	want := "21" + strings.Repeat("0", 62) + "12"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
