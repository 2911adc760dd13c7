package survival

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// A plan is a watch of peers whose sessions follow a Weibull distribution.
type plan struct {
	peers        int
	every, watch time.Duration
	scale, shape float64 // of a session, in seconds
	away         float64 // mean time between sessions, in seconds
}

// quantile is the true length that a share of the sessions of at least a length
// do not exceed.
func (p plan) quantile(share float64, shortest time.Duration) float64 {
	h := math.Pow(shortest.Seconds()/p.scale, p.shape) - math.Log(1-share)
	return p.scale * math.Pow(h, 1/p.shape)
}

// spells probes each peer from a moment of its own on.
func (p plan) spells(seed uint64) (spells []Spell) {
	rng := rand.New(rand.NewPCG(seed, 9))
	every, watch := p.every.Seconds(), p.watch.Seconds()
	for peer := range p.peers {
		t := -watch * (1 + rng.Float64()) // long before the watch, so that it begins amid sessions
		first := rng.Float64() * every
		for t < watch {
			t += p.away * rng.ExpFloat64()
			begin := t
			t += p.scale * math.Pow(rng.ExpFloat64(), 1/p.shape)
			if s, ok := probed(begin, t, first, every, watch); ok {
				s.Peer = uint64(peer)
				spells = append(spells, s)
			}
		}
	}
	return spells
}

