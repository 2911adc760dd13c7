package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// ends are the signals that ask for an end, with what is then said of the crawl
// that they cut short. SIGABRT is not among them: it shows what every goroutine
// is doing, and ends the program at once.
var ends = map[os.Signal]error{
	os.Interrupt:    errors.New("stopped by the user"),
	syscall.SIGTERM: errors.New("stopped by the user"),
	syscall.SIGQUIT: errors.New("stopped by the user"),
	syscall.SIGHUP:  errors.New("the terminal was closed"),
	syscall.SIGXCPU: errors.New("the limit of processor time was reached"),
}

// untilAsked returns a context that ends, with its cause, when a signal asks the
// program to end. A second Ctrl-C then ends it at once; any other signal is the
// same wish again: a closed terminal and `timeout` send theirs twice.
//
// SIGHUP stays ignored where it was when the program began, as nohup has it.
// With SIGPIPE caught, which programs that are started from here do not inherit,
// a reader of output or logs that goes away is an error of the write, and not
// the end.
func untilAsked() context.Context {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	asked := make(chan os.Signal, 1)
	for s := range ends {
		if s != syscall.SIGHUP || !signal.Ignored(s) {
			signal.Notify(asked, s)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		cause := ends[<-asked]
		signal.Reset(os.Interrupt)
		cancel(cause)
	}()
	return ctx
}
