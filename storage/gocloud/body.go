package gocloud

import (
	"context"
	"errors"
	"io"
	"sync"
)

// body is what is given to gocloud.dev to write. Closing a writer there commits what it has been
// given, also after its body failed, so a body that fails cancels the context of the write and only
// then says so; gocloud.dev looks at the context before it commits.
//
// It ends in a Read of its own that yields no bytes. By then all before have been written, as far
// as whoever reads writes in step.
type body struct {
	ctx    context.Context
	cancel context.CancelFunc // of the context of the write
	from   io.Reader          // nil is empty
	// unless nil, is called once when from has ended, before whoever reads is told; may still
	// refuse
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

// errAborted is what whoever reads a body gets instead of the reason, which it might take for the
// end.
var errAborted = errors.New("gocloud: the write is aborted")

func (b *body) fail(err error) error {
	b.err = err
	b.cancel()
	return errAborted
}

// WriteTo implements [io.WriterTo]: without it gocloud.dev allocates 1 MiB for each write.
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

// copyBuffers holds no state, only memory to use again.
var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// finish returns the outcome of the write, given what the writer returned: what the body knows of
// it comes first. The write is over.
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

// errTooLarge is why a body is not stored that does not fit an object.
var errTooLarge = errors.New("gocloud: the body is larger than an object can be")

// limitedBody fails with errTooLarge if there is more than room bytes.
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