// probed is what probes see of a session from begin to end.
func probed(begin, end, first, every, watch float64) (Spell, bool) {
	up := max(0, math.Ceil((begin-first)/every))
	last := min(math.Floor((watch-first)/every), math.Ceil((end-first)/every)-1)
	if last < up {
		return Spell{}, false
	}
	seconds := func(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
	s := Spell{Began: seconds(first + up*every), Before: seconds(every), Seen: seconds((last - up) * every), After: seconds(every)}
	if up == 0 {
		s.Before = Open
	}
	if first+(last+1)*every > watch {
		s.After = Open
	}
	return s, true
}

var demo = plan{peers: 400, every: 5 * time.Minute, watch: 48 * time.Hour, scale: 3600, shape: 0.5, away: 7200}

func TestCurvesMeetThePlan(t *testing.T) {
	r, err := Compute(demo.spells(1), Options{Watch: demo.watch, Seed: 1})
	if err != nil || r.Absent != "" {
		t.Fatal(err, r.Absent)
	}
	if r.Shortest != demo.every || r.AlreadyUp == 0 || r.StillUp == 0 || r.Used >= r.Sessions {
		t.Errorf("%+v", r)
	}
	for _, c := range []*Curve{r.Kaplan, r.Turnbull, r.Created} {
		for i, share := range c.Share {
			if share < 0 || share > 1 || c.Lower[i] > share || c.Upper[i] < share || i > 0 && share > c.Share[i-1]+1e-12 {
				t.Errorf("%.20s at %.0f s: %v (%v to %v)", c.Method, c.Times[i], share, c.Lower[i], c.Upper[i])
			}
		}
		for _, q := range c.Quartiles {
			want := demo.quantile(q.Share, r.From)
			if e := q.Seconds; math.Abs(e.Value/want-1) > 0.2 || e.Lower > e.Value || e.Upper < e.Value {
				t.Errorf("%.20s: quartile %v: %.0f (%.0f to %.0f), want %.0f", c.Method, q.Share, e.Value, e.Lower, e.Upper, want)
			}
		}
	}
}

// By hand: lengths 2, 4 and 6, one of at least 3, and one of 7 that was first seen at 5.
func TestKaplanMeierByHand(t *testing.T) {
	lives := []life{{exit: 2, ended: true}, {exit: 4, ended: true}, {exit: 6, ended: true}, {exit: 3}, {entry: 5, exit: 7, ended: true}}
	weights := make([]float64, groups)
	weights[0] = 1
	got := kaplanMeier(lives, time.Second)(weights)
	want := []step{{1, 1}, {2, 0.75}, {4, 0.375}, {6, 0.1875}, {7, 0}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// Exact lengths: the self-consistent estimate is the share that lasts longer, but for the width of bins.
func TestTurnbullOfExactLengthsIsTheirShare(t *testing.T) {
	var spells []Spell
	for i := range 1000 {
		spells = append(spells, Spell{Before: time.Second, Seen: time.Duration(9+i) * time.Second, After: time.Second})
	}
	weights := make([]float64, groups)
	weights[0] = 1
	c := turnbull(spells, 10*time.Second)(weights)
	for _, at := range []float64{100, 300, 600} {
		if got, want := read(c, at, true), 1-(at-10)/1000; math.Abs(got-want) > 0.04 {
			t.Errorf("longer than %v: %v, want %v", at, got, want)
		}
	}
}

// Few sessions, some of which end early and the others late: what is smoothed
// still holds those that ended early.
func TestTurnbullKeepsWhatFewSessionsShow(t *testing.T) {
	var spells []Spell
	for i := range 60 {
		s := Spell{Before: 10 * time.Second, Seen: time.Duration(800+5*i) * time.Second, After: 10 * time.Second}
		if i%10 == 0 {
			s.Seen = 210 * time.Second
		}
		spells = append(spells, s)
	}
	weights := make([]float64, groups)
	weights[0] = 1
	c := turnbull(spells, 100*time.Second)(weights)
	if got := read(c, 500, true); math.Abs(got-0.9) > 0.02 {
		t.Errorf("longer than 500 s: %v, want 0.9", got)
	}
}

func TestWhatHasNoCurve(t *testing.T) {
	for name, spells := range map[string][]Spell{
		"nothing": nil, "all up at all times": {{Before: Open, After: Open, Seen: time.Hour}}, "too few": demo.spells(1)[:10],
		"none ends": func() (open []Spell) {
			for range 50 {
				open = append(open, Spell{Before: time.Minute, After: Open})
			}
			return open
		}(),
	} {
		if r, err := Compute(spells, Options{Watch: time.Hour}); err != nil || r.Absent == "" || r.Kaplan != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	for name, s := range map[string]Spell{"negative": {Seen: -2}, "before the watch": {Began: -1}} {
		if _, err := Compute([]Spell{s}, Options{Watch: time.Hour}); err == nil || !strings.Contains(err.Error(), "a session of") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Compute(demo.spells(1), Options{}); err == nil || !strings.Contains(err.Error(), "the watch has no length") {
		t.Errorf("a watch without length: %v", err)
	}
}

// Long sessions that never end in sight: the median is a lower bound and says so.
func TestMedianBeyondTheWatch(t *testing.T) {
	p := demo
	p.scale, p.shape, p.watch = 40*3600, 1, 24*time.Hour
	r, err := Compute(p.spells(2), Options{Watch: p.watch})
	if err != nil || r.Kaplan == nil {
		t.Fatal(err, r)
	}
	q := r.Kaplan.Quartiles[2]
	if q.Reached || !q.OpenEnds || len(q.Seconds.Warnings) == 0 || math.IsInf(q.Seconds.Value, 0) || q.Seconds.Value > p.watch.Seconds() {
		t.Errorf("%+v", q)
	}
}

// Most sessions outlast the watch: no curve tells of ages at which nobody was
// seen to leave, and what it can't tell of it leaves open.
func TestNoCurveBeyondTheLastSeenEnd(t *testing.T) {
	p := demo
	p.peers, p.scale, p.shape, p.watch, p.away = 80, 20*3600, 1, 12*time.Hour, 3600
	for seed := range uint64(8) {
		spells := p.spells(seed)
		r, err := Compute(spells, Options{Watch: p.watch, Replicates: 100})
		if err != nil {
			t.Fatal(err)
		}
		if r.Turnbull == nil {
			continue
		}
		last := 0.0
		for _, s := range spells {
			if s.created() && s.ended() {
				last = max(last, (s.Before + s.Seen + s.After).Seconds())
			}
		}
		last += max(growth*last, r.From.Seconds()) // the bin that holds it
		for _, c := range []*Curve{r.Turnbull, r.Kaplan} {
			if end := c.Times[len(c.Times)-1]; end > last {
				t.Errorf("seed %d, %.20s: a curve up to %.0f s, the last end was seen by %.0f", seed, c.Method, end, last)
			}
			for _, q := range c.Quartiles[1:] {
				if e, want := q.Seconds, p.quantile(q.Share, r.From); !q.OpenEnds && e.Upper < want {
					t.Errorf("seed %d, %.20s: quartile %.2f is %.0f s (%.0f to %.0f), planned %.0f", seed, c.Method, q.Share, e.Value, e.Lower, e.Upper, want)
				}
			}
		}
	}
}

func TestEqualSeedsGiveEqualCurves(t *testing.T) {
	opt := Options{Watch: demo.watch, Replicates: 20, Seed: 4}
	a, err := Compute(demo.spells(3), opt)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Compute(demo.spells(3), opt)
	if !reflect.DeepEqual(a, b) {
		t.Error("two computations differ")
	}
}
