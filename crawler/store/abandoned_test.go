package store

import (
	"context"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"canopy/crawler/observation"
)

func TestCloseAbandoned(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			url := b.url(t, emptyDatabase())
			t.Run("counts", func(t *testing.T) { testCloseAbandoned(t, url) })
			t.Run("who is dead", func(t *testing.T) { testWhoIsDead(t, url, b.name == "embedded") })
		})
	}
}

// leftRunning writes a crawl and its last sign of life, as a program that was killed leaves them.
func leftRunning(t *testing.T, s *Store, c observation.Crawl, last heartbeat) {
	t.Helper()
	c.State = observation.Running
	if last != (heartbeat{}) {
		last.network, last.crawl = c.Network, c.ID
		if err := s.writeBeat(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.writeCrawl(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// ended is a process of this machine that has ended.
func ended(t *testing.T) osProcess {
	t.Helper()
	p := here(t)
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	p.pid, p.begun = cmd.Process.Pid, p.begun+1
	return p
}

func here(t *testing.T) osProcess {
	t.Helper()
	p, err := thisProcess()
	if err != nil {
		t.Fatal(err)
	}
	if p.place == "" {
		t.Skip("processes can't be told apart here: there is no /proc")
	}
	return p
}

// alive is another process of this machine that lives.
func alive(t *testing.T) osProcess {
	t.Helper()
	p := here(t)
	p.pid = os.Getppid()
	var err error
	if _, p.begun, err = processState(p.pid); err != nil {
		t.Fatal(err)
	}
	return p
}

func testCloseAbandoned(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	gone := heartbeat{osProcess: ended(t)}
	whole, elsewhere, killed, empty := newCrawl("mainline"), newCrawl("mainline"), newCrawl("ipfs"), newCrawl("mainline")
	elsewhere.Vantage, elsewhere.Zone = "elsewhere", "12/abc0"
	empty.StartedAt = empty.StartedAt.Add(time.Minute)
	elsewhere.StartedAt = elsewhere.StartedAt.Add(2 * time.Minute)
	underWay := newCrawl("mainline")
	store(t, s, whole, numbered(whole, 0, 3), nil)
	for _, c := range []observation.Crawl{elsewhere, killed, empty} {
		leftRunning(t, s, c, gone)
	}
	if err := s.BeginCrawl(ctx, underWay); err != nil {
		t.Fatal(err)
	}
	visits := numbered(killed, 0, 10)
	for i := range visits {
		visits[i].Outcome, visits[i].Queries, visits[i].VisitedAt = observation.Timeout, 2, killed.StartedAt.Add(time.Duration(i)*time.Second)
	}
	visits[3].Outcome = observation.Answered
	if err := s.Visits(ctx, visits); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	closed, err := s.CloseAbandoned(ctx)
	if err != nil || len(closed) != 3 || closed[0].ID != killed.ID || closed[1].ID != empty.ID || closed[2].ID != elsewhere.ID {
		t.Fatalf("closed %v, %v", closed, err)
	}
	if c := closed[0]; c.Discovered != 10 || c.Reachable != 1 || c.Queries != 20 || killed.StartedAt.Add(9*time.Second).Sub(c.EndedAt).Abs() >= visitTick ||
		!strings.HasPrefix(c.Notes[len(c.Notes)-1], LeftRunning+" when its program ended") {
		t.Errorf("closed %+v", c)
	}
	wantRows(t, s, "SELECT state, zone, count(), countIf(ended_at IS NULL) FROM crawls GROUP BY state, zone ORDER BY state, zone",
		"complete  1 0", "cut_short  2 0", "cut_short 12/abc0 1 0", "running  1 1")
	if again, err := s.CloseAbandoned(ctx); err != nil || len(again) != 0 {
		t.Errorf("closed again: %v, %v", again, err)
	}
	if err := s.EndCrawl(ctx, underWay); err != nil {
		t.Error(err)
	}
}

// testWhoIsDead judges crawls by their last sign of life.
func testWhoIsDead(t *testing.T, url string, embedded bool) {
	s := migrated(t, url, Options{})
	us := here(t)
	begins := alive(t)
	begins.begun++ // the number went to another process since
	elsewhere := us
	elsewhere.place, elsewhere.pid = us.place+" of another container", math.MaxInt32
	twin := elsewhere
	twin.pid = us.pid // as every container has a process 1
	unknown := osProcess{host: us.host, pid: math.MaxInt32}
	const aDay = silentFor
	for name, test := range map[string]struct {
		last heartbeat
		age  time.Duration // of the crawl
		dead string
	}{
		"of a living process":             {heartbeat{osProcess: alive(t)}, 0, ""},
		"of a process that ended":         {heartbeat{osProcess: ended(t)}, 0, diedWithProcess},
		"of a number that went on":        {heartbeat{osProcess: begins}, 0, diedWithProcess},
		"that we have let go of":          {heartbeat{osProcess: us}, 0, diedWithProcess},
		"of another container":            {heartbeat{osProcess: elsewhere, silence: aDay - time.Hour}, 0, ""},
		"of another container, our PID":   {heartbeat{osProcess: twin}, 0, ""},
		"of another container, silent":    {heartbeat{osProcess: elsewhere, silence: aDay + time.Hour}, 0, diedInSilence},
		"of a place unknown":              {heartbeat{osProcess: unknown, silence: aDay - time.Hour}, 0, ""},
		"of a living process, silent":     {heartbeat{osProcess: alive(t), silence: aDay + time.Hour}, 0, ""},
		"an import of an old crawl":       {heartbeat{osProcess: elsewhere}, 1000 * time.Hour, ""},
		"of a place unknown, silent":      {heartbeat{osProcess: unknown, silence: aDay + time.Hour}, 0, diedInSilence},
		"of an earlier Canopy":            {heartbeat{}, aDay - time.Hour, ""},
		"of an earlier Canopy, silent":    {heartbeat{}, aDay + time.Hour, diedInSilence},
		"of who had the folder open":      {heartbeat{osProcess: elsewhere, embedded: true}, 0, map[bool]string{true: diedWithProcess}[embedded]},
		"of an observer of other vantage": {heartbeat{osProcess: elsewhere, observer: uuid.New()}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrawl("mainline")
			c.StartedAt = time.Now().Add(-test.age)
			leftRunning(t, s, c, test.last)
			list, err := s.Unfinished(t.Context())
			if err != nil || len(list) != 1 || list[0].Crawl.ID != c.ID || list[0].Why != test.dead || list[0].PID != test.last.pid {
				t.Fatalf("unfinished: %+v, %v; want dead: %q", list, err, test.dead)
			}
			closed, err := s.CloseAbandoned(t.Context())
			if err != nil || len(closed) != map[bool]int{true: 1}[test.dead != ""] {
				t.Errorf("closed %v, %v", closed, err)
			}
			if err := s.EndCrawl(t.Context(), c); err != nil { // for the next
				t.Fatal(err)
			}
		})
	}
}

// TestObserverTakesOver closes what the observer left that had the vantage, and
// nothing that others crawl from it.
func TestObserverTakesOver(t *testing.T) {
	for _, b := range backends()[1:] {
		t.Run(b.name, func(t *testing.T) {
			s := migrated(t, b.url(t, emptyDatabase()), Options{})
			far := here(t)
			far.place += " of another container"
			observed, byHand, elsewhere := newCrawl("mainline"), newCrawl("mainline"), newCrawl("mainline")
			elsewhere.Vantage = "elsewhere"
			leftRunning(t, s, observed, heartbeat{osProcess: far, observer: uuid.New()})
			leftRunning(t, s, byHand, heartbeat{osProcess: far})
			leftRunning(t, s, elsewhere, heartbeat{osProcess: far, observer: uuid.New()})
			if closed, err := s.CloseAbandoned(t.Context()); err != nil || len(closed) != 0 {
				t.Fatalf("before the vantage was claimed: closed %v, %v", closed, err)
			}
			if _, err := s.Claim(t.Context(), observed.Vantage); err != nil {
				t.Fatal(err)
			}
			if closed, err := s.CloseAbandoned(t.Context()); err != nil || len(closed) != 1 || closed[0].ID != observed.ID {
				t.Errorf("closed %v, %v", closed, err)
			}
		})
	}
}

// TestTakenForDead: a crawl that was away for long and goes on is running
// again, and its own end is the last word.
func TestTakenForDead(t *testing.T) {
	ctx := context.Background()
	url := servedURL(t, emptyDatabase())
	s, other := migrated(t, url, Options{}), migrated(t, url, Options{})
	c := newCrawl("mainline")
	if err := s.BeginCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	for range 2 { // any time
		short := c
		short.State, short.EndedAt = observation.CutShort, time.Now()
		if err := other.writeCrawl(ctx, short); err != nil {
			t.Fatal(err)
		}
		wantRows(t, s, "SELECT state FROM crawls", "cut_short")
		s.beatAll(ctx)
		wantRows(t, s, "SELECT state, ended_at IS NULL FROM crawls", "running 1")
	}
	c.State, c.EndedAt = observation.Complete, time.Now()
	if err := s.EndCrawl(ctx, c); err != nil {
		t.Fatal(err)
	}
	s.beatAll(ctx)
	if err := s.contradict(ctx, c); err != nil { // as if a beat had begun before the end
		t.Fatal(err)
	}
	wantRows(t, s, "SELECT state, ended_at IS NULL FROM crawls", "complete 0")
}
