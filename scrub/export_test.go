package scrub

import (
	"context"
	"time"
)

// WithClock makes the limits of a run wait by another clock.
func WithClock(o *Options, now func() time.Time, sleep func(ctx context.Context, d time.Duration) error) {
	o.clock = clock{now: now, sleep: sleep}
}
