package nebula

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"canopy/crawler/identifier"
	"canopy/crawler/observation"
)

// Sink takes what was read; the record is one.
type Sink interface {
	BeginCrawl(context.Context, observation.Crawl) error
	Visits(context.Context, []observation.Visit) error
	Edges(context.Context, []observation.Edge) error
	EndCrawl(context.Context, observation.Crawl) error
}

// Options say how a crawl is read.
type Options struct {
	Network observation.Network
	Vantage string
	Facts   func(netip.Addr) observation.Facts // of an address, as is known today
	Notes   []string                           // what a reader must know beside what the files tell
	Allow   func(netip.Addr) bool              // may this address stand for a peer? default: public ones
}

// Report is what was read of one crawl.
type Report struct {
	Crawl    observation.Crawl `json:"crawl"`
	Visits   int               `json:"visits"`
	Edges    int               `json:"edges"`    // routing tables
	Bad      int               `json:"bad"`      // lines that can't be believed, left out
	Repeated int               `json:"repeated"` // visits to a peer that was visited before, left out
	Strange  int               `json:"strange"`  // neighbours that were never visited, left out of tables
	Cut      Cuts              `json:"cut"`      // left out of lists of lines that were kept
	Examples []string          `json:"examples,omitempty"`
}

// examples is how many bad lines are named.
const examples = 5

func (r *Report) bad(file string, line int, err error) {
	if r.Bad++; len(r.Examples) < examples {
		r.Examples = append(r.Examples, fmt.Sprintf("%s, line %d: %s", filepath.Base(file), line, observation.Text(err.Error())))
	}
}

// batch is how many rows are handed over at a time.
const batch = 10_000

// Import reads one crawl into a sink. All lines are checked before the first is
// handed over, so that what is no crawl leaves nothing behind: a crawl without
// a visit, or of which more lines are bad than good, is refused. To import the
// same crawl again gives the same rows again.
func Import(ctx context.Context, f Files, o Options, sink Sink) (*Report, error) {
	c, err := f.readHead(o.Network, o.Vantage)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", f.Prefix, err)
	}
	if o.Allow == nil {
		o.Allow = public
	}
	r := &reader{Options: o, files: f, report: &Report{Crawl: c}, numbers: map[string]uint32{}}
	if err := r.check(ctx); err != nil {
		return nil, fmt.Errorf("import %s: %w", f.Prefix, err)
	}
	if err := r.hand(ctx, sink); err != nil {
		return nil, fmt.Errorf("import %s: %w", f.Prefix, err)
	}
	return r.report, nil
}

// reader reads the files of one crawl twice.
type reader struct {
	Options
	files   Files
	report  *Report
	numbers map[string]uint32 // of peers, in the order of the visits
	failed  []bool            // peers that were connected to, and of which not all was read
	named   []uint32          // how many neighbours each peer named
	partial []bool
	reached int
}

