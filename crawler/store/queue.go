package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// queue holds rows of one table between the one who saw them and the writer.
// It keeps the slices that it is given, and at most limit rows.
type queue[T any] struct {
	table   string
	columns []column[T]
	limit   int

	mu      sync.Mutex
	rows    [][]T
	count   int
	lastErr error         // of the latest insert, nil once one succeeded
	room    chan struct{} // closed and replaced when an insert has ended
}

func newQueue[T any](table string, columns []column[T], limit int) *queue[T] {
	return &queue[T]{table: table, columns: columns, limit: limit, room: make(chan struct{})}
}

// put takes over rows and returns how many now wait. While the queue is full
// it blocks; when nothing was taken from it for as long as stall, and the
// latest insert failed, it gives back that failure and has not taken rows.
// stalled is how long it blocked for failed inserts.
func (q *queue[T]) put(ctx context.Context, rows []T, stall time.Duration) (waiting int, stalled time.Duration, err error) {
	limit := time.NewTimer(stall)
	defer limit.Stop()
	for {
		q.mu.Lock()
		if q.count == 0 || q.count+len(rows) <= q.limit {
			q.rows = append(q.rows, rows)
			q.count += len(rows)
			waiting = q.count
			q.mu.Unlock()
			return waiting, stalled, nil
		}
		room, lastErr := q.room, q.lastErr
		q.mu.Unlock()
		before := time.Now()
		select {
		case <-room:
		case <-limit.C:
			if lastErr != nil {
				return 0, stalled + time.Since(before), fmt.Errorf("store has taken no rows for %s: %w", stall, lastErr)
			}
			limit.Reset(stall)
		case <-ctx.Done():
			return 0, stalled, ctx.Err()
		}
		if lastErr != nil {
			stalled += time.Since(before)
		}
	}
}

// batch returns n rows at most, those that follow the first skip, and leaves
// them in the queue.
func (q *queue[T]) batch(skip, n int) (rows [][]T, count int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, some := range q.rows {
		passed := min(skip, len(some))
		skip -= passed
		some = some[passed:]
		some = some[:min(len(some), n-count)]
		if len(some) > 0 {
			rows, count = append(rows, some), count+len(some)
		}
		if count == n {
			break
		}
	}
	return rows, count
}

// drop removes the first n rows, which are stored.
func (q *queue[T]) drop(n int) {
	q.count -= n
	for n > 0 {
		if some := q.rows[0]; len(some) > n {
			q.rows[0], n = some[n:], 0
		} else {
			q.rows[0] = nil
			q.rows, n = q.rows[1:], n-len(some)
		}
	}
}

// flush inserts what the queue held when it was called, in batches; while one
// is inserted, the next is encoded. Rows that could not be inserted stay. Only
// one flush may run at a time.
func (q *queue[T]) flush(ctx context.Context, s *Store) error {
	q.mu.Lock()
	left := q.count
	q.mu.Unlock()
	next := q.encode(0, min(left, s.opt.BatchRows))
	for left > 0 {
		e := <-next
		if e.err == nil {
			next = q.encode(e.rows, min(left-e.rows, s.opt.BatchRows))
			e.err = s.insertBlock(ctx, e.block)
		}
		q.conclude(ctx, e.rows, e.err)
		if e.err != nil {
			return e.err
		}
		left -= e.rows
	}
	return nil
}

// encoded is what became of a batch.
type encoded struct {
	*block
	rows int
	err  error
}

// encode makes a block of n rows, those that follow the first skip.
func (q *queue[T]) encode(skip, n int) <-chan encoded {
	done := make(chan encoded, 1)
	if n <= 0 {
		return done
	}
	rows, n := q.batch(skip, n)
	go func() {
		b, err := encodeBlock(q.table, q.columns, rows, n)
		done <- encoded{b, n, err}
	}()
	return done
}

// conclude drops the first n rows if they were inserted, and wakes who waits
// for room.
func (q *queue[T]) conclude(ctx context.Context, n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.drop(n)
	}
	if ctx.Err() == nil || err == nil { // being told to stop is no trouble of the store
		q.lastErr = err
	}
	close(q.room)
	q.room = make(chan struct{})
}
