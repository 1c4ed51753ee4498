package login

import (
	"context"
	"errors"
	"time"

	"github.com/registrykit/registry"
)

// fetch returns a new token. It asks the Source again if the credentials are refused, and tries
// other credentials at once.
//
// Errors: those of Authorize.
func (l *Login) fetch(ctx context.Context, key tokenKey, s *slot) (*token, error) {
	h, err := l.keeper.get(ctx)
	if err != nil {
		return nil, err
	}
	for range 2 {
		if h.RegistryToken != "" {
			return registryToken(h), nil
		}
		var final bool
		if final, err = l.paused(s, h.Credentials); final {
			return nil, err
		}
		if err == nil {
			var t *token
			t, err = l.request(ctx, key, h.Credentials)
			l.note(s, h.Credentials, err)
			if err == nil || !refuses(err) {
				return t, err
			}
		}
		other := false
		if h, other = l.otherCredentials(ctx, h); !other {
			return nil, err
		}
	}
	return nil, err
}

// registryToken returns the token that credentials have.
func registryToken(h held) *token {
	life := maxLife
	if !h.Expires.IsZero() {
		life = max(time.Until(h.Expires), time.Second)
	}
	return newToken(h.RegistryToken.Value(), h.Credentials, time.Now(), life)
}

// refuses reports whether err means that the token service refuses the credentials or the scope.
func refuses(err error) bool {
	return errors.Is(err, registry.ErrUnauthorized) || errors.Is(err, registry.ErrDenied)
}

// paused returns the error of an earlier request if the token service must not be asked with these
// credentials now. final is true if that holds for other credentials, too.
func (l *Login) paused(s *slot, c Credentials) (final bool, err error) {
	now := time.Now()
	l.mu.Lock()
	busy, refused := l.busy, l.refused
	l.mu.Unlock()
	s.mu.Lock()
	here := s.refused
	s.mu.Unlock()
	switch {
	case busy.err != nil && now.Before(busy.until):
		return true, busy.err
	case refused.holds(now, c):
		return false, refused.err
	case here.holds(now, c):
		return false, here.err
	}
	return false, nil
}

// note remembers the result of a request with credentials c for the token of s.
//
// A 401 means that the credentials are wrong, and pauses all requests with them. But some token
// services also use 401 for repositories that the caller must not access. Once there has been a
// token for the credentials, a 401 therefore concerns the scopes of s only, as a 403 does.
func (l *Login) note(s *slot, c Credentials, err error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	var e *registry.Error
	switch {
	case err == nil:
		l.proved, l.refused, s.refused = c, refusal{}, refusal{}
	case errors.Is(err, registry.ErrTooManyRequests) && errors.As(err, &e):
		l.busy = refusal{err: err, until: now.Add(min(max(e.RetryAfter(), time.Second), maxPause))}
	case errors.Is(err, registry.ErrUnauthorized) && !c.anonymous() && !l.proved.same(c):
		l.refused = l.refused.again(now, c, err)
	case refuses(err):
		s.refused = s.refused.again(now, c, err)
	}
}
