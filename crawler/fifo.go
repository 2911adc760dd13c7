package crawler

// fifo is a first-in-first-out queue of fixed-size chunks: memory is freed as
// it is read, and growing never copies what is already queued.
type fifo[T any] struct {
	chunks [][]T
	head   int // first unread element of chunks[0]
	n      int
}

const chunkSize = 4096

func (q *fifo[T]) len() int { return q.n }

func (q *fifo[T]) push(items ...T) {
	for _, item := range items {
		last := len(q.chunks) - 1
		if last < 0 || len(q.chunks[last]) == chunkSize {
			q.chunks = append(q.chunks, make([]T, 0, chunkSize))
			last++
		}
		q.chunks[last] = append(q.chunks[last], item)
		q.n++
	}
}

// pop returns up to limit elements in a slice of their own, nil when empty.
func (q *fifo[T]) pop(limit int) []T {
	n := min(limit, q.n)
	if n == 0 {
		return nil
	}
	out := make([]T, 0, n)
	for len(out) < n {
		first := q.chunks[0]
		taken := min(n-len(out), len(first)-q.head)
		out = append(out, first[q.head:q.head+taken]...)
		q.head += taken
		if q.head == chunkSize {
			q.chunks, q.head = q.chunks[1:], 0
		} else if q.head == len(first) { // all read: start over in place
			q.chunks[0], q.head = first[:0], 0
		}
	}
	q.n -= n
	return out
}
