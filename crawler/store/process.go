package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// osProcess is one run of a program, told from all others as well as can be.
type osProcess struct {
	host  string // for people: machines and containers may share a name
	pid   int
	place string // within which pid means something; empty where that is not known
	begun uint64 // clock ticks from boot to its beginning; 0 where that is not known
}

// thisProcess describes the process that asks.
var thisProcess = sync.OnceValues(func() (osProcess, error) {
	host, err := os.Hostname()
	if err != nil {
		return osProcess{}, fmt.Errorf("name this machine: %w", err)
	}
	p := osProcess{host: host, pid: os.Getpid()}
	if p.place = placeOfPIDs(p.pid); p.place != "" {
		_, p.begun, _ = processState(p.pid) // 0 when it is not told
	}
	return p, nil
})

// placeOfPIDs names the boot of the machine and the namespaces of process IDs
// and times, empty where /proc does not tell them or tells those of others.
func placeOfPIDs(pid int) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	if seen, err := os.Readlink("/proc/self"); err != nil || seen != strconv.Itoa(pid) {
		return ""
	}
	pids, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	times, err := os.Readlink("/proc/self/ns/time")
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // old kernels have none
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + pids + " " + times
}

// processState reads the state of a process (Z: it has ended) and when it
// began, as proc_pid_stat(5) tells.
func processState(pid int) (state byte, begun uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := bytes.Cut(text[max(0, bytes.LastIndexByte(text, ')')):], []byte(") ")) // its name may hold anything
	fields := bytes.Fields(rest)
	if len(fields) < 20 || len(fields[0]) != 1 {
		return 0, 0, fmt.Errorf("read state of process %d: %q is not understood", pid, text)
	}
	begun, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return fields[0][0], begun, err
}

// outlives says whether other is known to have ended. Of a process elsewhere
// nothing is known.
func (p osProcess) outlives(other osProcess) bool {
	if p.place == "" || p.place != other.place {
		return false
	}
	state, begun, err := processState(other.pid)
	switch {
	case errors.Is(err, fs.ErrNotExist): // or it is hidden from us
		return errors.Is(syscall.Kill(other.pid, 0), syscall.ESRCH)
	case err != nil:
		return false
	}
	return state == 'Z' || state == 'X' || other.begun != 0 && begun != other.begun
}

// sees says whether other runs where p can look at it.
func (p osProcess) sees(other osProcess) bool {
	return p.place != "" && p.place == other.place && !p.outlives(other)
}
