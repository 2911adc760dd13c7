// Command canopy observes peer-to-peer networks: it crawls them, keeps what it
// saw in ClickHouse, and reports who runs them and on whose land.
//
// One file holds one command; main.go turns errors into exit codes, app.go
// wires the parts together by hand.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// version is set by the Makefile.
var version = ""

// Exit codes.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2 // the command line or the configuration is wrong
	exitDegraded = 3 // done, but with a flaw that was named
)

// usageError is the user's to mend, on the command line or in a file.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// degradedError says what is wrong with a result that was kept all the same.
type degradedError struct{ reason string }

func (e degradedError) Error() string { return e.reason }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(&app{stdout: stdout, stderr: stderr})
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return exitCode(root.ExecuteContext(ctx), stderr)
}

func exitCode(err error, stderr io.Writer) int {
	var usage usageError
	var degraded degradedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &degraded):
		fmt.Fprintln(stderr, "canopy: degraded:", degraded)
		return exitDegraded
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "canopy:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "canopy:", err)
		return exitFailed
	}
}

// software names this program in records, reports and on the wire.
func software() string { return "canopy/" + versionString() }

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
