package parts

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// abortTimeout is how long the end of an upload that has failed may take.
const abortTimeout = 30 * time.Second

// Target is where the parts of one object go.
type Target interface {
	// Size returns the size of a part in bytes, counted from 0, and a hint at the size of the whole; 0 means not known.
	Size(number int) (part, whole int64)
	// Single stores what is one part only, and returns the version of the object.
	Single(ctx context.Context, content []byte) (version string, err error)
	// Begin begins what has several parts. From then on there is one call of Complete or Abort, or both.
	Begin(ctx context.Context) error
	// Part stores a part, counted from 0. It may be called concurrently.
	Part(ctx context.Context, number int, content []byte) error
	// Complete makes an object of so many parts and returns its version.
	Complete(ctx context.Context, parts int) (version string, err error)
	// Abort removes the parts of what has failed.
	Abort(ctx context.Context) error
}

// Upload stores what body holds and returns the version of the object. It holds one part, and others as far as the memory allows. When it
// returns, nothing is on its way any more.
func Upload(ctx context.Context, m *Memory, body io.Reader, t Target) (version string, err error) {
	f := &filler{m: m, body: body, t: t}
	part, more, err := f.fill(0)
	if err != nil {
		return "", err
	}
	if !more {
		defer m.put(part)
		return t.Single(ctx, part)
	}
	if err := t.Begin(ctx); err != nil {
		m.put(part)
		return "", err
	}
	n, err := send(ctx, f, part)
	if err == nil {
		version, err = t.Complete(ctx, n)
	}
	if err != nil {
		// Nobody sees the parts, and they would cost their space. The reason may be that ctx has ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		if aerr := t.Abort(ctx); aerr != nil {
			err = &abortError{err, aerr}
		}
	}
	return version, err
}

// abortError is why a write has failed, with, for the log, why its parts could not be removed.
type abortError struct{ err, abort error }

func (e *abortError) Error() string {
	return e.err.Error() + " (and its parts remain: " + e.abort.Error() + ")"
}

func (e *abortError) Unwrap() error { return e.err }

// send stores all parts, of which the first has been filled, and returns how many.
func send(ctx context.Context, f *filler, part []byte) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sending sync.WaitGroup
	defer sending.Wait()
	one := func(number int, part []byte) {
		defer f.m.put(part)
		if err := f.t.Part(ctx, number, part); err != nil {
			cancel(err) // the first counts
		}
	}
	for number, more := 0, true; ; {
		if size := int64(cap(part)); more && f.m.ahead(size) {
			sent, n := part, number
			sending.Go(func() {
				defer f.m.done(size)
				one(n, sent)
			})
		} else {
			one(number, part)
		}
		number++
		if !more {
			sending.Wait()
			return number, context.Cause(ctx)
		}
		if ctx.Err() != nil {
			return number, context.Cause(ctx)
		}
		var err error
		if part, more, err = f.fill(number); err != nil {
			// The body's own error comes first: it has cancelled the context, if that is how it says so.
			cancel(err)
			return number, err
		}
	}
}

// filler reads a body part by part.
type filler struct {
	m    *Memory
	body io.Reader
	t    Target

	next   [1]byte // read ahead to see whether there is more
	peeked bool
}

// fill reads a part into a buffer, and reports whether there is more after it. The buffer grows with what it holds, so that what is small
// takes little.
func (f *filler) fill(number int) (part []byte, more bool, err error) {
	size, whole := f.t.Size(number)
	first := int64(smallBuffer)
	switch {
	case number > 0:
		first = size
	case whole >= size:
		first = largeBuffer
	case whole > 0:
		first = whole
	}
	buf := f.m.get(min(first, size))
	n := 0
	if f.peeked {
		buf[0], n, f.peeked = f.next[0], 1, false
	}
	for {
		read, err := io.ReadFull(f.body, buf[n:])
		n += read
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return buf[:n], false, nil
		}
		if err == nil {
			_, err = io.ReadFull(f.body, f.next[:])
			if errors.Is(err, io.EOF) {
				return buf[:n], false, nil
			}
			f.peeked = err == nil
		}
		if err != nil {
			f.m.put(buf)
			return nil, false, err
		}
		if int64(len(buf)) >= size {
			return buf, true, nil
		}
		next := int64(middleBuffer)
		switch {
		case len(buf) >= largeBuffer:
			next = 2 * int64(len(buf))
		case len(buf) >= middleBuffer:
			next = largeBuffer
		}
		larger := f.m.get(min(size, next))
		n = copy(larger, buf)
		f.m.put(buf)
		larger[n], f.peeked = f.next[0], false
		n++
		buf = larger
	}
}
