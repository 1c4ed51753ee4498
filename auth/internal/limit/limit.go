// Package limit limits failed logins, so that passwords cannot be guessed.
package limit

import (
	"sync"
	"time"

	"github.com/registrykit/registry/internal/lru"
)

// Period is the time within which a Limiter allows its number of failures.
const Period = 10 * time.Minute

// MaxKeys is the maximum number of keys that a Limiter remembers.
const MaxKeys = 20_000

// Key identifies what failures are counted by, such as the hash of an address.
type Key [32]byte

// Limiter allows each key a number n of failures at once, and after that one more failure each time
// that a share of the Period, Period/n, has passed. Its memory is bounded: if there are too many
// keys, it forgets those that have not been used for the longest time. It is safe for concurrent
// use.
//
// For each key it stores only one time: when all failures will be forgiven. Each failure moves that
// time by one share, up to a Period from now.
type Limiter struct {
	share, period time.Duration
	now           func() time.Time

	mu    sync.Mutex                 // held from reading a time to writing it
	until *lru.Cache[Key, time.Time] // when all failures of the key will be forgiven
}

// New returns a Limiter that allows n failures, at least 1. now is its clock.
func New(n int, now func() time.Time) *Limiter {
	share := Period / time.Duration(n)
	return &Limiter{
		share: share, period: share * time.Duration(n), now: now, until: lru.New[Key, time.Time](MaxKeys),
	}
}

// Begin counts an attempt as a failure before its outcome is known, so that many attempts at the
// same time do not all pass. It returns 0 if the attempt may be made. Otherwise it returns the time
// to wait, and does not count the attempt.
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

// Undo no longer counts an attempt that was not made or did not fail.
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

// Len returns the number of remembered keys.
func (l *Limiter) Len() int {
	return l.until.Len()
}
