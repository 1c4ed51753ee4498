// Package limit counts failed logins, so that passwords cannot be guessed.
package limit

import (
	"sync"
	"time"
)

// Period is within how long a Limiter allows its number of failures.
const Period = 10 * time.Minute

// MaxKeys is how many keys a Limiter remembers, in each of two halves.
const MaxKeys = 10_000

// Key is what failures are counted by: a hash.
type Key [32]byte

// Limiter allows a number of failures at once by each key, and when these are used up one more each
// time that a share of the Period has passed. Its memory is bounded: when there are too many keys,
// those are forgotten that have not failed for the longest time.
type Limiter struct {
	share, period time.Duration
	now           func() time.Time

	mu         sync.Mutex
	young, old map[Key]time.Time // when all failures of the key will be forgiven
}

// New returns a Limiter of n failures, at least 1, by the clock now.
func New(n int, now func() time.Time) *Limiter {
	share := Period / time.Duration(n)
	return &Limiter{share: share, period: share * time.Duration(n), now: now}
}

// Begin counts an attempt as a failure before it is known to be one, so that many at the same time
// do not pass together. It returns 0, or how long to wait before the attempt may be made; that one
// is not counted.
func (l *Limiter) Begin(k Key) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	until := l.get(k)
	if until.Before(now) {
		until = now
	}
	until = until.Add(l.share)
	if wait := until.Sub(now) - l.period; wait > 0 {
		return wait
	}
	l.put(k, until)
	return 0
}

// Undo takes back an attempt that was none, or did not fail.
func (l *Limiter) Undo(k Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := l.get(k).Add(-l.share); until.After(l.now()) {
		l.put(k, until)
		return
	}
	delete(l.young, k)
	delete(l.old, k)
}

// Len is how many keys are remembered.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.young) + len(l.old)
}

func (l *Limiter) get(k Key) time.Time {
	if until, ok := l.young[k]; ok {
		return until
	}
	return l.old[k]
}

func (l *Limiter) put(k Key, until time.Time) {
	if _, ok := l.young[k]; !ok && len(l.young) >= MaxKeys {
		l.old, l.young = l.young, nil
	}
	if l.young == nil {
		l.young = make(map[Key]time.Time)
	}
	l.young[k] = until
}
