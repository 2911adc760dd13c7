package main

import (
	"errors"
	"io"
	"sync"
)

// output is standard output, or a file beside it. It keeps the first error and
// takes nothing more from then on, so that what prints need not look at every
// line: the error becomes the exit code in the end, when all else is done.
type output struct {
	w    io.Writer
	what string // begins the error

	mu     sync.Mutex
	failed error // an outputError, nil while all is well
}

// Write returns an error that says that output failed, and not its source.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return 0, o.failed
	}
	n, err := o.w.Write(p)
	if err != nil {
		o.failed = outputError{o.what, err}
	}
	return n, o.failed
}

// fail keeps an error of what is behind the output, unless there was one.
func (o *output) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil && o.failed == nil {
		o.failed = outputError{o.what, err}
	}
}

func (o *output) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// outputError means that the work was done, but not all of what it printed
// arrived.
type outputError struct {
	what string
	err  error
}

func (e outputError) Error() string { return e.what + ": " + e.err.Error() }
func (e outputError) Unwrap() error { return e.err }

// foremost is the one of several errors that the exit code is about: what went
// wrong with the work itself, then output that was lost, then a flaw.
func foremost(err error) error {
	var degraded degradedError
	var unwritten outputError
	rest := besidesOutput(err)
	if rest != nil && !errors.As(rest, &degraded) || !errors.As(err, &unwritten) {
		return rest
	}
	return unwritten
}

// besidesOutput is err without the parts of it that only say that output
// failed.
func besidesOutput(err error) error {
	var unwritten outputError
	if !errors.As(err, &unwritten) {
		return err
	}
	switch wrapped := err.(type) { //nolint:errorlint // each layer is looked at
	case interface{ Unwrap() []error }:
		var rest []error
		for _, part := range wrapped.Unwrap() {
			rest = append(rest, besidesOutput(part))
		}
		return errors.Join(rest...)
	case outputError:
		return nil
	}
	return besidesOutput(errors.Unwrap(err))
}
