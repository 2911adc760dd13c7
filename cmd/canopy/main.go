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
	"runtime/debug"
	"syscall"
)

// version is set by the Makefile.
var version = ""

// Exit codes.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2                          // the command line or the configuration is wrong
	exitDegraded = 3                          // done, but with a flaw that was named
	exitPipe     = 128 + int(syscall.SIGPIPE) // who read the output has gone, as shells put it
)

// usageError is the user's to mend, on the command line or in a file.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// degradedError says what is wrong with a result that was kept all the same.
type degradedError struct{ reason string }

func (e degradedError) Error() string { return e.reason }

func main() { os.Exit(run(untilAsked(), os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &output{w: stdout, what: "write output"}
	root := newRoot(&app{stdout: out, stderr: stderr})
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	return exitCode(foremost(errors.Join(err, out.err())), stderr)
}

func exitCode(err error, stderr io.Writer) int {
	var usage usageError
	var degraded degradedError
	var unwritten outputError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &unwritten) && errors.Is(unwritten, syscall.EPIPE):
		return exitPipe // the reader has seen enough and wants no message
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
