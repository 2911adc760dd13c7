package chdb

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Holder says who has a store folder open.
type Holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// LockedError means that another process has the folder open.
type LockedError struct {
	Dir    string
	Holder Holder // zero when the holder did not say
}

// Error names the holder and what to do.
func (e *LockedError) Error() string {
	who := "another process"
	if h := e.Holder; h.PID != 0 {
		who = fmt.Sprintf("process %d on %s (%s, since %s)", h.PID, h.Host, h.Command, h.Since.Format(time.DateTime+" MST"))
	}
	return fmt.Sprintf("store folder %s is in use by %s: stop it first, or reach its data through `canopy store serve`", e.Dir, who)
}

// folderLock is an advisory lock on a file of the folder. The system drops it
// when the process ends, however that happens, so no crash leaves it behind.
type folderLock struct {
	flock *flock.Flock
	path  string
}

func lockFolder(dir string) (*folderLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create store folder: %w (choose a folder that you may write, with --store chdb:DIR)", err)
	}
	path := filepath.Join(dir, "canopy.lock")
	l := &folderLock{flock: flock.New(path, flock.SetPermissions(0o644)), path: path}
	ok, err := l.flock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock store folder: %w (choose a folder that you may write, with --store chdb:DIR)", err)
	}
	if !ok {
		locked := &LockedError{Dir: dir}
		if text, err := os.ReadFile(path); err == nil {
			_ = json.Unmarshal(text, &locked.Holder) // a half-written note is no note
		}
		return nil, locked
	}
	if err := l.sign(); err != nil {
		_ = l.flock.Unlock()
		return nil, fmt.Errorf("lock store folder: %w", err)
	}
	return l, nil
}

// credentials matches the user part of a URL.
var credentials = regexp.MustCompile(`//[^/@\s]*@`)

func (l *folderLock) sign() error {
	host, _ := os.Hostname()
	note, err := json.Marshal(Holder{
		PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second),
		Command: credentials.ReplaceAllString(strings.Join(os.Args, " "), "//"),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(l.path, append(note, '\n'), 0o644)
}

// release empties the note and drops the lock. The file stays: removing it
// would let two others lock two different files of the same name.
func (l *folderLock) release() error {
	_ = os.Truncate(l.path, 0)
	return l.flock.Unlock()
}
