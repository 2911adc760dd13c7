package chdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// body hands out an answer of the engine and frees it when it is closed or
// when the request's context ends, whichever comes first.
type body struct {
	mu     sync.Mutex
	answer *answer // nil once freed
	source io.Reader
	ctx    context.Context
	stop   func() bool
}

func newBody(ctx context.Context, a *answer, source io.Reader) *body {
	b := &body{answer: a, source: source, ctx: ctx}
	b.stop = context.AfterFunc(ctx, b.free)
	return b
}

// Read copies out of the engine's memory.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answer == nil {
		if err := b.ctx.Err(); err != nil {
			return 0, err
		}
		return 0, errors.New("read answer: body is closed")
	}
	return b.source.Read(p)
}

// Close frees the answer.
func (b *body) Close() error {
	b.stop()
	b.free()
	return nil
}

func (b *body) free() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answer != nil {
		b.answer.free()
		b.answer = nil
	}
}

// recoder turns Native blocks of revision 0, which is what the engine writes,
// into those of the revision that a client asked for, one block at a time.
type recoder struct {
	in       *chproto.Reader
	out      chproto.Buffer
	unread   []byte // of out
	revision uint64
}

func newRecoder(raw []byte, revision uint64) *recoder {
	return &recoder{in: chproto.NewReader(bytes.NewReader(raw)), revision: revision}
}

// Read returns io.EOF after the last block.
func (r *recoder) Read(p []byte) (int, error) {
	for len(r.unread) == 0 {
		block := proto.Block{ServerContext: &column.ServerContext{}}
		if err := block.Decode(r.in, 0); err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return 0, io.EOF
			}
			return 0, fmt.Errorf("recode the engine's answer: %w", err)
		}
		r.out.Reset()
		if err := encode(&block, &r.out, r.revision); err != nil {
			return 0, fmt.Errorf("recode the engine's answer: %w", err)
		}
		r.unread = r.out.Buf
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

// encode writes block, making up for what Block.Encode does not do: a block
// without rows carries no serialization prefix, a bare NULL takes a byte a row,
// and an interval can't be written.
func encode(block *proto.Block, out *chproto.Buffer, revision uint64) error {
	rows := block.Rows()
	if err := block.EncodeHeader(out, revision); err != nil {
		return err
	}
	for i, c := range block.Columns {
		switch {
		case rows == 0:
			encodeEmpty(c, out, revision)
			continue
		case strings.Contains(string(c.Type()), "Interval"):
			return fmt.Errorf("column %s is an interval, which the client can't read: wrap it in toString()", c.Name())
		}
		if err := block.EncodeColumn(out, revision, i); err != nil {
			return err
		}
		if c.Type() == "Nullable(Nothing)" {
			out.Buf = append(out.Buf, make([]byte, rows)...)
		}
	}
	return nil
}

func encodeEmpty(c column.Interface, out *chproto.Buffer, revision uint64) {
	out.PutString(c.Name())
	out.PutString(string(c.Type()))
	if revision >= proto.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION {
		out.PutBool(false)
	}
}
