package clearcut

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel does jobs 0 to count-1 on every core. Each goroutine has a worker
// of its own, which begin makes. It returns early when ctx ends.
func parallel(ctx context.Context, count int, begin func() func(job int)) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(count, runtime.GOMAXPROCS(0)) {
		wait.Go(func() {
			work := begin()
			for job := int(next.Add(1)) - 1; job < count && ctx.Err() == nil; job = int(next.Add(1)) - 1 {
				work(job)
			}
		})
	}
	wait.Wait()
	return ctx.Err()
}
