package schedule

import (
	"math/rand/v2"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestFirstRunIsAtOnce(t *testing.T) {
	table := Timetable{Every: time.Hour, Jitter: time.Minute}
	if next := table.Next(noon); !next.Equal(noon) {
		t.Errorf("first run at %s", next)
	}
}

func TestMissedRunsAreNotPiledUp(t *testing.T) {
	table := Timetable{Every: time.Hour}
	table.Started(noon, 0)
	late := noon.Add(10*time.Hour + time.Minute)
	if next := table.Next(late); !next.Equal(late) {
		t.Fatalf("overdue run at %s, want now", next)
	}
	table.Started(late, 0)
	if next := table.Next(late); !next.Equal(late.Add(time.Hour)) {
		t.Errorf("after the overdue run the next is at %s: missed ones were made up for", next)
	}
}

func TestClockSetBack(t *testing.T) {
	table := Timetable{Every: time.Hour, Jitter: 10 * time.Minute}
	table.Started(noon, 0.5)
	back := noon.AddDate(-1, 0, 0)
	next := table.Next(back)
	if want := back.Add(65 * time.Minute); !next.Equal(want) {
		t.Fatalf("next run at %s, want %s: as long as ever from now", next, want)
	}
	// The wait must run down instead of beginning anew whenever somebody asks.
	for now := back; now.Before(next); now = now.Add(time.Minute) {
		if got := table.Next(now); !got.Equal(next) {
			t.Fatalf("asked at %s the next run moved to %s", now, got)
		}
	}
	if got := table.Next(next); !got.Equal(next) {
		t.Errorf("due at %s, got %s", next, got)
	}
}

func TestClockSetForward(t *testing.T) {
	table := Timetable{Every: time.Hour}
	table.Started(noon, 0)
	if now := noon.AddDate(0, 0, 3); !table.Next(now).Equal(now) {
		t.Error("a clock set forward leaves the run overdue")
	}
}

func TestRetryComesSoonerButNeverLater(t *testing.T) {
	table := Timetable{Every: time.Hour}
	table.Started(noon, 0)
	table.Retry(10 * time.Minute)
	if next := table.Next(noon); !next.Equal(noon.Add(10 * time.Minute)) {
		t.Errorf("retry at %s", next)
	}
	table.Retry(2 * time.Hour)
	if next := table.Next(noon); !next.Equal(noon.Add(10 * time.Minute)) {
		t.Errorf("a later retry moved the run to %s", next)
	}
}

// However the clock jumps, the next start lies between now and one full wait.
func TestNextIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	table := Timetable{Every: time.Hour, Jitter: 30 * time.Minute}
	now := noon
	starts := map[time.Duration]bool{}
	for range 10_000 {
		now = now.Add(time.Duration(r.Int64N(int64(4*time.Hour)) - int64(2*time.Hour)))
		next := table.Next(now)
		if next.Before(now) || next.After(now.Add(90*time.Minute)) {
			t.Fatalf("at %s the next run is at %s", now, next)
		}
		if next.Equal(now) {
			table.Started(now, r.Float64())
			starts[table.Next(now).Sub(now)] = true
		}
	}
	if len(starts) < 100 {
		t.Errorf("only %d different waits: a fixed beat", len(starts))
	}
}

func TestCheck(t *testing.T) {
	for _, bad := range []Timetable{{}, {Every: -time.Hour}, {Every: time.Hour, Jitter: -1}, {Every: time.Hour, Jitter: 2 * time.Hour}} {
		if bad.Check() == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	if err := (&Timetable{Every: time.Hour, Jitter: time.Hour}).Check(); err != nil {
		t.Error(err)
	}
}
