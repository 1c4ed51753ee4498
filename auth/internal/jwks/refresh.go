package jwks

import (
	"context"
	"math"
	"time"
)

// readTimeout is the maximum time of reading the keys once, including the discovery document.
const readTimeout = 10 * time.Second

// flight is one attempt to read the keys. All callers that need keys wait for the same one.
type flight struct {
	done chan struct{} // closed at the end
	keys *keys         // set before done is closed
	err  error
}

// get returns keys that are at most MaxAge old or, while they cannot be read again, MaxStale.
//
// A caller waits for the source if there are no keys yet, and if the last attempt succeeded and MaxAge is over,
// because the issuer may have removed a key since. After a failed attempt nobody waits: a source that is slow to
// fail would delay each request. The next attempts are made in the background.
func (s *Set) get(ctx context.Context) (*keys, error) {
	s.mu.Lock()
	age := s.since(s.at)
	have := s.current != nil && (s.read == nil || age < s.opts.MaxStale || age < s.maxAge)
	switch {
	case s.read == nil, have && age < s.maxAge*3/4:
		defer s.mu.Unlock()
		return s.current, nil
	case have && (age < s.maxAge || s.failed != nil):
		defer s.mu.Unlock()
		if s.due() {
			s.start(ctx)
		}
		return s.current, nil
	case !have && s.failed != nil && s.flight == nil && !s.due():
		defer s.mu.Unlock()
		return nil, s.failed
	}
	f := s.start(ctx)
	stale := s.current
	s.mu.Unlock()
	k, err := f.wait(ctx)
	if err != nil && have {
		return stale, nil
	}
	return k, err
}

// newer returns keys that were read after k, for a token that none of k has signed. It returns k if it is
// too early for another attempt.
//
// Errors: those of reading the keys, now or at the last attempt; that of ctx.
func (s *Set) newer(ctx context.Context, k *keys) (*keys, error) {
	s.mu.Lock()
	switch {
	case s.read == nil:
		s.mu.Unlock()
		return k, nil
	case s.current == k && s.flight == nil && !s.due():
		defer s.mu.Unlock()
		return k, s.failed
	case s.current != k:
		defer s.mu.Unlock()
		return s.current, nil
	}
	f := s.start(ctx)
	s.mu.Unlock()
	return f.wait(ctx)
}

// due reports whether MinInterval has passed since the last attempt. The caller holds mu.
func (s *Set) due() bool { return s.since(s.tried) >= s.opts.MinInterval }

// since returns the time since t. If the clock was set back it returns the maximum, so that nothing is
// used for longer than permitted.
func (s *Set) since(t time.Time) time.Duration {
	if d := s.opts.Now().Sub(t); d >= 0 {
		return d
	}
	return math.MaxInt64
}

// start returns the attempt under way, or begins one. The attempt does not end with the context of the caller,
// since others wait for it. The caller holds mu.
func (s *Set) start(ctx context.Context) *flight {
	if s.flight != nil {
		return s.flight
	}
	f := &flight{done: make(chan struct{})}
	s.flight, s.tried = f, s.opts.Now()
	ctx = context.WithoutCancel(ctx)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		k, maxAge, err := s.read(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			s.current, s.at = k, s.tried
			s.maxAge = min(max(maxAge, s.opts.MinInterval), s.opts.MaxAge)
		}
		s.failed, s.flight = err, nil
		f.keys, f.err = k, err
		close(f.done)
	}()
	return f
}

// wait returns the result of an attempt.
//
// Errors: those of the source; that of ctx.
func (f *flight) wait(ctx context.Context) (*keys, error) {
	select {
	case <-f.done:
		return f.keys, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
