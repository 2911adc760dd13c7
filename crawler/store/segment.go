package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/ClickHouse/ch-go/compress"
)

// A segment is one block on disk, in ClickHouse's own form for compressed
// blocks, each of which bears a checksum: the first holds a segmentHeader as
// JSON, the others hold the block's data.
type segmentHeader struct {
	Canopy  int      `json:"canopy_segment"` // version of the format
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
	Rows    int      `json:"rows"`
	Bytes   int      `json:"bytes"` // of the data, uncompressed
}

const (
	segmentVersion  = 1
	segmentPiece    = 1 << 20 // of data in one compressed block
	maxSegmentBytes = 1 << 30
)

func encodeSegment(b *block) ([]byte, error) {
	header, err := json.Marshal(segmentHeader{segmentVersion, b.table, b.columns, b.rows, len(b.data)})
	if err != nil {
		return nil, fmt.Errorf("encode segment: %w", err)
	}
	var out []byte
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	for piece, rest := header, b.data; len(piece) > 0; {
		if err := w.Compress(piece); err != nil {
			return nil, fmt.Errorf("encode segment: %w", err)
		}
		out = append(out, w.Data...)
		n := min(segmentPiece, len(rest))
		piece, rest = rest[:n], rest[n:]
	}
	return out, nil
}

var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// decodeSegment reads what encodeSegment wrote. An error means that raw is
// torn or corrupt.
func decodeSegment(raw []byte) (*block, error) {
	in := bytes.NewReader(raw)
	r := compress.NewReader(in)
	var h segmentHeader
	first := make([]byte, 1<<16) // a read returns no more than one compressed block
	n, err := r.Read(first)
	if err != nil {
		return nil, fmt.Errorf("read segment header: %w", err)
	}
	if err := json.Unmarshal(first[:n], &h); err != nil {
		return nil, fmt.Errorf("read segment header: %w", err)
	}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("read segment header: %w", err)
	}
	// What the header says is claimed, not proven: memory grows with what is there.
	data, err := io.ReadAll(io.LimitReader(untilEmpty{r, in}, int64(h.Bytes)+1))
	if err != nil {
		return nil, fmt.Errorf("read segment: %w", err)
	}
	if len(data) != h.Bytes {
		return nil, fmt.Errorf("read segment: %d bytes of %d", len(data), h.Bytes)
	}
	return &block{table: h.Table, columns: h.Columns, rows: h.Rows, data: data}, nil
}

func (h *segmentHeader) check() error {
	if h.Canopy != segmentVersion {
		return fmt.Errorf("version %d, want %d", h.Canopy, segmentVersion)
	}
	if h.Rows <= 0 || h.Bytes <= 0 || h.Bytes > maxSegmentBytes || len(h.Columns) == 0 {
		return errors.New("sizes make no sense")
	}
	for _, name := range append([]string{h.Table}, h.Columns...) {
		if !identifier.MatchString(name) {
			return fmt.Errorf("%q is no name", name)
		}
	}
	return nil
}

// untilEmpty ends with io.EOF where nothing follows the last compressed block,
// which the reader itself takes for an error.
type untilEmpty struct {
	r    *compress.Reader
	left *bytes.Reader
}

func (u untilEmpty) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err != nil && u.left.Len() == 0 && errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return n, io.EOF
	}
	return n, err
}
