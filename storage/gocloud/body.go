package gocloud

import (
	"context"
	"errors"
	"io"
	"sync"
)

// body is the reader that gocloud.dev writes from. Closing a writer of gocloud.dev commits what it
// has been given, even after its body failed. So a body that fails cancels the context of the write
// before it returns its error; gocloud.dev checks the context before it commits.
//
// The body ends in a separate Read that yields no bytes. If the writer writes in step with its
// reads, all bytes have been written when that Read begins.
type body struct {
	ctx    context.Context
	cancel context.CancelFunc // of the context of the write
	from   io.Reader          // nil is empty
	// end, unless nil, is called once when from has ended, before the reader of the body learns
	// that. Its error fails the write.
	end func() error

	size  int64 // bytes read so far
	ended bool
	err   error // why the write must fail
}

// newBody returns a body and the context for the write of it.
func newBody(ctx context.Context, from io.Reader, end func() error) (context.Context, *body) {
	b := &body{ctx: ctx, from: from, end: end}
	ctx, b.cancel = context.WithCancel(ctx)
	return ctx, b
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, errAborted
	}
	if b.ended {
		return 0, io.EOF
	}
	if err := b.ctx.Err(); err != nil {
		return 0, b.fail(err)
	}
	if b.from != nil {
		n, err := b.from.Read(p)
		b.size += int64(n)
		if err == io.EOF { //nolint:errorlint // one that wraps it is an error
			b.from = nil
		} else if err != nil {
			return 0, b.fail(&bodyError{err})
		}
		if n > 0 || err == nil {
			return n, nil
		}
	}
	if err := b.ctx.Err(); err != nil {
		return 0, b.fail(err)
	}
	if b.end != nil {
		if err := b.end(); err != nil {
			return 0, b.fail(err)
		}
	}
	b.ended = true
	return 0, io.EOF
}

// errAborted is returned to the reader of a body instead of the real error, which the reader might
// mistake for the end of the body. finish returns the real error.
var errAborted = errors.New("gocloud: the write is aborted")

func (b *body) fail(err error) error {
	b.err = err
	b.cancel()
	return errAborted
}

// WriteTo implements [io.WriterTo]. Without it gocloud.dev allocates 1 MiB for each write.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	var total int64
	for {
		n, err := b.Read(buf[:])
		if n > 0 {
			written, werr := w.Write(buf[:n])
			total += int64(written)
			if werr != nil {
				b.cancel()
				return total, werr
			}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

const copyBufferSize = 64 << 10

// copyBuffers pools memory and holds no state.
var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// finish returns the outcome of a write that has ended, given the error of the writer. The error of
// the body itself comes first.
func (b *body) finish(err error) error {
	defer b.cancel()
	if b.err != nil {
		return b.err
	}
	if err == nil && !b.ended {
		return errors.New("gocloud: the bucket has stored a body without reading it to its end")
	}
	return err
}

// errTooLarge is returned when a body is larger than an object can be.
var errTooLarge = errors.New("gocloud: the body is larger than an object can be")

// limitedBody fails with errTooLarge if its body has more than room bytes.
type limitedBody struct {
	body io.Reader
	room int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.room+1 {
		p = p[:b.room+1]
	}
	n, err := b.body.Read(p)
	if b.room -= int64(n); b.room < 0 {
		return 0, errTooLarge
	}
	return n, err
}
