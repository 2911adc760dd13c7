// Package survival estimates how long sessions of peers last, from probes.
//
// A session is an interval-censored fact: it began between the last probe that
// found the peer down and the first that found it up, and ended between the
// last that found it up and the first that found it down. Short sessions fall
// between probes, and a session that was under way when the watch began says
// nothing of its age. So every curve here is of sessions that last at least
// twice as long as probes are apart, and whose beginning was seen.
//
// Three methods stand beside each other: Kaplan & Meier (1958) with delayed
// entry, Turnbull's (1976) self-consistent estimate for interval-censored
// data, and the create-based method of Stutzbach & Rejaie (2006).
package survival

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"canopy/analysis"
)

// The methods, in one sentence each.
const (
	KaplanMeier = "Kaplan-Meier with delayed entry: a session counts from the age at which the curve begins or at which it was first seen, whichever is later; beginnings and ends are drawn evenly within their intervals"
	Turnbull    = "Turnbull's self-consistent estimate (EM) for sessions whose beginning and end are known as intervals, with those unseen between probes, smoothed (EMS), on bins as wide as the probes are apart or a fifth of their edge"
	CreateBased = "create-based (Stutzbach & Rejaie): sessions that began in the first half of the watch, up to half of its length"
	bands       = "; 95 % expanded percentile interval from resamples of peers in 64 groups"
)

const level = 0.95

// Open is the end of a session that is not known.
const Open time.Duration = -1

// groups is into how many parts the peers are put to be resampled.
const groups = 64

// Spell is one session as the probes show it.
type Spell struct {
	Peer   uint64        // hash of the peer: its sessions are resampled together
	Began  time.Duration // first probe that found it up, since the watch began
	Before time.Duration // from the last probe that found it down to that; Open if it was up when the watch began
	Seen   time.Duration // from the first probe that found it up to the last
	After  time.Duration // from that to the first that found it down; Open if none did
}

func (s Spell) created() bool { return s.Before >= 0 }
func (s Spell) ended() bool   { return s.After >= 0 }

// Options say how intervals are made. Equal options and spells give equal
// intervals.
type Options struct {
	Watch      time.Duration // length of the watch
	Replicates int           // default 200
	Seed       uint64
}

// Curve is the share of sessions that last longer than each of some times.
type Curve struct {
	Method    string     `json:"method"`
	Times     []float64  `json:"seconds"`
	Share     []float64  `json:"share"` // of sessions that last longer
	Lower     []float64  `json:"lower"`
	Upper     []float64  `json:"upper"`
	Quartiles []Quantile `json:"quartiles"`
}

// Quantile is the length that a share of sessions does not exceed.
type Quantile struct {
	Share    float64           `json:"share"`
	Seconds  analysis.Estimate `json:"seconds"`
	Reached  bool              `json:"reached"`       // false: the curve ends before, and Seconds is the time at which it ends
	OpenEnds bool              `json:"upper_is_open"` // the interval's upper end lies beyond what was watched
}

// Result is what the sessions of some peers show.
type Result struct {
	Shortest  time.Duration `json:"shortest_ns"` // within this it is known of nine in ten beginnings and ends when they came
	From      time.Duration `json:"from_ns"`     // curves are of sessions that last at least this, twice the shortest: below it, when the probes came says more than how long a session was
	Sessions  int           `json:"sessions"`
	AlreadyUp int           `json:"already_up"` // when the watch began, or their peer was first met: their age is not known
	StillUp   int           `json:"still_up"`   // or lost from sight: censored
	Used      int           `json:"used"`       // whose beginning was seen
	Peers     int           `json:"peers"`      // of the used sessions
	Kaplan    *Curve        `json:"kaplan_meier,omitempty"`
	Turnbull  *Curve        `json:"turnbull,omitempty"`
	Created   *Curve        `json:"create_based,omitempty"`
	Absent    string        `json:"absent,omitempty"` // why there is no curve
}

// fewest is how many used sessions a curve needs.
const fewest = 20

