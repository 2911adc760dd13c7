// Package process tells benchmarks what a process has used.
package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CPU is what this process has had of the processors so far, which a busy
// machine does not stretch as it does the clock.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // of a wrong argument only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Memory figures of a process, as Linux names them in /proc/PID/status.
const (
	Resident = "VmRSS"
	Peak     = "VmHWM"
)

// Memory reads one of the memory figures of a process, in bytes.
func Memory(pid int, field string) (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory of a process: %w", err)
	}
	for line := range bytes.Lines(status) {
		if rest, ok := strings.CutPrefix(string(line), field+":"); ok {
			kB, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read memory of a process: %w", err)
			}
			return kB << 10, nil
		}
	}
	return 0, fmt.Errorf("read memory of a process: no %s of process %d", field, pid)
}

// ForgetPeak starts the peak of this process anew.
func ForgetPeak() error {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return fmt.Errorf("forget the memory peak: %w", err)
	}
	return nil
}
