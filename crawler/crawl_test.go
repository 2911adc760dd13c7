package crawler

//lint:file-ignore fixedpath the paths in these texts are to be found and removed: nothing opens them

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"canopy/crawler/observation"
)

// fakeWalker walks a made-up graph in virtual time: every visit takes a
// second. Faults are what a real network can't be told to do on cue.
type fakeWalker struct {
	graph    map[int][]int
	outcome  func(peer, attempt int) observation.Outcome
	seedErr  error
	walkErr  error // returned after the first batch
	degraded bool

	mu       sync.Mutex
	attempts map[int]int
}

func (w *fakeWalker) Network() observation.Network {
	return observation.Network{Name: "fake", Title: "Fake network", K: 20}
}

func (w *fakeWalker) Seeds(context.Context) ([]int, error) { return []int{0}, w.seedErr }

func (w *fakeWalker) Health() (bool, []string) {
	if w.degraded {
		return true, []string{"The socket dropped packets."}
	}
	return false, nil
}

func (w *fakeWalker) Walk(ctx context.Context, targets <-chan []int, results chan<- []observation.Result[int]) error {
	var visits sync.WaitGroup
	defer visits.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case batch, ok := <-targets:
			if !ok {
				return nil
			}
			for _, peer := range batch {
				visits.Go(func() { w.visit(ctx, peer, results) })
			}
			if w.walkErr != nil {
				return w.walkErr
			}
		}
	}
}

func (w *fakeWalker) visit(ctx context.Context, peer int, results chan<- []observation.Result[int]) {
	began := time.Now()
	select {
	case <-ctx.Done():
		return
	case <-time.After(time.Second):
	}
	w.mu.Lock()
	if w.attempts == nil {
		w.attempts = map[int]int{}
	}
	w.attempts[peer]++
	outcome := observation.Answered
	if w.outcome != nil {
		outcome = w.outcome(peer, w.attempts[peer])
	}
	w.mu.Unlock()
	r := observation.Result[int]{Peer: peer, Visit: observation.Visit{
		PeerID: fmt.Sprint(peer), VisitedAt: began, Outcome: outcome, Queries: 3, Address: netip.MustParseAddrPort("127.0.0.1:1"),
	}}
	if outcome == observation.Answered {
		r.Neighbours = w.graph[peer]
	}
	results <- []observation.Result[int]{r}
}

// memorySink keeps what it is given; failAfter visits it fails.
type memorySink struct {
	begun, ended observation.Crawl
	visits       []observation.Visit
	edges        []observation.Edge
	failAfter    int
}

func (s *memorySink) BeginCrawl(_ context.Context, c observation.Crawl) error {
	s.begun = c
	return nil
}
func (s *memorySink) EndCrawl(ctx context.Context, c observation.Crawl) error {
	s.ended = c
	return ctx.Err()
}

func (s *memorySink) Visits(ctx context.Context, v []observation.Visit) error {
	if s.failAfter > 0 && len(s.visits) >= s.failAfter {
		return errors.New("disk full")
	}
	s.visits = append(s.visits, v...)
	return ctx.Err()
}

func (s *memorySink) Edges(ctx context.Context, e []observation.Edge) error {
	s.edges = append(s.edges, e...)
	return ctx.Err()
}

func (s *memorySink) outcomes() map[string]observation.Outcome {
	m := map[string]observation.Outcome{}
	for _, v := range s.visits {
		m[v.PeerID] = v.Outcome
	}
	return m
}

// ring is a graph of n peers in which each names the next three.
func ring(n int) map[int][]int {
	g := map[int][]int{}
	for i := range n {
		g[i] = []int{(i + 1) % n, (i + 2) % n, (i + 3) % n}
	}
	return g
}

func TestRunVisitsEveryPeerOnceAndKeepsEveryEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		sink := &memorySink{}
		crawl, err := Run(t.Context(), &fakeWalker{graph: ring(n)}, sink, Options{Edges: true, Vantage: "here"})
		if err != nil {
			t.Fatal(err)
		}
		if len(sink.visits) != n || len(sink.outcomes()) != n {
			t.Errorf("%d visits of %d peers, want %d of each", len(sink.visits), len(sink.outcomes()), n)
		}
		if crawl.State != observation.Complete || crawl.Reachable != n || crawl.Discovered != n || crawl.Queries != 3*n {
			t.Errorf("crawl %+v", crawl)
		}
		if sink.begun.State != observation.Running || sink.ended.State != observation.Complete {
			t.Errorf("recorded as %s, then %s", sink.begun.State, sink.ended.State)
		}
		byNumber := map[uint32]string{}
		for _, v := range sink.visits {
			byNumber[v.Number] = v.PeerID
		}
		for _, e := range sink.edges {
			for _, neighbour := range e.Neighbours {
				var from, to int
				fmt.Sscan(byNumber[e.Peer], &from)
				fmt.Sscan(byNumber[neighbour], &to)
				if d := (to - from + n) % n; d < 1 || d > 3 {
					t.Fatalf("edge %d -> %d was never planned", from, to)
				}
			}
		}
		if len(sink.edges) != n {
			t.Errorf("%d tables, want %d", len(sink.edges), n)
		}
	})
}

func TestSilentPeersAreAskedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWalker{graph: ring(100), outcome: func(peer, attempt int) observation.Outcome {
			switch {
			case peer == 0:
				return observation.Answered
			case peer%10 == 1: // lost packets the first time
				if attempt == 1 {
					return observation.Timeout
				}
			case peer%10 == 2:
				return observation.Timeout
			case peer%10 == 3:
				return observation.Refused
			}
			return observation.Answered
		}}
		sink := &memorySink{}
		crawl, err := Run(t.Context(), w, sink, Options{})
		if err != nil || crawl.State != observation.Complete {
			t.Fatal(crawl.State, err)
		}
		for peer, want := range map[int]struct {
			outcome  observation.Outcome
			attempts int
		}{11: {observation.Answered, 2}, 12: {observation.Timeout, 2}, 13: {observation.Refused, 1}, 14: {observation.Answered, 1}} {
			if got := sink.outcomes()[fmt.Sprint(peer)]; got != want.outcome || w.attempts[peer] != want.attempts {
				t.Errorf("peer %d: %s after %d attempts, want %+v", peer, got, w.attempts[peer], want)
			}
		}
		if len(sink.visits) != 100 {
			t.Errorf("%d visits for 100 peers", len(sink.visits))
		}
	})
}

// learningWalker hears of another address of every third peer.
type learningWalker struct{ fakeWalker }

func (w *learningWalker) Learnt(peer int) bool { return peer%3 == 0 }

func TestPeersWithNewAddressesAreAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &learningWalker{fakeWalker{graph: ring(60), outcome: func(peer, attempt int) observation.Outcome {
			if peer >= 10 && peer < 20 && attempt == 1 {
				return observation.Refused
			}
			return observation.Answered
		}}}
		sink := &memorySink{}
		crawl, err := Run(t.Context(), w, sink, Options{})
		if err != nil || crawl.State != observation.Complete || len(sink.visits) != 60 {
			t.Fatal(crawl.State, len(sink.visits), err)
		}
		for peer := 10; peer < 20; peer++ {
			want := observation.Refused
			if peer%3 == 0 {
				want = observation.Answered
			}
			if got := sink.outcomes()[fmt.Sprint(peer)]; got != want {
				t.Errorf("peer %d: %s, want %s", peer, got, want)
			}
		}
	})
}

func TestDeadlineAndCancelCutShortAndKeepWhatWasSeen(t *testing.T) {
	for _, how := range []string{"deadline", "cancel"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				opts := Options{Deadline: 10500 * time.Millisecond}
				if how == "cancel" {
					opts.Deadline = 0
					time.AfterFunc(10500*time.Millisecond, cancel)
				}
				w := &fakeWalker{graph: ring(1000), outcome: func(peer, _ int) observation.Outcome {
					if peer == 2 {
						return observation.Timeout
					}
					return observation.Answered
				}}
				sink := &memorySink{}
				crawl, err := Run(ctx, w, sink, opts)
				if err != nil {
					t.Fatal("a crawl that was cut short is no error:", err)
				}
				if crawl.State != observation.CutShort || sink.ended.State != observation.CutShort {
					t.Errorf("state %s, recorded %s", crawl.State, sink.ended.State)
				}
				got := slices.Sorted(maps.Keys(sink.outcomes()))
				if len(got) < 10 || len(got) > 40 || uint64(len(got)) >= crawl.Discovered {
					t.Errorf("%d visits kept of %d discovered", len(got), crawl.Discovered)
				}
				if sink.outcomes()["2"] != observation.Timeout {
					t.Error("the first outcome of a peer waiting for its second visit was lost")
				}
				if !strings.Contains(strings.Join(crawl.Notes, " "), "Cut short") {
					t.Error("no note says that the crawl was cut short:", crawl.Notes)
				}
			})
		})
	}
}

func TestNoEntryPointIsAnErrorAndNoCrawl(t *testing.T) {
	sink := &memorySink{}
	_, err := Run(t.Context(), &fakeWalker{seedErr: errors.New("127.0.0.1:1: refused")}, sink, Options{})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1: refused") {
		t.Error("error does not name the entry point:", err)
	}
	if sink.begun.Network != "" {
		t.Error("a crawl that never began was recorded")
	}
}

func TestWhatCannotBeKeptIsNotMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &memorySink{failAfter: 1}
		crawl, err := Run(t.Context(), &fakeWalker{graph: ring(100_000)}, sink, Options{})
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Error("sink's error was lost:", err)
		}
		if crawl.State != observation.CutShort || crawl.Discovered == 100_000 {
			t.Errorf("state %s after %d peers", crawl.State, crawl.Discovered)
		}
	})
}

// brokenSink takes no visits.
type brokenSink struct{ memorySink }

func (*brokenSink) Visits(context.Context, []observation.Visit) error {
	return errors.New("write visits to /home/alice/visits.ndjson: disk full")
}

// TestErrorsStandInTheLogAndNotInNotes: notes are published, and errors name
// files and hosts of the observer.
func TestErrorsStandInTheLogAndNotInNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		sink, broken := &brokenSink{}, &memorySink{}
		_, err := Run(t.Context(), &fakeWalker{graph: ring(9)}, sink, Options{Logger: logger})
		if notes := strings.Join(sink.ended.Notes, " "); err == nil || !strings.Contains(notes, "What was seen last could not be stored.") || strings.Contains(notes, "alice") {
			t.Errorf("%v, notes %q", err, notes)
		}
		_, err = Run(t.Context(), &fakeWalker{graph: ring(9), walkErr: errors.New("listen udp 192.168.7.7:6881: socket gone")}, broken, Options{Logger: logger})
		if notes := strings.Join(broken.ended.Notes, " "); err == nil || !strings.Contains(notes, "Cut short (trouble of our own") || strings.Contains(notes, "192.168") {
			t.Errorf("%v, notes %q", err, notes)
		}
		if !strings.Contains(log.String(), "/home/alice/visits.ndjson: disk full") || !strings.Contains(log.String(), "192.168.7.7:6881: socket gone") {
			t.Errorf("the log lacks an error:\n%s", log.String())
		}
	})
}

func TestBrokenWalkerIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crawl, err := Run(t.Context(), &fakeWalker{graph: ring(9), walkErr: errors.New("socket gone")}, &memorySink{}, Options{})
		if err == nil || !strings.Contains(err.Error(), "socket gone") || crawl.State != observation.CutShort {
			t.Error(crawl.State, err)
		}
	})
}

func TestSecondPassGivesAMomentsTroubleTimeToPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := &fakeWalker{graph: ring(5), outcome: func(peer, attempt int) observation.Outcome {
			if time.Since(began) < 1500*time.Millisecond {
				return observation.Busy // every visit takes a second
			}
			return observation.Answered
		}}
		crawl, err := Run(t.Context(), w, &memorySink{}, Options{})
		if err != nil || crawl.State != observation.Complete || crawl.Reachable != 5 {
			t.Errorf("%s, %d of 5 reached: %v", crawl.State, crawl.Reachable, err)
		}
	})
}

func TestACrawlThatReachesNobodyIsDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWalker{graph: ring(5), outcome: func(int, int) observation.Outcome { return observation.Timeout }}
		crawl, err := Run(t.Context(), w, &memorySink{}, Options{})
		if err != nil || crawl.State != observation.Degraded || len(crawl.Notes) == 0 {
			t.Errorf("%s %v %v", crawl.State, crawl.Notes, err)
		}
	})
}

func TestFullFrontierAndBadHealthDegrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, run := range map[string]struct {
			w    *fakeWalker
			opts Options
			note string
		}{
			"full":   {&fakeWalker{graph: ring(100)}, Options{MaxPeers: 10}, "frontier was full at 10"},
			"health": {&fakeWalker{graph: ring(100), degraded: true}, Options{}, "dropped packets"},
		} {
			crawl, err := Run(t.Context(), run.w, &memorySink{}, run.opts)
			if err != nil || crawl.State != observation.Degraded || !strings.Contains(strings.Join(crawl.Notes, " "), run.note) {
				t.Errorf("%s: %s %v %v", name, crawl.State, crawl.Notes, err)
			}
		}
	})
}

func TestProgressCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last Progress
		calls := 0
		_, err := Run(t.Context(), &fakeWalker{graph: ring(50)}, &memorySink{}, Options{Progress: func(p Progress) { last = p; calls++ }})
		if err != nil {
			t.Fatal(err)
		}
		if calls < 10 || last.Visited != 50 || last.Answered != 50 || last.Queued != 0 || last.InFlight != 0 {
			t.Errorf("after %d calls: %+v", calls, last)
		}
	})
}
