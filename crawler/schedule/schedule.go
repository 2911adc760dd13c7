// Package schedule says when a repeated run starts. It reads no clock and
// draws no random numbers: whoever asks brings both.
package schedule

import (
	"errors"
	"time"
)

// Timetable starts runs Every so often, each later by a random share of
// Jitter: many observers with one configuration must not knock at the same
// second, and a fixed beat would see whatever else has a beat at one phase
// only. A new one has its first run at once.
type Timetable struct {
	Every, Jitter time.Duration

	last time.Time
	wait time.Duration // from last to the next start
}

// Check refuses a timetable that cannot be kept.
func (t *Timetable) Check() error {
	switch {
	case t.Every <= 0:
		return errors.New("the time between runs must be above zero")
	case t.Jitter < 0 || t.Jitter > t.Every:
		return errors.New("jitter must lie between zero and the time between runs")
	}
	return nil
}

// Started notes that a run started at the given time; draw, from [0, 1), sets
// how much of the jitter the next one gets.
func (t *Timetable) Started(at time.Time, draw float64) {
	t.last, t.wait = at, t.Every+time.Duration(draw*float64(t.Jitter))
}

// Retry brings the next start forward to d after the last one: a run that
// failed for a passing reason need not wait for its turn.
func (t *Timetable) Retry(d time.Duration) { t.wait = min(t.wait, d) }

// Next returns when the next run starts, as seen at now: now itself when it is
// due, or overdue by however many runs, for those that were missed are not
// made up for. It is never later than Every and Jitter from now: when the
// clock was set back behind the last start, the wait begins again from now.
func (t *Timetable) Next(now time.Time) time.Time {
	if t.last.IsZero() {
		return now
	}
	if t.last.After(now) {
		t.last = now
	}
	if next := t.last.Add(t.wait); next.After(now) {
		return next
	}
	return now
}