// Compute estimates survival from the sessions of a watch, by all three
// methods. It returns an error if a spell makes no sense.
func Compute(spells []Spell, opt Options) (Result, error) {
	r, used, err := sift(spells, opt)
	if err != nil || r.Absent != "" {
		return r, err
	}
	opt = opt.withDefaults()
	draws := resamples(opt)
	at := times(used, r.From)
	r.Kaplan = curve(KaplanMeier, r, at, draws, kaplanMeier(drawn(used), r.From))
	r.Turnbull = curve(Turnbull, r, at, draws, turnbull(used, r.From))
	if half := opt.Watch / 2; half > 2*r.From {
		if estimate := createBased(drawn(used), r.From, half); estimate != nil {
			r.Created = curve(CreateBased, r, at, draws, estimate)
		}
	}
	return r, nil
}

// Kaplan is Compute with the Kaplan-Meier curve alone, for parts of the peers;
// shortest is that of all of them.
func Kaplan(spells []Spell, shortest time.Duration, opt Options) (Result, error) {
	r, _, err := sift(spells, opt)
	if err != nil || r.Sessions == 0 {
		return r, err
	}
	r.Shortest, r.From, r.Absent = shortest, 2*shortest, ""
	used := r.use(spells)
	if r.Absent == "" {
		r.Kaplan = curve(KaplanMeier, r, times(used, r.From), resamples(opt.withDefaults()), kaplanMeier(drawn(used), r.From))
	}
	return r, nil
}

func (o Options) withDefaults() Options {
	if o.Replicates <= 0 {
		o.Replicates = 200
	}
	return o
}

// sift counts sessions and keeps those that can be used.
func sift(spells []Spell, opt Options) (r Result, used []Spell, err error) {
	if opt.Watch <= 0 && len(spells) > 0 {
		return r, nil, errors.New("compute survival: the watch has no length")
	}
	var gaps []time.Duration
	for _, s := range spells {
		if s.Seen < 0 || s.Began < 0 || s.Before < Open || s.After < Open {
			return r, nil, fmt.Errorf("compute survival: a session of %v, %v, %v", s.Before, s.Seen, s.After)
		}
		for _, gap := range []time.Duration{s.Before, s.After} {
			if gap > 0 {
				gaps = append(gaps, gap)
			}
		}
		r.Sessions++
		if !s.created() {
			r.AlreadyUp++
		}
		if !s.ended() {
			r.StillUp++
		}
	}
	if len(gaps) == 0 {
		r.Absent = "no session was seen to begin or to end"
		return r, nil, nil
	}
	slices.Sort(gaps)
	r.Shortest = gaps[len(gaps)*9/10]
	r.From = 2 * r.Shortest
	return r, r.use(spells), nil
}

// use keeps the sessions that began in sight.
func (r *Result) use(spells []Spell) (used []Spell) {
	peers, ended := map[uint64]bool{}, 0
	for _, s := range spells {
		if !s.created() {
			continue
		}
		used = append(used, s)
		peers[s.Peer] = true
		if s.ended() {
			ended++
		}
	}
	r.Used, r.Peers = len(used), len(peers)
	if r.Used < fewest || ended < fewest/2 {
		r.Absent = fmt.Sprintf("%d sessions were seen to begin and %d of them to end; a curve needs %d and %d", r.Used, ended, fewest, fewest/2)
	}
	return used
}

// times are those at which curves are given: of equal ratio, from the first on
// to the longest session.
func times(used []Spell, from time.Duration) []float64 {
	longest := 2 * from
	for _, s := range used {
		longest = max(longest, s.Before+s.Seen)
	}
	const points = 40
	at := make([]float64, points)
	for i := range at {
		at[i] = from.Seconds() * math.Pow(longest.Seconds()/from.Seconds(), float64(i)/(points-1))
	}
	return at
}

// A step is one point of a survival curve: after t seconds, share are left.
type step struct{ t, share float64 }

// An estimator returns a curve, ascending in time and beginning at 1, when each
// group of peers has a weight.
type estimator func(weights []float64) []step

// linear says that a method's curve is read between its points, not as steps.
func linear(method string) bool { return method == Turnbull }

