package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"canopy/crawler"
)

// progressPrinter shows how far a crawl is: one line that is rewritten on a
// terminal, a JSON line a second with --json, and a plain line now and then
// where output goes to a file.
type progressPrinter struct {
	w        io.Writer
	json     bool
	terminal bool

	mu    sync.Mutex
	lines map[string]string        // latest of each network that is being crawled
	last  map[string]time.Duration // when a plain line was written
}

const plainEvery = 15 * time.Second

func newProgress(w io.Writer, asJSON bool) *progressPrinter {
	return &progressPrinter{
		w: w, json: asJSON, terminal: isTerminal(w), lines: map[string]string{}, last: map[string]time.Duration{},
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (p *progressPrinter) show(at crawler.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.json:
		line, err := json.Marshal(struct {
			Event string `json:"event"`
			crawler.Progress
		}{"progress", at})
		if err == nil {
			fmt.Fprintf(p.w, "%s\n", line)
		}
	case p.terminal:
		p.lines[at.Network] = progressLine(at)
		fmt.Fprintf(p.w, "\r\x1b[K%s", strings.Join(slices.Sorted(maps.Values(p.lines)), " | "))
	case at.Elapsed-p.last[at.Network] >= plainEvery:
		p.last[at.Network] = at.Elapsed
		fmt.Fprintln(p.w, progressLine(at))
	}
}

// done forgets a network whose crawl has ended and leaves the terminal on a
// fresh line.
func (p *progressPrinter) done(network string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, shown := p.lines[network]; shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	delete(p.lines, network)
	delete(p.last, network)
}

func progressLine(p crawler.Progress) string {
	if p.Stage != "" {
		return fmt.Sprintf("%s %5s  %s", p.Network, p.Elapsed.Truncate(time.Second), p.Stage)
	}
	return fmt.Sprintf("%s %5s  found %s  answered %s  queue %s  %s queries/s",
		p.Network, p.Elapsed.Truncate(time.Second), count(p.Discovered), count(p.Answered), count(p.Queued+p.InFlight), count(int(p.Rate)))
}

// count writes a whole number with thousands set apart.
func count[N int | int64 | uint64 | uint32](n N) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// say shows one step of something other than a crawl.
func (p *progressPrinter) say(fields map[string]any, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.json:
		if text, err := json.Marshal(fields); err == nil {
			fmt.Fprintf(p.w, "%s\n", text)
		}
	case p.terminal:
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	default:
		fmt.Fprintln(p.w, line)
	}
}

// clear leaves a terminal on a fresh line.
func (p *progressPrinter) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
