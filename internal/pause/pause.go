// Package pause waits.
package pause

import (
	"context"
	"math/rand/v2"
	"time"
)

// Sleep waits for d, or until ctx ends; then it returns the error of ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Backoff returns the time to wait after a number of failures in a row: least after the first, twice
// as long after each further one, and at most most. It is shortened by a random part of up to a
// quarter, so that those who have failed together do not try again together.
func Backoff(failures int, least, most time.Duration) time.Duration {
	d := least
	for i := 1; i < failures && d < most; i++ {
		d *= 2
	}
	d = min(d, most)
	return d - rand.N(d/4+1)
}
