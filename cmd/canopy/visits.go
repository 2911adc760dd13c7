package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"canopy/crawler"
	"canopy/crawler/observation"
)

// visitsFile is a sink that also writes every visit as one JSON line. A file
// that takes no more lines, or a pipe whose reader has gone, is told in the end:
// the record gets its visits all the same.
type visitsFile struct {
	crawler.Sink
	file  *os.File
	out   *output // file, behind lines
	lines *bufio.Writer
}

func newVisitsFile(path string, next crawler.Sink) (*visitsFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, usagef("write visits: %w", err)
	}
	out := &output{w: f, what: "write visits"}
	return &visitsFile{Sink: next, file: f, out: out, lines: bufio.NewWriterSize(out, 1<<18)}, nil
}

// Visits writes the lines first: the next sink takes over the slice.
func (s *visitsFile) Visits(ctx context.Context, visits []observation.Visit) error {
	lines := json.NewEncoder(s.lines)
	lines.SetEscapeHTML(false)
	for i := range visits {
		err := lines.Encode(&visits[i])
		if err != nil && s.out.err() == nil {
			return fmt.Errorf("write visits: %w", err)
		}
	}
	return s.Sink.Visits(ctx, visits)
}

// EndCrawl makes sure that the lines are on disk before the crawl ends.
func (s *visitsFile) EndCrawl(ctx context.Context, c observation.Crawl) error {
	_ = s.lines.Flush() // out keeps the error
	err := s.file.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // a pipe or a terminal has no disk
	}
	s.out.fail(errors.Join(err, s.file.Close()))
	return s.Sink.EndCrawl(ctx, c)
}
