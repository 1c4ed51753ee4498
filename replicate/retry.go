package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/internal/pause"
)

const (
	// firstPause and maxPause are the pauses before the first and before later attempts.
	firstPause = 200 * time.Millisecond
	maxPause   = 30 * time.Second
	// maxRetryAfter is the longest time that a registry may ask to wait for.
	maxRetryAfter = 5 * time.Minute
	// enough is the number of bytes after which an attempt does not count as failed.
	enough = 1 << 20
)

// again is an error after which an attempt may succeed that begins with the present state of the
// upload.
type again struct{ error }

// Unwrap returns the error itself.
func (a again) Unwrap() error { return a.error }

// final is an error after which nothing is tried again, because that has been done already.
type final struct{ error }

// Unwrap returns the error itself.
func (f final) Unwrap() error { return f.error }

// temporary reports whether another attempt may succeed.
func temporary(err error) bool {
	var repeat again
	var done final
	var timeout net.Error
	var response *client.Error
	switch {
	case errors.As(err, &done):
		return false
	case errors.As(err, &repeat), errors.Is(err, registry.ErrUnavailable), errors.Is(err, registry.ErrTooManyRequests),
		errors.Is(err, io.ErrUnexpectedEOF):
		return true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &timeout):
		return timeout.Timeout()
	case errors.As(err, &response):
		return response.Status >= 500 && response.Status != http.StatusNotImplemented ||
			response.Status == http.StatusRequestTimeout
	}
	return false
}

// attempts counts the failures of something that is tried again.
type attempts struct {
	retries  int   // the maximum number of failures in a row, after which one is final
	failures int   // in a row
	moved    int64 // bytes moved up to the last failure
}

// next decides about err after the attempts so far have moved a number of bytes. It returns nil after
// the pause before the next attempt, and otherwise the final error.
func (a *attempts) next(ctx context.Context, err error, moved int64) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !temporary(err) {
		return err
	}
	if moved-a.moved >= enough {
		a.failures = 0
	}
	a.moved = moved
	a.failures++
	if a.failures > a.retries {
		if a.retries == 0 {
			return err
		}
		return fmt.Errorf("after %d attempts: %w", a.failures, err)
	}
	wait := pause.Backoff(a.failures, firstPause, maxPause)
	var known *registry.Error
	if errors.As(err, &known) && (known.RetryAfter() > time.Second || errors.Is(err, registry.ErrTooManyRequests)) {
		wait = max(wait, known.RetryAfter()) // ErrUnavailable has a second by default, which a cut need not cost
	}
	if wait > maxRetryAfter {
		return err
	}
	return pause.Sleep(ctx, wait)
}

// retry calls f until it succeeds or fails for good.
func retry(ctx context.Context, retries int, f func() error) error {
	a := attempts{retries: retries}
	for {
		err := f()
		if err == nil {
			return nil
		}
		if err := a.next(ctx, err, 0); err != nil {
			return err
		}
	}
}
