package parts

import (
	"context"
	"io"
	"sync"
	"time"
)

// abortTimeout limits the abort of a failed upload.
const abortTimeout = 30 * time.Second

// Target stores the parts of one object.
type Target interface {
	// Single stores an object that has one part only, and returns its version.
	Single(ctx context.Context, content []byte) (version string, err error)
	// Begin begins an object of several parts. If it succeeds, Upload calls Complete or Abort, or
	// Abort after a failed Complete.
	Begin(ctx context.Context) error
	// Part stores a part, counted from 0. It may be called concurrently.
	Part(ctx context.Context, number int, content []byte) error
	// Complete makes an object of the parts 0 to parts-1 and returns its version.
	Complete(ctx context.Context, parts int) (version string, err error)
	// Abort removes the parts of a failed upload.
	Abort(ctx context.Context) error
}

// Upload stores the bytes of body and returns the version of the object. All parts but the last
// have partSize bytes. Upload holds one part in memory, and more if m allows. hint is the size that
// the client has declared, or 0 if unknown; it never makes a buffer larger. When Upload returns, no
// request is running.
func Upload(ctx context.Context, m *Memory, body io.Reader, partSize, hint int64, t Target) (version string,
	err error) {
	f := newFiller(m, body, partSize, hint)
	part, more, err := f.fill()
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
	n, err := send(ctx, f, t, part)
	if err == nil {
		version, err = t.Complete(ctx, n)
	}
	if err != nil {
		// The parts are invisible, but they would take up space. ctx may have ended, so the abort
		// has a context of its own.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		if aerr := t.Abort(ctx); aerr != nil {
			err = &abortError{err, aerr}
		}
	}
	return version, err
}

// abortError is the error of a failed write whose parts could not be removed. It unwraps to the
// error of the write only; the error of the abort is for the log.
type abortError struct{ err, abort error }

func (e *abortError) Error() string {
	return e.err.Error() + " (and its parts remain: " + e.abort.Error() + ")"
}

func (e *abortError) Unwrap() error { return e.err }

// send stores all parts and returns their number. part is the first one, already filled.
func send(ctx context.Context, f *filler, t Target, part []byte) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sending sync.WaitGroup
	defer sending.Wait()
	one := func(number int, part []byte) {
		defer f.m.put(part)
		if err := t.Part(ctx, number, part); err != nil {
			cancel(err) // the first error counts
		}
	}
	for number, more := 0, true; ; {
		if size := int64(cap(part)); more && f.m.reserve(size) {
			sent, n := part, number
			sending.Go(func() {
				defer f.m.release(size)
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
		if part, more, err = f.fill(); err != nil {
			// The error of the body takes precedence over the error of the context, because a body
			// may cancel the context when it fails.
			cancel(err)
			return number, err
		}
	}
}