// check is the first reading: it numbers the peers and counts what can be
// believed.
func (r *reader) check(ctx context.Context) error {
	good := 0
	err := eachLine(ctx, r.files.Visits, func(n int, line []byte, err error) error {
		var v observation.Visit
		var cut Cuts
		if err == nil {
			v, cut, err = decodeVisit(line, r.Allow)
		}
		if err != nil {
			r.report.bad(r.files.Visits, n, err)
			return nil
		}
		good++
		if _, again := r.numbers[v.PeerID]; again {
			r.report.Repeated++
			return nil
		}
		r.numbers[v.PeerID] = uint32(len(r.numbers))
		r.report.Cut.add(cut)
		if v.Outcome == observation.Answered {
			r.reached++
		}
		r.failed = append(r.failed, v.Outcome != observation.Answered && v.Handshake > 0)
		return nil
	})
	if err != nil {
		return err
	}
	if good == 0 && r.report.Bad == 0 {
		return fmt.Errorf("%s is empty, so nothing was imported", filepath.Base(r.files.Visits))
	}
	if good == 0 || r.report.Bad > good {
		return fmt.Errorf("%s: %d of %d lines are no visits of Nebula, so nothing was imported: %s", filepath.Base(r.files.Visits), r.report.Bad, r.report.Bad+good, r.report.Examples[0])
	}
	r.named, r.partial = make([]uint32, len(r.numbers)), make([]bool, len(r.numbers))
	seen := make([]bool, len(r.numbers))
	bad, tables := r.report.Bad, 0
	err = r.eachTable(ctx, true, func(e observation.Edge) error {
		if seen[e.Peer] {
			r.report.Repeated++
			return nil
		}
		seen[e.Peer] = true
		tables++
		if r.answeredPartly(e.Peer, len(e.Neighbours)) {
			r.reached++
		}
		r.named[e.Peer], r.partial[e.Peer] = uint32(len(e.Neighbours)), e.Partial
		return nil
	})
	if bad = r.report.Bad - bad; err == nil && bad > tables {
		err = fmt.Errorf("%s: %d of %d lines are no routing tables of Nebula, so nothing was imported: %s", filepath.Base(r.files.Neighbours), bad, bad+tables, r.report.Examples[len(r.report.Examples)-1])
	}
	return err
}

// answeredPartly says whether a peer answered, as itself, though Nebula calls its
// visit failed: it does so when one of sixteen questions stays without an answer.
func (r *reader) answeredPartly(peer uint32, neighbours int) bool {
	return r.failed[peer] && neighbours > 0
}

// eachTable reads routing tables of peers that were visited. Bad lines count
// only when asked to.
func (r *reader) eachTable(ctx context.Context, count bool, each func(observation.Edge) error) error {
	return eachLine(ctx, r.files.Neighbours, func(n int, line []byte, err error) error {
		var in neighboursLine
		var partial bool
		var cut int
		if err == nil {
			in, partial, cut, err = decodeNeighbours(line)
		}
		number, visited := r.numbers[in.PeerID]
		if err == nil && !visited {
			err = errors.New("the peer was never visited")
		}
		if err != nil {
			if count {
				r.report.bad(r.files.Neighbours, n, err)
			}
			return nil
		}
		e := observation.Edge{CrawlID: r.report.Crawl.ID, Network: r.Network.Name, Peer: number, Partial: partial}
		for _, id := range in.NeighborIDs {
			to, ok := r.number(id)
			switch {
			case ok && to != number:
				e.Neighbours = append(e.Neighbours, to)
			case !ok && count:
				r.report.Strange++
			}
		}
		if count {
			r.report.Cut.Neighbours += cut
		}
		slices.Sort(e.Neighbours)
		e.Neighbours = slices.Compact(e.Neighbours)
		return each(e)
	})
}

// number is that of a peer that was visited, however its ID is written.
func (r *reader) number(id string) (number uint32, visited bool) {
	if number, visited = r.numbers[id]; !visited {
		number, visited = r.numbers[identifier.Recorded(id)]
	}
	return number, visited
}

// hand is the second reading. When it ends early the crawl is marked so.
func (r *reader) hand(ctx context.Context, sink Sink) error {
	c := &r.report.Crawl
	c.Notes = append(c.Notes, "Imported from Nebula.")
	c.Notes = append(c.Notes, r.Notes...)
	if r.report.Bad > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%d lines of its files could not be believed and were left out.", r.report.Bad))
	}
	if cut := r.report.Cut.String(); cut != "" {
		c.Notes = append(c.Notes, "Left out of its lists: "+cut+".")
	}
	c.Discovered, c.Reachable = uint64(len(r.numbers)), uint64(r.reached)
	if err := sink.BeginCrawl(ctx, *c); err != nil {
		return err
	}
	err := r.handVisits(ctx, sink)
	if err == nil {
		err = r.handEdges(ctx, sink)
	}
	if err != nil {
		return errors.Join(err, r.abandon(ctx, sink))
	}
	return sink.EndCrawl(ctx, *c)
}