func curve(method string, r Result, at []float64, draws [][]float64, estimate estimator) *Curve {
	all := make([]float64, groups)
	for i := range all {
		all[i] = 1
	}
	seen := estimate(all)
	if len(seen) < 2 {
		return nil
	}
	end := seen[len(seen)-1].t
	c := &Curve{Method: method + bands}
	var curves [][]step
	for _, weights := range draws {
		if drawn := estimate(weights); len(drawn) > 0 {
			curves = append(curves, drawn)
		}
	}
	for _, t := range at {
		if t > end*(1+1e-9) {
			break
		}
		var shares []float64
		for _, drawn := range curves {
			shares = append(shares, read(drawn, t, linear(method)))
		}
		v := read(seen, t, linear(method))
		lower, upper := percentiles(shares)
		c.Times, c.Share = append(c.Times, t), append(c.Share, v)
		c.Lower, c.Upper = append(c.Lower, min(v, lower)), append(c.Upper, max(v, upper))
	}
	for _, share := range []float64{0.25, 0.5, 0.75} {
		c.Quartiles = append(c.Quartiles, quantile(method, r, share, seen, curves, end))
	}
	return c
}

func quantile(method string, r Result, share float64, seen []step, curves [][]step, end float64) Quantile {
	q := Quantile{Share: share, Reached: true}
	value, ok := cross(seen, 1-share, linear(method))
	if !ok {
		value, q.Reached = end, false
	}
	var drawn []float64
	open := 0
	for _, c := range curves {
		t, ok := cross(c, 1-share, linear(method))
		if !ok {
			t = math.Inf(1)
			open++
		}
		drawn = append(drawn, t)
	}
	lower, upper := percentiles(drawn)
	if math.IsInf(upper, 1) || !q.Reached {
		upper, q.OpenEnds = end, true
	}
	lower = min(lower, value)
	q.Seconds = analysis.Estimate{
		Value: value, Unit: fmt.Sprintf("seconds that %.0f %% of sessions of at least %v do not exceed", 100*share, r.From.Round(time.Second)),
		Lower: lower, Upper: max(value, upper), Level: level, N: r.Used, NUnit: fmt.Sprintf("sessions of %d peers", r.Peers), Method: method + bands,
	}
	switch {
	case !q.Reached:
		q.Seconds.Warnings = []string{"fewer sessions than that ended in sight: the value is a lower bound"}
	case q.OpenEnds:
		q.Seconds.Warnings = []string{"the interval's upper end lies beyond what was watched"}
	}
	return q
}

// read is the share left at a time.
func read(c []step, t float64, between bool) float64 {
	i, _ := slices.BinarySearchFunc(c, t, func(s step, t float64) int {
		if s.t <= t {
			return -1
		}
		return 1
	})
	switch {
	case i == 0:
		return 1
	case !between || i == len(c):
		return c[i-1].share
	}
	a, b := c[i-1], c[i]
	return a.share + (b.share-a.share)*(t-a.t)/(b.t-a.t)
}

// cross is the first time at which no more than a share is left.
func cross(c []step, share float64, between bool) (float64, bool) {
	for i, s := range c {
		if s.share > share {
			continue
		}
		if !between || i == 0 || c[i-1].share == s.share {
			return s.t, true
		}
		a := c[i-1]
		return a.t + (s.t-a.t)*(a.share-share)/(a.share-s.share), true
	}
	return 0, false
}

// tail is the share of resamples beyond each end of an interval. Resamples of so
// few groups spread less than estimates do, by the root of (groups-1)/groups,
// and their spread is itself an estimate, as in Student's t: the expanded
// percentile interval (Hesterberg, What Teachers Should Know About the
// Bootstrap, 2015).
var tail = distuv.UnitNormal.CDF(math.Sqrt(float64(groups)/(groups-1)) * distuv.StudentsT{Sigma: 1, Nu: groups - 1}.Quantile((1-level)/2))

// percentiles returns the ends of the interval that holds the truth in 95 % of
// cases. The i-th of n ordered values lies at i/(n+1).
func percentiles(values []float64) (lower, upper float64) {
	if len(values) == 0 {
		return math.Inf(1), math.Inf(-1)
	}
	slices.SortFunc(values, cmp.Compare[float64])
	at := func(share float64) float64 {
		place := min(max(share*float64(len(values)+1)-1, 0), float64(len(values)-1))
		low, high := values[int(math.Floor(place))], values[int(math.Ceil(place))]
		if low == high || math.IsInf(high, 1) {
			return high
		}
		return low + (high-low)*(place-math.Floor(place))
	}
	return at(tail), at(1 - tail)
}
