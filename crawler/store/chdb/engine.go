package chdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// Engine is the embedded ClickHouse on one data folder. libchdb knows one
// folder per process; opening the same one again shares it.
type Engine struct {
	shared *shared
	once   sync.Once
}

// shared is what all Engines on one folder have in common.
type shared struct {
	lib    *library
	dir    string
	lock   *folderLock
	anchor *unsafe.Pointer // keeps the engine up between queries
	slots  chan struct{}   // queries that may run at once
	users  int             // open Engines, guarded by current
	calls  sync.WaitGroup  // queries inside libchdb, abandoned ones included
}

// current is the one folder that is open in this process.
var current struct {
	sync.Mutex
	open *shared
}

// Open starts the engine on dir, creating the folder if need be, and locks it
// against other processes. Close it when done. Errors: [ErrNoLibrary] (wrapped)
// when libchdb is missing, [*LockedError] when another process holds dir.
func Open(dir string) (*Engine, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store folder: %w", err)
	}
	current.Lock()
	defer current.Unlock()
	if s := current.open; s != nil {
		if s.dir != dir {
			return nil, fmt.Errorf("open %s: this process already has %s open, and libchdb knows one folder per process", dir, s.dir)
		}
		s.users++
		return &Engine{shared: s}, nil
	}
	s, err := start(dir)
	if err != nil {
		return nil, err
	}
	current.open = s
	return &Engine{shared: s}, nil
}

// Exists says whether dir holds what an engine has written, as far as can be
// seen. It changes nothing.
func Exists(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "metadata"))
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && (err != nil || info.IsDir())
}

func start(dir string) (*shared, error) {
	lib, err := load()
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &shared{lib: lib, dir: dir, lock: lock, users: 1, slots: make(chan struct{}, max(2*(fastQueries+slowQueries), 2*runtime.GOMAXPROCS(0)))}
	if s.anchor, err = s.connect(); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return s, nil
}

// Close gives the folder back once every Engine on it is closed. It waits for
// queries that are still running.
func (e *Engine) Close() error {
	var err error
	e.once.Do(func() {
		current.Lock()
		defer current.Unlock()
		s := e.shared
		if s.users--; s.users > 0 {
			return
		}
		s.calls.Wait()
		s.lib.closeConn(s.anchor)
		current.open = nil
		err = s.lock.release()
	})
	return err
}

// caches bounds those that would grow to gigabytes in a program that runs for
// months: by themselves they take 5 GiB each.
var caches = []string{"--mark_cache_size=67108864", "--index_mark_cache_size=16777216", "--query_condition_cache_size=16777216"}

// connect opens one more connection. It is cheap: under a millisecond once the
// engine is up.
func (s *shared) connect() (*unsafe.Pointer, error) {
	texts := append([]string{"clickhouse", "--path=" + s.dir}, caches...)
	args := make([]unsafe.Pointer, len(texts))
	for i, text := range texts {
		args[i] = first(append([]byte(text), 0))
	}
	conn := s.lib.connect(int32(len(args)), unsafe.Pointer(&args[0]))
	runtime.KeepAlive(args)
	if conn == nil {
		return nil, fmt.Errorf("open %s: the embedded ClickHouse engine does not start on this folder; is it damaged, full, or written by a newer engine?", s.dir)
	}
	return conn, nil
}

// request is one statement with all that it runs under.
type request struct {
	query    string
	format   string            // of the answer, or of data
	insert   bool              // data is the body of an INSERT
	data     []byte            //
	database string            // empty: the engine's default
	settings map[string]string // of this statement only
	params   map[string]string // for {name:Type} in query
}

// run executes r on a connection of its own and returns its answer, which the
// caller frees. When ctx ends it kills the query and returns at once.
func (s *shared) run(ctx context.Context, r request) (*answer, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	type outcome struct {
		a   *answer
		err error
	}
	id := nextQueryID()
	done := make(chan outcome, 1)
	s.calls.Go(func() {
		defer func() { <-s.slots }()
		a, err := s.execute(ctx, id, r)
		done <- outcome{a, err}
	})
	select {
	case o := <-done:
		return o.a, o.err
	case <-ctx.Done():
		s.calls.Go(func() {
			s.kill(id)
			if o := <-done; o.a != nil {
				o.a.free()
			}
		})
		return nil, ctx.Err()
	}
}

