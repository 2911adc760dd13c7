package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"

	sys "golang.org/x/sys/unix"

	"canopy/crawler/store/chdb"
)

// The served record runs in a process without rights. It begins as any other
// command; then it opens what it needs, gives up its rights, and becomes a new
// program in the same process, whose environment holds no secrets and whose
// threads have no rights from the start. What it needs to know comes through a
// pipe.

// envHandover names the files that a confined process inherits: the listener
// and the pipe.
const envHandover = "CANOPY_SERVE_HANDOVER"

// handover is what the confined process is told.
type handover struct {
	Listen   string   `json:"listen"`
	Password string   `json:"password"`
	Given    bool     `json:"given"` // the password, by the steward
	Walls    []string `json:"walls"`
	Missing  []string `json:"missing"` // walls that this system does not have
}

// kept are the variables that a confined process inherits.
func kept(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	switch name {
	case chdb.EnvLibrary, "PATH", "HOME", "TZ", "LANG", "GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG", "GOTRACEBACK", "NO_COLOR":
		return true
	}
	return strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "CANOPY_TEST_")
}

// becomeConfined replaces this program by one that serves dir and nothing
// else. It returns only if that fails.
func becomeConfined(h handover, l filer, dir string, args []string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	library, err := chdb.Find()
	if err != nil {
		return err
	}
	listener, err := l.File()
	if err != nil {
		return fmt.Errorf("hand over listener: %w", err)
	}
	runtime.LockOSThread() // the rights are those of a thread, and the program that follows has them
	h.Walls, h.Missing = dropFileRights(confinement{read: []string{exe, library}, write: dir})
	pipe, err := writeHandover(h)
	if err != nil {
		return err
	}
	env := []string{fmt.Sprintf("%s=%d,%d", envHandover, listener.Fd(), pipe.Fd())}
	for _, variable := range os.Environ() {
		if kept(variable) {
			env = append(env, variable)
		}
	}
	for _, file := range []*os.File{listener, pipe} {
		if _, err := sys.FcntlInt(file.Fd(), sys.F_SETFD, 0); err != nil {
			return fmt.Errorf("hand over files: %w", err)
		}
	}
	err = syscall.Exec(exe, append([]string{os.Args[0]}, args...), env)
	runtime.KeepAlive(listener)
	runtime.KeepAlive(pipe)
	return fmt.Errorf("start own program anew: %w", err)
}

// filer is a listener that can be handed over.
type filer interface {
	net.Listener
	File() (*os.File, error)
}

func writeHandover(h handover) (*os.File, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("hand over password: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("hand over password: %w", err)
	}
	if len(text) > 4096 { // what every pipe takes
		return nil, errors.New("hand over password: it is too long")
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("hand over password: %w", err)
	}
	return r, w.Close()
}

// The first thread of a process learns where its stack is from /proc, which a
// confined process does not see, and the engine wants to know. So the engine
// never runs on that thread: the main goroutine, which begins on it, stays.
func init() {
	if os.Getenv(envHandover) != "" {
		runtime.LockOSThread()
	}
}

// besideMain calls f on another thread than the first.
func besideMain(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return <-done
}

// takeOver is the other end of becomeConfined. The listener is nil in a process
// that has not been confined yet.
func takeOver() (h handover, l net.Listener, err error) {
	var listener, pipe uintptr
	text := os.Getenv(envHandover)
	if text == "" {
		return h, nil, nil
	}
	if _, err := fmt.Sscanf(text, "%d,%d", &listener, &pipe); err != nil {
		return h, nil, fmt.Errorf("read %s: %w (unset it)", envHandover, err)
	}
	from := os.NewFile(pipe, "handover")
	defer from.Close() //nolint:errcheck // only read
	if err := json.NewDecoder(io.LimitReader(from, 8192)).Decode(&h); err != nil {
		return h, nil, fmt.Errorf("take over password: %w", err)
	}
	file := os.NewFile(listener, "listener")
	defer file.Close() //nolint:errcheck // the listener has a copy
	if l, err = net.FileListener(file); err != nil {
		return h, nil, fmt.Errorf("take over listener: %w", err)
	}
	walls, missing := dropCallRights()
	h.Walls, h.Missing = append(h.Walls, walls...), append(h.Missing, missing...)
	return h, l, nil
}

// confinement is what a confined process may still reach.
type confinement struct {
	read  []string // files, and folders with all below
	write string   // folder of the record
}
