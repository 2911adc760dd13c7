package dataset

import (
	"context"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// exporter is one export under way.
type exporter struct {
	Options
	record  Record
	dir     string
	workers int
	sum     *Summary
	groups  []*group

	mu sync.Mutex // guards sum.Dropped, sum.Suppressed and what groups dropped
}

// run writes every file.
func (x *exporter) run(ctx context.Context) error {
	if err := x.plan(ctx); err != nil {
		return err
	}
	for _, write := range []func(context.Context) error{
		x.writeVisits, x.writeCrawls, x.writeEdges, x.writeProbes, x.writeSessions, x.writeAgents, x.writeProtocols, x.writeResults,
	} {
		if err := write(ctx); err != nil {
			return err
		}
	}
	if err := x.writePapers(); err != nil {
		return err
	}
	return x.seal()
}

// worker is what one goroutine of an export has for itself.
type worker struct {
	*exporter
	names *pseudonyms
}

// part makes some rows of a table.
type part func(ctx context.Context, w *worker) (rows, error)

// write makes the file of a table from its parts, several at once.
func (x *exporter) write(ctx context.Context, t table, parts []part) (err error) {
	s, err := create(x.dir, t, x.Format)
	if err != nil {
		return fmt.Errorf("write %s: %w", t.name, err)
	}
	defer func() {
		if closed := s.close(); err == nil && closed != nil {
			err = fmt.Errorf("write %s: %w", t.name, closed)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type made struct {
		part any
		rows int
		err  error
	}
	results := make([]chan made, len(parts))
	for i := range results {
		results[i] = make(chan made, 1)
	}
	room := make(chan struct{}, 2*x.workers) // parts in memory
	next := make(chan int)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel() // first, so that nobody is waited for in vain
	for range min(x.workers, len(parts)) {
		w := &worker{x, newPseudonyms(x.secret())}
		running.Go(func() {
			for i := range next {
				r, err := parts[i](ctx, w)
				m := made{rows: r.len(), err: err}
				if err == nil && m.rows > 0 {
					m.part, m.err = s.encode(r)
				}
				results[i] <- m
			}
		})
	}
	running.Go(func() {
		defer close(next)
		for i := range parts {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	var told time.Time
	for i := range parts {
		select {
		case m := <-results[i]:
			if m.err != nil {
				return fmt.Errorf("write %s: %w", t.name, m.err)
			}
			if m.part != nil {
				if err := s.commit(m.part); err != nil {
					return fmt.Errorf("write %s: %w", t.name, err)
				}
			}
			<-room
			x.sum.Rows[t.name] += int64(m.rows)
		case <-ctx.Done():
			return ctx.Err()
		}
		if now := time.Now(); now.Sub(told) > time.Second || i == len(parts)-1 {
			told = now
			x.Progress(Progress{t.name, x.sum.Rows[t.name], i + 1, len(parts)})
		}
	}
	if len(parts) == 0 {
		x.sum.Rows[t.name] = 0
	}
	return ctx.Err()
}

// writeAll makes the file of a small table.
func writeAll[T any](ctx context.Context, x *exporter, f *form[T], list []T) error {
	return x.write(ctx, f.table, []part{func(context.Context, *worker) (rows, error) { return f.rows(list), nil }})
}

// secret is the key, nil where nothing is hidden.
func (x *exporter) secret() *Key {
	if x.Raw {
		return nil
	}
	return x.Key
}

// plainWord is what needs no care in a query.
var plainWord = regexp.MustCompile(`^[0-9A-Za-z ._-]*$`)

// literal is a string within a query, whatever it holds.
func literal(s string) string {
	if plainWord.MatchString(s) {
		return "'" + s + "'"
	}
	return "unhex('" + hex.EncodeToString([]byte(s)) + "')"
}

// literals are several of them.
func literals(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = literal(s)
	}
	return "[" + strings.Join(quoted, ",") + "]"
}