func (s *shared) execute(ctx context.Context, id string, r request) (*answer, error) {
	conn, err := s.connect()
	if err != nil {
		return nil, err
	}
	defer s.lib.closeConn(conn)
	for _, statement := range prelude(id, r) {
		a, err := s.statement(*conn, request{query: statement})
		if err != nil {
			return nil, err
		}
		a.free()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.insert {
		return s.insert(ctx, *conn, r)
	}
	return s.statement(*conn, r)
}

// kill stops the statement that runs under id, if it is still running.
func (s *shared) kill(id string) {
	conn, err := s.connect()
	if err != nil {
		return
	}
	defer s.lib.closeConn(conn)
	a, err := s.statement(*conn, request{query: "KILL QUERY WHERE Settings['log_comment'] = " + quote(id) + " ASYNC"})
	if err == nil {
		a.free()
	}
}

// statement runs one statement on conn.
func (s *shared) statement(conn unsafe.Pointer, r request) (*answer, error) {
	query, format := []byte(r.query), []byte(r.format)
	var result unsafe.Pointer
	if len(r.params) == 0 {
		result = s.lib.query(conn, first(query), uintptr(len(query)), first(format), uintptr(len(format)))
	} else {
		names, nameLens, values, valueLens := paramArrays(r.params)
		result = s.lib.queryParams(conn, first(query), uintptr(len(query)), first(format), uintptr(len(format)),
			unsafe.Pointer(&names[0]), unsafe.Pointer(&nameLens[0]), unsafe.Pointer(&values[0]), unsafe.Pointer(&valueLens[0]), uintptr(len(names)))
		runtime.KeepAlive(names)
		runtime.KeepAlive(values)
	}
	runtime.KeepAlive(query)
	runtime.KeepAlive(format)
	return s.answer(result)
}

// insert runs an INSERT whose data is r.data. Pieces of the data go in one by
// one, so that a cancelled insert ends early; what was not finished is not
// stored, except for whole blocks that the engine has already written.
func (s *shared) insert(ctx context.Context, conn unsafe.Pointer, r request) (*answer, error) {
	query, format := []byte(r.query), []byte(r.format)
	stream := s.lib.insert(conn, first(query), uintptr(len(query)), first(format), uintptr(len(format)))
	runtime.KeepAlive(query)
	runtime.KeepAlive(format)
	defer s.lib.insertFree(stream)
	if text := s.lib.insertErr(stream); text != "" {
		return nil, newException(text)
	}
	const piece = 4 << 20
	for data := r.data; len(data) > 0; data = data[min(piece, len(data)):] {
		if err := ctx.Err(); err != nil {
			s.lib.insertCancel(stream)
			return nil, err
		}
		if s.lib.insertAppend(stream, first(data), uintptr(min(piece, len(data)))) != 0 {
			text := s.lib.insertErr(stream)
			s.lib.insertCancel(stream)
			return nil, newException(text)
		}
	}
	return s.answer(s.lib.insertDone(stream))
}

func (s *shared) answer(result unsafe.Pointer) (*answer, error) {
	if result == nil {
		return nil, newException("the embedded engine gave no answer")
	}
	if text := s.lib.err(result); text != "" {
		s.lib.destroy(result)
		return nil, newException(text)
	}
	return &answer{lib: s.lib, result: result}, nil
}

// answer is the result of a statement in memory that libchdb owns.
type answer struct {
	lib    *library
	result unsafe.Pointer
}

// bytes is valid until free.
func (a *answer) bytes() []byte {
	n := a.lib.length(a.result)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(a.lib.buffer(a.result)), n)
}

func (a *answer) free() { a.lib.destroy(a.result) }

func first(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
