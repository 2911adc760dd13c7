package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// spool keeps blocks on disk while the store can't take them. Each process
// writes into a folder of its own below dir, which it locks, and takes over
// the folders of processes that are gone. A block is there once add returned,
// and leaves in the order in which it came.
type spool struct {
	dir    string
	limit  int64 // bytes on disk
	logger *slog.Logger

	mu       sync.Mutex
	own      string // this process's folder, made when it is first needed
	locks    []*flock.Flock
	segments []segment // oldest first
	bytes    int64
	rows     int
	next     uint64
	bad      int           // segments set aside or gone since the start
	changed  chan struct{} // closed and replaced when a segment has left
}

// segment is one file of the spool.
type segment struct {
	path  string
	rows  int
	bytes int64
}

// errSpoolFull means that a block was not taken for want of room.
var errSpoolFull = errors.New("the spool is full")

const lockName = "lock"

func newSpool(dir string, limit int64, logger *slog.Logger) *spool {
	return &spool{dir: dir, limit: limit, logger: logger, changed: make(chan struct{})}
}

// adopt takes over what processes that are gone have left behind.
func (sp *spool) adopt() error {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	folders, err := os.ReadDir(sp.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read spool: %w", err)
	}
	for _, f := range folders { // in order of name, which is that of time
		if !f.IsDir() {
			continue
		}
		folder := filepath.Join(sp.dir, f.Name())
		lock := flock.New(filepath.Join(folder, lockName))
		switch free, err := lock.TryLock(); {
		case errors.Is(err, fs.ErrNotExist): // its process has just ended well
			continue
		case err != nil:
			return fmt.Errorf("lock spool: %w (is the folder read-only?)", err)
		case !free: // its process lives and minds it
			continue
		}
		sp.locks = append(sp.locks, lock)
		left, err := listSegments(folder, true)
		if err != nil {
			return err
		}
		for _, s := range left {
			sp.push(s)
		}
	}
	if len(sp.segments) > 0 {
		sp.logger.Info("rows from an earlier run wait in the spool", "rows", sp.rows, "segments", len(sp.segments), "spool", sp.dir)
	}
	return nil
}

var segmentName = regexp.MustCompile(`^\d{16}-[a-z_]+-(\d{1,9})\.segment$`)

// listSegments returns a folder's segments in order. What was half written
// when its process died was never acknowledged: clean removes it.
func listSegments(folder string, clean bool) ([]segment, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	var list []segment
	for _, f := range files {
		path := filepath.Join(folder, f.Name())
		if clean && strings.HasSuffix(f.Name(), ".tmp") {
			_ = os.Remove(path)
		}
		m := segmentName.FindStringSubmatch(f.Name())
		if m == nil {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // its process has just delivered it
		}
		if err != nil {
			return nil, fmt.Errorf("read spool: %w", err)
		}
		rows, _ := strconv.Atoi(m[1])
		list = append(list, segment{path, rows, info.Size()})
	}
	slices.SortFunc(list, func(a, b segment) int { return strings.Compare(a.path, b.path) })
	return list, nil
}

func (sp *spool) push(s segment) {
	sp.segments = append(sp.segments, s)
	sp.bytes += s.bytes
	sp.rows += s.rows
}

// pending returns how many segments and rows wait, and a channel that is
// closed when that changes for the better.
func (sp *spool) pending() (segments, rows int, changed <-chan struct{}) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return len(sp.segments), sp.rows, sp.changed
}

// add writes b to disk, and returns once it would survive a power cut.
func (sp *spool) add(b *block) error {
	raw, err := encodeSegment(b)
	if err != nil {
		return err
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.bytes+int64(len(raw)) > sp.limit {
		return fmt.Errorf("%w: %s holds %d MB of %d", errSpoolFull, sp.dir, sp.bytes>>20, sp.limit>>20)
	}
	if err := sp.makeFolder(); err != nil {
		return fmt.Errorf("make spool folder: %w (choose another with --spool)", err)
	}
	sp.next++
	path := filepath.Join(sp.own, fmt.Sprintf("%016d-%s-%d.segment", sp.next, b.table, b.rows))
	if err := writeDurably(path, raw); err != nil {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return fmt.Errorf("%w: %w", errSpoolFull, err)
		}
		return fmt.Errorf("write spool: %w", err)
	}
	sp.push(segment{path, b.rows, int64(len(raw))})
	return nil
}

