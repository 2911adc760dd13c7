package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ErrSpooled means that the rows of a crawl are safe on disk, but did not
// reach the store in time to be counted.
var ErrSpooled = errors.New("rows wait in the spool")

// insertBlock hands one block to the store, or to the spool when the store
// fails, lags or has yet to take earlier ones. Once it returns nil the rows
// are safe.
func (s *Store) insertBlock(ctx context.Context, b *block) error {
	if s.spool == nil {
		return s.send(ctx, b, s.opt.InsertTimeout)
	}
	if waiting, _, _ := s.spool.pending(); waiting > 0 {
		return s.spool.add(b)
	}
	err := s.send(ctx, b, s.opt.InsertTimeout)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if exceptionCode(err) != 0 && !s.took.Load() {
		return err // it is there and may never take any: a user without the rights, say
	}
	if spoolErr := s.spool.add(b); spoolErr != nil {
		return errors.Join(err, spoolErr)
	}
	s.opt.Logger.Warn("ClickHouse does not take rows: they go to the spool until it does", "spool", s.spool.dir, "error", err)
	return nil
}

// send returns nil once the store has b.
func (s *Store) send(ctx context.Context, b *block, within time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	send := s.insertNative
	if s.target.speaksHTTP() {
		send = s.insertHTTP
	}
	if err := send(bounded, b); err != nil {
		return fmt.Errorf("insert %d rows into %s: %w", b.rows, b.table, err)
	}
	s.took.Store(true)
	return nil
}

// replayPatience is how many times longer than others an insert from the spool
// may take: nobody waits for it.
const replayPatience = 10

// replay sends what waits in the spool, oldest first, until there is nothing
// left or the store fails.
func (s *Store) replay(ctx context.Context) error {
	for {
		b, err := s.spool.oldest()
		if err != nil || b == nil {
			return err
		}
		err = s.send(ctx, b, replayPatience*s.opt.InsertTimeout)
		switch {
		case err == nil:
			s.spool.drop()
		case refusesData(err):
			s.spool.mu.Lock()
			first := s.spool.segments[0]
			s.spool.mu.Unlock()
			s.spool.setAside(first, err)
		default:
			return err
		}
	}
}

// refusesData says whether ClickHouse would refuse the same rows for ever.
func refusesData(err error) bool {
	switch exceptionCode(err) {
	case 6, 16, 26, 27, 33, 53, 62, 70, 117, 131: // can't be parsed, converted or placed in a column
		return true
	}
	return false
}

// exceptionCode is the number that ClickHouse gave its refusal, 0 for trouble
// of another kind.
func exceptionCode(err error) int {
	var refusal *refusal
	var exception *clickhouse.Exception
	switch {
	case errors.As(err, &refusal):
		return refusal.code
	case errors.As(err, &exception):
		return int(exception.Code)
	}
	return 0
}

// startReplay keeps trying to empty the spool until ctx ends.
func (s *Store) startReplay(ctx context.Context) {
	const shortest, longest = time.Second, 30 * time.Second
	wait := shortest
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if waiting, _, _ := s.spool.pending(); waiting == 0 {
			wait = shortest
			continue
		}
		if err := s.replay(ctx); err == nil {
			s.opt.Logger.Info("the store has taken what waited in the spool")
			wait = shortest
		} else if ctx.Err() == nil {
			wait = min(2*wait, longest)
			_, rows, _ := s.spool.pending()
			s.opt.Logger.Warn("rows wait in the spool", "rows", rows, "next_try", wait, "error", err)
		}
	}
}

// flushPatiently is Flush that waits for room in a full spool, no longer than
// the options say.
func (s *Store) flushPatiently(ctx context.Context) error {
	limit := time.NewTimer(s.opt.SettleWithin)
	defer limit.Stop()
	for {
		var changed <-chan struct{}
		if s.spool != nil {
			_, _, changed = s.spool.pending() // before the attempt, so that no change is missed
		}
		err := s.Flush(ctx)
		if !errors.Is(err, errSpoolFull) {
			return err
		}
		select {
		case <-changed:
		case <-limit.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// settle waits until the spool is empty, no longer than the options say.
func (s *Store) settle(ctx context.Context) error {
	if s.spool == nil {
		return nil
	}
	limit := time.NewTimer(s.opt.SettleWithin)
	defer limit.Stop()
	for {
		waiting, rows, changed := s.spool.pending()
		if waiting == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-limit.C:
			return fmt.Errorf("%w: ClickHouse did not take %d rows within %s; they are safe in %s and go in when it is back", ErrSpooled, rows, s.opt.SettleWithin, s.spool.dir)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
