package store

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestClaim(t *testing.T) {
	for _, b := range backends()[1:] { // an embedded store has a lock of its own
		t.Run(b.name, func(t *testing.T) { testClaim(t, b.url(t, emptyDatabase())) })
	}
}

func testClaim(t *testing.T, url string) {
	ctx := context.Background()
	s := migrated(t, url, Options{})
	first, err := s.Claim(ctx, "here")
	if err != nil {
		t.Fatal(err)
	}
	living := alive(t)
	if _, err := s.claim(ctx, "here", living); !errors.Is(err, ErrClaimed) || !strings.Contains(err.Error(), first.self.host) {
		t.Errorf("claimed twice: %v", err)
	}
	if _, err := s.claim(ctx, "elsewhere", living); err != nil {
		t.Errorf("another vantage: %v", err)
	}
	if err := first.Beat(ctx); err != nil {
		t.Error(err)
	}
	if err := first.Release(ctx); err != nil {
		t.Fatal(err)
	}
	second, err := s.claim(ctx, "here", living)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	// The first was away for long and comes back: the vantage is taken.
	first.beaten = time.Now().Add(-2 * claimLives)
	if err := first.Beat(ctx); !errors.Is(err, ErrClaimed) {
		t.Errorf("beat of a claim that was lost: %v", err)
	}
	wantRows(t, s, "SELECT count(), countIf(released) FROM observers WHERE vantage = 'here'", "2 1")

	// A process that is gone holds nothing, nor does one that stopped beating.
	second.self.pid = math.MaxInt32
	if err := second.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	third, err := s.claim(ctx, "here", here(t))
	if err != nil {
		t.Fatalf("the holder died: %v", err)
	}
	// Another container may bear our name and have our number, and lives.
	twin := here(t)
	twin.place += " of another container"
	if _, err := s.claim(ctx, "here", twin); !errors.Is(err, ErrClaimed) {
		t.Errorf("claimed from another container: %v", err)
	}
	if err := third.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Exec(ctx, "INSERT INTO observers_log (vantage, observer, host, pid, claimed_at, beat_at, released) SELECT 'there', generateUUIDv4(), 'far', 1, now64(3) - 200, now64(3) - 100, 0"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.claim(ctx, "there", living); err != nil {
		t.Errorf("the holder is silent: %v", err)
	}
}

func TestOnlyOneOfManyClaims(t *testing.T) {
	ctx := context.Background()
	s := migrated(t, servedURL(t, emptyDatabase()), Options{})
	var won sync.Map
	var tries sync.WaitGroup
	for i := range 4 {
		tries.Go(func() {
			if _, err := s.claim(ctx, "here", osProcess{host: "host" + string(rune('a'+i)), pid: 1}); err == nil {
				won.Store(i, true)
			} else if !errors.Is(err, ErrClaimed) {
				t.Error(err)
			}
		})
	}
	tries.Wait()
	n := 0
	won.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d of 4 hold the vantage", n)
	}
}
