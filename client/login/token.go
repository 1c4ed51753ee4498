package login

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// token is a token that a token service has issued. It does not change.
type token struct {
	value       string
	credentials Credentials // for which it was issued
	fetched     time.Time   // before the request to the service
	renew       time.Time   // when a newer token should be fetched
	expires     time.Time
}

// newToken returns a token with a lifetime. It is renewed a tenth of that before its end, at least,
// and up to 30 seconds. As much again is random, so that many processes do not renew at once.
func newToken(value string, c Credentials, fetched time.Time, life time.Duration) *token {
	early := min(life/10, 30*time.Second)
	if early > 0 {
		early += rand.N(early)
	}
	expires := fetched.Add(life)
	return &token{value: value, credentials: c, fetched: fetched, renew: expires.Add(-early), expires: expires}
}

// tokenKey is what a token is for.
type tokenKey struct{ realm, service, scopes string }

// slot has the token for one key.
type slot struct {
	mu       sync.Mutex
	token    *token  // or nil
	flight   *flight // the request in progress, or nil
	refused  refusal // by the token service
	replaced int     // how many tokens in a row the registry has refused
}

// flight is a request to a token service that several goroutines wait for.
type flight struct {
	done      chan struct{} // closed at the end
	token     *token
	err       error
	abandoned bool // whether the goroutine that sent it has given up
}

// slot returns the slot of a key.
func (l *Login) slot(key tokenKey) *slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.tokens.Get(key)
	if !ok {
		s = &slot{}
		l.tokens.Add(key, s, slotSize(key, nil))
	}
	return s
}

// slotSize returns about the size of a slot in bytes.
func slotSize(key tokenKey, t *token) int {
	n := 512 + len(key.realm) + len(key.service) + len(key.scopes)
	if t != nil {
		n += len(t.value)
	}
	return n
}

// token returns a token for a key. Concurrent calls cause one request. While a token is renewed, it
// is still used. If the renewal fails, it is used until its end.
//
// Errors: those of Authorize.
func (l *Login) token(ctx context.Context, key tokenKey) (*token, error) {
	for {
		s := l.slot(key)
		t, f, lead := s.enter(time.Now())
		switch {
		case t != nil:
			return t, nil
		case lead:
			return l.lead(ctx, key, s, f)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !f.abandoned {
			return f.token, f.err
		}
	}
}

// enter returns the token, or else the request in progress. If there is none, it begins one, which
// the caller must send.
func (s *slot) enter(now time.Time) (t *token, f *flight, lead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.token; t != nil && now.Before(t.expires) && (now.Before(t.renew) || s.flight != nil) {
		return t, nil, false
	}
	if s.flight == nil {
		s.flight, lead = &flight{done: make(chan struct{})}, true
	}
	return nil, s.flight, lead
}

// lead fetches a token and gives it to all goroutines that wait for it.
func (l *Login) lead(ctx context.Context, key tokenKey, s *slot, f *flight) (t *token, err error) {
	f.abandoned = true // in case of a panic of the Source
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		f.token, f.err = t, err
		s.flight = nil
		close(f.done)
	}()
	t, err = l.fetch(ctx, key, s)
	f.abandoned = err != nil && ctx.Err() != nil
	s.mu.Lock()
	if old := s.token; err != nil && old != nil && time.Now().Before(old.expires) {
		later := *old
		later.renew = time.Now().Add(time.Until(old.expires) / 2)
		t, err = &later, nil
	}
	if err == nil {
		s.token = t
	}
	s.mu.Unlock()
	l.tokens.Add(key, s, slotSize(key, t))
	return t, err
}

// current returns the token, or nil.
func (s *slot) current() *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// drop forgets t, which the registry has refused, and reports whether it did. If the credentials are
// still the same, it forgets t only if t has been used for a while. That time grows with each token
// that was refused.
func (s *slot) drop(t *token, same bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == nil || s.token.value != t.value {
		return true // another goroutine has been here
	}
	age := time.Since(t.fetched)
	switch {
	case !same:
		s.replaced, s.refused = 0, refusal{}
	case age < pause(s.replaced):
		return false
	case age > 2*maxPause:
		s.replaced = 0
	default:
		s.replaced++
	}
	s.token = nil
	return true
}
