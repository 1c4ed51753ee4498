package gocloud

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// DefaultStallTimeout is the default of Options.StallTimeout.
const DefaultStallTimeout = 2 * time.Minute

// watch ends the context of a request when the store makes no progress for too long. It is paused
// while no caller waits for the store.
type watch struct {
	timer *time.Timer // nil means no limit
	limit time.Duration
}

// errStalled is the cause of a context that a watch has ended.
var errStalled = fmt.Errorf("gocloud: the store makes no progress: %w", driver.ErrUnavailable)

// newWatch returns a running watch and the context that it ends. The caller must call stop.
func newWatch(ctx context.Context, limit time.Duration) (_ context.Context, w *watch, stop func()) {
	if limit < 0 {
		return ctx, &watch{}, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w = &watch{timer: time.AfterFunc(limit, func() { cancel(errStalled) }), limit: limit}
	return ctx, w, func() {
		w.timer.Stop()
		cancel(nil)
	}
}

// pause stops the watch while the caller does not wait for the store.
func (w *watch) pause() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// resume starts the watch again, with the full limit.
func (w *watch) resume() {
	if w.timer != nil {
		w.timer.Reset(w.limit)
	}
}

// stalled returns errStalled if the watch has ended ctx, and err otherwise.
func stalled(ctx context.Context, err error) error {
	if err != nil && context.Cause(ctx) == errStalled { //nolint:errorlint // it is never wrapped
		return errStalled
	}
	return err
}

// watchedBody pauses a watch while it waits for the sender of the body.
type watchedBody struct {
	body io.Reader
	w    *watch
}

func (b watchedBody) Read(p []byte) (int, error) {
	b.w.pause()
	defer b.w.resume()
	return b.body.Read(p)
}

// watchedReader reads what a store sends, under a watch that runs only during a Read.
type watchedReader struct {
	r       io.ReadCloser
	ctx     context.Context
	w       *watch
	stop    func()
	failure func(error) error
}

func (r *watchedReader) Read(p []byte) (int, error) {
	r.w.resume()
	defer r.w.pause()
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		err = r.failure(stalled(r.ctx, err))
	}
	return n, err
}

func (r *watchedReader) Close() error {
	defer r.stop()
	return r.r.Close()
}
