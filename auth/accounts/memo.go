package accounts

import (
	"context"
	"time"
)

// memo is a cached value that was computed from several facts, such as the groups of a user. It is valid until the
// oldest of the facts is Options.Refresh old, or this process changes any fact.
type memo[T any] struct {
	answer  T
	changes uint64 // cache.changes before the facts were read
}

// reader reads facts for a memo, and records the age of the oldest one.
type reader struct {
	*Accounts
	oldest time.Time // when the oldest fact was read; the zero time if that is not known
}

// remembered returns a cached value, or calls compute and caches the result. compute must read all facts by its reader:
// otherwise the value could be older than Options.Refresh. The key must not be that of an object.
//
// Errors: those of compute.
func remembered[T any](a *Accounts, key string, compute func(*reader) (T, error)) (T, error) {
	changes := a.facts.changes.Load()
	if e := a.facts.fresh(key); e != nil {
		if m := e.fact.(*memo[T]); m.changes == changes {
			return m.answer, nil
		}
	}
	r := &reader{a, a.now()}
	answer, err := compute(r)
	if err != nil {
		return answer, err
	}
	e := &entry{key: key, fact: &memo[T]{answer, changes}, read: r.oldest, weight: valueWeight + weightOf(answer)}
	a.facts.mu.Lock()
	defer a.facts.mu.Unlock()
	a.facts.add(e)
	return answer, nil
}

// noted calls get, which reads the fact with the key into the cache, and records when that fact was read.
func noted[T any](r *reader, key string, get func() (*T, error)) (*T, error) {
	// Two attempts, because a fact that is forgotten while it is read is not kept.
	for range 2 {
		if e := r.facts.fresh(key); e != nil {
			if e.read.Before(r.oldest) {
				r.oldest = e.read
			}
			return factOf[T](e)
		}
		if _, err := get(); ignore(err, ErrUnknown) != nil {
			return nil, err
		}
	}
	r.oldest = time.Time{}
	return get()
}

// read is cached for a memo.
func read[T any](ctx context.Context, r *reader, key string) (*T, error) {
	return noted(r, key, func() (*T, error) { return cached[T](ctx, r.Accounts, key) })
}