// makeFolder makes and locks this process's folder, again if it has gone.
func (sp *spool) makeFolder() error {
	if sp.own != "" {
		if _, err := os.Stat(filepath.Join(sp.own, lockName)); err == nil {
			return nil
		}
	}
	own := filepath.Join(sp.dir, fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102T150405.000000000"), os.Getpid()))
	if err := os.MkdirAll(own, 0o700); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(own, lockName))
	if _, err := lock.TryLock(); err != nil {
		return err
	}
	sp.own, sp.locks = own, append(sp.locks, lock)
	return syncFolder(sp.dir)
}

func writeDurably(path string, raw []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// oldest reads the segment that is to leave first. Those that can't be read
// are set aside and counted. It returns nil when there are none.
func (sp *spool) oldest() (*block, error) {
	for {
		sp.mu.Lock()
		if len(sp.segments) == 0 {
			sp.mu.Unlock()
			return nil, nil
		}
		s := sp.segments[0]
		sp.mu.Unlock()
		raw, err := os.ReadFile(s.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read spool: %w", err)
		}
		if err == nil {
			var b *block
			if b, err = decodeSegment(raw); err == nil {
				return b, nil
			}
		}
		sp.setAside(s, err)
	}
}

func (sp *spool) setAside(s segment, why error) {
	sp.logger.Error("a segment of the spool can't be read: its rows are lost unless you can mend it", "segment", s.path+".bad", "rows", s.rows, "error", why)
	_ = os.Rename(s.path, s.path+".bad") // it may have gone with its folder
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.bad++
	sp.pop()
}

// drop removes the oldest segment, which has been delivered. If it can't be
// removed it will be delivered twice, which changes nothing.
func (sp *spool) drop() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if err := os.Remove(sp.segments[0].path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		sp.logger.Warn("a delivered segment can't be removed", "error", err)
	}
	sp.pop()
}

func (sp *spool) pop() {
	s := sp.segments[0]
	sp.segments = sp.segments[1:]
	sp.bytes -= s.bytes
	sp.rows -= s.rows
	close(sp.changed)
	sp.changed = make(chan struct{})
}

// close lets go of the folders, and removes those that are empty.
func (sp *spool) close() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, lock := range sp.locks {
		folder := filepath.Dir(lock.Path())
		if left, err := os.ReadDir(folder); err == nil && len(left) == 1 { // the lock
			_ = os.Remove(lock.Path())
			_ = os.Remove(folder)
		}
		_ = lock.Unlock()
	}
	sp.locks, sp.own = nil, ""
	_ = os.Remove(sp.dir) // if it is empty
}

// SpoolStatus describes the rows that wait on disk for a store.
type SpoolStatus struct {
	Folder   string `json:"folder"`
	Segments int    `json:"segments"` // that wait
	Rows     int    `json:"rows"`
	Bytes    int64  `json:"bytes"`
	Bad      int    `json:"bad"` // segments that were set aside because they could not be read
}

// spoolStatus looks at what all processes have in dir.
func spoolStatus(dir string) (SpoolStatus, error) {
	st := SpoolStatus{Folder: dir}
	folders, err := filepath.Glob(filepath.Join(dir, "*", lockName))
	if err != nil {
		return st, fmt.Errorf("read spool: %w", err)
	}
	for _, lock := range folders {
		list, err := listSegments(filepath.Dir(lock), false)
		if err != nil {
			return st, err
		}
		for _, s := range list {
			st.Segments, st.Rows, st.Bytes = st.Segments+1, st.Rows+s.rows, st.Bytes+s.bytes
		}
		bad, err := filepath.Glob(filepath.Join(filepath.Dir(lock), "*.bad"))
		if err != nil {
			return st, fmt.Errorf("read spool: %w", err)
		}
		st.Bad += len(bad)
	}
	return st, nil
}
