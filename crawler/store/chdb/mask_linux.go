package chdb

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// keepMask runs f and gives the thread its signal mask back: libchdb blocks
// SIGPIPE in the thread that loads it, and programs that are started from that
// thread would inherit it.
func keepMask(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var mask unix.Sigset_t
	if unix.PthreadSigmask(unix.SIG_BLOCK, nil, &mask) == nil {
		defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil) }()
	}
	f()
}
