package queue

import (
	"errors"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/notification"
)

// pause waits before the next attempt. When the context of Run ends, it returns at once, so that
// there is one more attempt.
func (r *runner) pause(attempts int, err error) {
	t := time.NewTimer(r.o.backoff(attempts, err))
	defer t.Stop()
	ended := r.ctx.Done()
	if r.ctx.Err() != nil {
		ended = nil
	}
	select {
	case <-t.C:
	case <-ended:
	case <-r.calls.Done():
	}
}

// backoff returns the pause after a number of failed attempts, the last with err.
func (o *Options) backoff(attempts int, err error) time.Duration {
	d := pause.Backoff(attempts, o.Backoff, o.MaxBackoff)
	var retry *notification.RetryError
	if errors.As(err, &retry) {
		d = max(d, min(retry.After, o.MaxRetryAfter))
	}
	return d
}
