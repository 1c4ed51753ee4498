// Package limit counts failed logins, so that passwords cannot be guessed.
package limit

import (
	"sync"
	"time"

	"github.com/registrykit/registry/internal/lru"
)

// Period is within how long a Limiter allows its number of failures.
const Period = 10 * time.Minute

// MaxKeys is the maximum number of keys that a Limiter remembers.
const MaxKeys = 20_000

// Key is what failures are counted by: a hash.
type Key [32]byte

// Limiter allows a number of failures at once by each key, and when these are used up one more each
// time that a share of the Period has passed. Its memory is bounded: when there are too many keys,
// those are forgotten that have not failed for the longest time.
type Limiter struct {
	share, period time.Duration
	now           func() time.Time

	mu    sync.Mutex                 // held from reading a time to writing it
	until *lru.Cache[Key, time.Time] // when all failures of the key will be forgiven
}

// New returns a Limiter of n failures, at least 1, by the clock now.
func New(n int, now func() time.Time) *Limiter {
	share := Period / time.Duration(n)
	return &Limiter{
		share: share, period: share * time.Duration(n), now: now, until: lru.New[Key, time.Time](MaxKeys),
	}
}

// Begin counts an attempt as a failure before it is known to be one, so that many at the same time
// do not pass together. It returns 0, or how long to wait before the attempt may be made; that one
// is not counted.
func (l *Limiter) Begin(k Key) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	until, _ := l.until.Get(k)
	if until.Before(now) {
		until = now
	}
	until = until.Add(l.share)
	if wait := until.Sub(now) - l.period; wait > 0 {
		return wait
	}
	l.until.Add(k, until, 1)
	return 0
}

// Undo takes back an attempt that was none, or did not fail.
func (l *Limiter) Undo(k Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, _ := l.until.Get(k)
	if until = until.Add(-l.share); until.After(l.now()) {
		l.until.Add(k, until, 1)
		return
	}
	l.until.Remove(k)
}

// Len is how many keys are remembered.
func (l *Limiter) Len() int {
	return l.until.Len()
}
