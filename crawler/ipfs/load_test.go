package ipfs

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"canopy/crawler/observation"
)

// TestFewDescriptors crawls living, silent and refused peers with hardly any
// descriptors to spare: it takes longer and finds the same.
func TestFewDescriptors(t *testing.T) {
	plan := startHosts(t, 40, 0)
	cfg := impatient
	cfg.Bootstrap = plan.Bootstrap
	limitDescriptors(t, spare(t, reserve+12))
	w := newWalker(t, cfg)
	if got := cap(w.load.sockets); got > 12 {
		t.Fatalf("%d descriptors to spare", got)
	}
	seeds, err := w.Seeds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dead := 0
	for range 12 {
		gone := at(t, stranger(t), refusing(1), refusingQUIC(1), refusing(2), refusingQUIC(2))
		w.mention(gone)
		seeds = append(seeds, gone.ID)
		dead++
	}
	found := crawl(t, w, seeds...)
	if peers, edges, missed, _ := compare(t, plan, found); missed > 0 {
		t.Errorf("%d peers, %d edges, %d missed", peers, edges, missed)
	}
	if got := found.outcomes(); got[observation.Refused] != dead || len(got) != 2 {
		t.Errorf("outcomes %v", got)
	}
	if degraded, notes := w.Health(); degraded {
		t.Errorf("degraded: %v", notes)
	}
}

// TestBusyMachine crawls twice beside busy loops: both times every living peer
// and edge is found, unless the crawl says that it was degraded, and the same
// is said of everyone.
func TestBusyMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("takes both visits of silent peers, twice")
	}
	plan := startHosts(t, 60, 0.25)
	keepBusy(t, 8)
	var first map[string]observation.Outcome
	for range 2 {
		k := wholeCrawl(t, plan)
		if k.crawl.State != observation.Complete {
			t.Logf("%s: %q", k.crawl.State, k.crawl.Notes)
			continue
		}
		if peers, edges, missed, _ := compare(t, plan, k.results(t)); peers != 60 || missed > 0 {
			t.Errorf("%d peers, %d edges, %d missed in a crawl that is complete", peers, edges, missed)
		}
		if first == nil {
			first = k.outcomesByPeer()
		} else if n := differing(first, k.outcomesByPeer()); n > 0 {
			t.Errorf("%d outcomes differ", n)
		}
	}
}

// TestSilentPeersShareOneTimeout visits a silent peer twice: together that
// takes no more than one time-out allows.
func TestSilentPeersShareOneTimeout(t *testing.T) {
	cfg := impatient
	cfg.Bootstrap = []string{refusing(1) + "/p2p/" + stranger(t).String()}
	w := newWalker(t, cfg)
	p := stranger(t)
	w.book.learn([]byte(p), nil)
	s := newWalk(w, nil)
	var all time.Duration
	for range 2 {
		v := &visit{s: s, peer: p, again: w.book.visited(p)}
		if v.patience().answer <= 0 || v.patience().handshake < v.patience().answer {
			t.Errorf("patience %v", v.patience())
		}
		all += v.patience().answer
	}
	s.once = true
	if alone := (&visit{s: s, peer: p}).patience().answer; all > impatient.DialTimeout || alone != impatient.DialTimeout {
		t.Errorf("both visits wait %s, a visit alone %s, want %s", all, alone, impatient.DialTimeout)
	}
}

// spare is how many descriptors this process has open, and n more.
func spare(t *testing.T, n int) int {
	t.Helper()
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip("cannot count descriptors here")
	}
	return len(open) + n
}

// limitDescriptors lets this process have n descriptors.
func limitDescriptors(t testing.TB, n int) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = uint64(n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
}

// TestShortageIsWaitedOut takes all descriptors away under the walker's feet,
// and gives them back once it noticed.
func TestShortageIsWaitedOut(t *testing.T) {
	plan := startHosts(t, 2, 0)
	noticed := make(onWarning)
	w := newWalker(t, Config{Bootstrap: plan.Bootstrap, Transports: []Transport{TCP}, Logger: slog.New(noticed)})
	limitDescriptors(t, spare(t, 16))
	var hoard []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		hoard = append(hoard, f)
	}
	go func() {
		<-noticed
		for _, f := range hoard {
			_ = f.Close()
		}
	}()
	if got := crawl(t, w).outcomes(); got[observation.Answered] != 2 || len(got) != 1 {
		t.Errorf("outcomes %v", got)
	}
	if degraded, notes := w.Health(); degraded || len(notes) != 1 {
		t.Errorf("degraded %v, notes %q", degraded, notes)
	}
}

// onWarning is a log that passes on the first warning.
type onWarning chan struct{}

