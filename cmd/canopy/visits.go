package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"canopy/crawler"
	"canopy/crawler/observation"
)

// visitsFile is a sink that also writes every visit as one JSON line.
type visitsFile struct {
	crawler.Sink
	file *os.File
	w    *bufio.Writer
}

func newVisitsFile(path string, next crawler.Sink) (*visitsFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, usagef("write visits: %w", err)
	}
	return &visitsFile{Sink: next, file: f, w: bufio.NewWriterSize(f, 1<<18)}, nil
}

// Visits writes the lines first: the next sink takes over the slice.
func (s *visitsFile) Visits(ctx context.Context, visits []observation.Visit) error {
	lines := json.NewEncoder(s.w)
	lines.SetEscapeHTML(false)
	for i := range visits {
		if err := lines.Encode(&visits[i]); err != nil {
			return fmt.Errorf("write visits to %s: %w", s.file.Name(), err)
		}
	}
	return s.Sink.Visits(ctx, visits)
}

// EndCrawl makes sure that the lines are on disk before the crawl ends.
func (s *visitsFile) EndCrawl(ctx context.Context, c observation.Crawl) error {
	err := errors.Join(s.w.Flush(), s.file.Sync(), s.file.Close())
	if err != nil {
		err = fmt.Errorf("write visits to %s: %w", s.file.Name(), err)
	}
	return errors.Join(err, s.Sink.EndCrawl(ctx, c))
}