// Interrupted is part of the notes of a crawl of which not all was imported.
const Interrupted = "The import ended before all was read"

// ID is that of the crawl in the record.
func (f Files) ID(o Options) (observation.CrawlID, error) {
	c, err := f.readHead(o.Network, o.Vantage)
	if err != nil {
		return c.ID, fmt.Errorf("import %s: %w", f.Prefix, err)
	}
	return c.ID, nil
}

// settle is how long an interrupted import may take to say so.
const settle = time.Minute

// abandon marks a crawl whose import ended early; to import it again mends it.
func (r *reader) abandon(ctx context.Context, sink Sink) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
	defer cancel()
	c := r.report.Crawl
	c.State, c.Notes = observation.CutShort, append(slices.Clone(c.Notes), Interrupted+"; import it again.")
	c.Discovered, c.Reachable = uint64(r.report.Visits), 0
	return sink.EndCrawl(ctx, c)
}

func (r *reader) handVisits(ctx context.Context, sink Sink) error {
	var list []observation.Visit
	flush := func() error {
		err := sink.Visits(ctx, list)
		r.report.Visits += len(list)
		list = nil // the sink has it
		return err
	}
	next := uint32(0)
	err := eachLine(ctx, r.files.Visits, func(_ int, line []byte, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it was counted before
		}
		v, _, err := decodeVisit(line, r.Allow)
		if err != nil || next == uint32(len(r.numbers)) || r.numbers[v.PeerID] != next { // bad, or visited before
			return nil //nolint:nilerr // it was counted before
		}
		next++
		v.Network, v.CrawlID, v.Number = r.Network.Name, r.report.Crawl.ID, r.numbers[v.PeerID]
		v.Neighbours, v.Partial = r.named[v.Number], r.partial[v.Number]
		if r.answeredPartly(v.Number, int(v.Neighbours)) {
			v.Outcome, v.Detail, v.Partial = observation.Answered, "", true
		}
		if v.Address.IsValid() {
			v.Facts = r.Facts(v.Address.Addr())
		}
		if list = append(list, v); len(list) == batch {
			return flush()
		}
		return nil
	})
	return errors.Join(err, flush())
}

func (r *reader) handEdges(ctx context.Context, sink Sink) error {
	var list []observation.Edge
	flush := func() error {
		err := sink.Edges(ctx, list)
		list = nil
		return err
	}
	seen := make([]bool, len(r.numbers))
	err := r.eachTable(ctx, false, func(e observation.Edge) error {
		if seen[e.Peer] {
			return nil
		}
		seen[e.Peer] = true
		r.report.Edges++
		if list = append(list, e); len(list) == batch/10 {
			return flush()
		}
		return nil
	})
	return errors.Join(err, flush())
}

// eachLine reads a file line by line; a line that is too long is skipped and
// told as an error. Empty lines are none.
func eachLine(ctx context.Context, path string, each func(n int, line []byte, err error) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	if strings.HasSuffix(path, packed) {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(path), err)
		}
		in = bufio.NewReaderSize(unpacked, 1<<20)
	}
	var long []byte
	for n := 1; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, tooLong, err := nextLine(in, &long)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", filepath.Base(path), err)
		}
		var wrong error
		if tooLong {
			wrong = fmt.Errorf("it is longer than %d bytes", maxLine)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 || tooLong {
			if err := each(n, line, wrong); err != nil {
				return err
			}
		}
		if err != nil {
			return nil //nolint:nilerr // the end of the file
		}
	}
}

// nextLine reads one line into a buffer that is used again.
func nextLine(in *bufio.Reader, buffer *[]byte) (line []byte, tooLong bool, err error) {
	*buffer = (*buffer)[:0]
	for {
		piece, err := in.ReadSlice('\n')
		if len(*buffer)+len(piece) > maxLine {
			tooLong = true
			*buffer = (*buffer)[:0]
		}
		if !tooLong {
			*buffer = append(*buffer, piece...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return *buffer, tooLong, err
		}
	}
}