func (c onWarning) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (c onWarning) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c onWarning) WithGroup(string) slog.Handler                { return c }

func (c onWarning) Handle(context.Context, slog.Record) error {
	select {
	case c <- struct{}{}:
	default:
	}
	return nil
}

// TestLoadAdapts follows the limit on active visits through hard and easy
// times.
func TestLoadAdapts(t *testing.T) {
	l := newLoad(1000)
	var held []*place
	for range firstActive {
		held = append(held, l.acquire(t.Context()))
	}
	for range 100 {
		l.measured(time.Millisecond)
	}
	if l.limit != firstActive+1 {
		t.Errorf("limit %d: it must grow by need only", l.limit)
	}
	for range 100 {
		l.measured(500 * time.Millisecond)
	}
	if l.limit != leastActive || l.stretch(time.Second) != maxStretch*time.Second {
		t.Errorf("overloaded: limit %d, a second becomes %s", l.limit, l.stretch(time.Second))
	}
	slow, quick := keyOf(1), keyOf(2)
	l.ended(slow, observation.Timeout, netip.AddrPort{}, false)
	l.ended(quick, observation.Answered, netip.AddrPort{}, false)
	if degraded, notes := l.health(); !degraded || len(notes) != 1 {
		t.Errorf("degraded %v, %q", degraded, notes)
	}
	for range 3000 { // a minute of ease
		l.measured(0)
	}
	l.ended(slow, observation.Timeout, netip.AddrPort{}, false)
	if degraded, notes := l.health(); degraded || l.stretch(time.Second) != time.Second {
		t.Errorf("silent at ease as well: degraded %v, %q, a second becomes %s", degraded, notes, l.stretch(time.Second))
	}
	for _, p := range held {
		p.leave()
		p.leave() // twice is once
	}
	if l.active != 0 {
		t.Errorf("%d active", l.active)
	}
}

// TestLoadAdmitsInOrder waits for a place, and gives up when told to.
func TestLoadAdmitsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(1)
		first := l.acquire(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan bool)
		go func() { gaveUp <- l.acquire(ctx) == nil }()
		synctest.Wait()
		next := make(chan *place)
		go func() { next <- l.acquire(t.Context()) }()
		synctest.Wait()
		cancel()
		if !<-gaveUp {
			t.Error("admitted after the end")
		}
		first.leave()
		(<-next).leave()
		synctest.Wait()
		if l.active != 0 || len(l.waiting) != 0 {
			t.Errorf("%d active, %d waiting", l.active, len(l.waiting))
		}
	})
}

// TestPlaceFollowsProgress gives a place up while nothing happens, and takes it
// again when something does, before others that wait.
func TestPlaceFollowsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(1)
		active := func() int {
			synctest.Wait()
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.active
		}
		silent := l.acquire(t.Context())
		talker := l.acquire(t.Context()) // once the first was silent for a while
		if n := active(); n != 1 || silent.held || !talker.held {
			t.Errorf("%d active, silent %v, talker %v", n, silent.held, talker.held)
		}
		silent.progress(talkPatience)
		next := make(chan *place)
		go func() { next <- l.acquire(t.Context()) }()
		talker.leave()
		if n := active(); n != 1 || len(l.waiting) != 1 {
			t.Errorf("%d active, %d wait: there is only one place", n, len(l.waiting))
		}
		silent.leave()
		(<-next).leave()
		if n := active(); n != 0 {
			t.Errorf("%d active", n)
		}
		time.Sleep(time.Minute) // of the bubble: no timer gives a place up twice
		if n := active(); n != 0 {
			t.Errorf("%d active", n)
		}
	})
}

// TestSignsOfLifeMakeDoubt tells peers that were too slow for us while we were
// behind from those who never said a word.
func TestSignsOfLifeMakeDoubt(t *testing.T) {
	for _, c := range []struct {
		outcome observation.Outcome
		alive   bool
		lag     time.Duration
		doubt   bool
	}{
		{observation.Timeout, true, 2 * hardLag, true},
		{observation.Reset, true, 2 * hardLag, true},
		{observation.Timeout, true, hardLag / 2, false},
		{observation.Timeout, false, 2 * hardLag, false},
		{observation.Timeout, false, 20 * hardLag, true},
		{observation.Refused, false, 20 * hardLag, false},
		{observation.WrongProtocol, true, 20 * hardLag, false},
	} {
		l := newLoad(1)
		for range 100 {
			l.measured(c.lag)
		}
		l.ended(keyOf(1), c.outcome, netip.AddrPort{}, c.alive)
		if degraded, _ := l.health(); degraded != c.doubt {
			t.Errorf("%s, alive %v, %s late: degraded %v", c.outcome, c.alive, c.lag, degraded)
		}
	}
}
