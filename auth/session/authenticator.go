package session

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/internal/object"
	"github.com/registrykit/registry/auth/internal/secretvalue"
	"github.com/registrykit/registry/storage/driver"
)

// Authenticator returns an Authenticator for a management API and its page. It identifies a caller
// by the value of a session in the header Authorization or, without that header, by the cookie.
// Requests without a valid session, and those with other credentials in the header, go to other,
// which may be nil.
//
// The identity of a session has the current name and groups of the account, and the claims
// accounts.AccountClaim and Claim. A cookie whose session has ended is ignored, because browsers
// cannot help sending it. An ended session in the header is refused.
//
// For paths below /v2/, a session is refused with auth.ErrCredentials.
//
// Errors: auth.ErrCredentials; registry.ErrDenied for a change with the cookie from a page of
// another origin; *auth.UnavailableError while the storage is unavailable; those of other.
func (s *Sessions) Authenticator(other auth.Authenticator) auth.Authenticator {
	return &authenticator{s, other}
}

type authenticator struct {
	sessions *Sessions
	other    auth.Authenticator // or nil
}

var _ auth.Renewer = (*authenticator)(nil)

// Authenticate implements [auth.Authenticator].
func (a *authenticator) Authenticate(r *http.Request) (auth.Identity, error) {
	session, err := a.sessions.Current(r)
	if err == nil && session != nil {
		var identity auth.Identity
		if identity, err = a.sessions.identity(r.Context(), session); err == nil {
			return identity, nil
		}
		if session.Browser && errors.Is(err, auth.ErrCredentials) {
			session, err = nil, nil
		}
	}
	switch {
	case errors.Is(err, ErrCrossOrigin):
		return auth.Identity{}, registry.ErrDenied.WithMessage("a page of another origin has sent the request").WithCause(err)
	case err != nil:
		return auth.Identity{}, object.Unavailable(err)
	case a.other != nil:
		return a.other.Authenticate(r)
	}
	return auth.Identity{}, nil
}

// Challenge implements [auth.Authenticator]. It returns that of the other Authenticator.
func (a *authenticator) Challenge(r *http.Request, accesses []auth.Access) string {
	if a.other == nil {
		return ""
	}
	return a.other.Challenge(r, accesses)
}

// Renew implements [auth.Renewer]. No token outlives a session, so the identity of a session cannot
// be renewed.
//
// Errors: auth.ErrCredentials; those of the other Authenticator.
func (a *authenticator) Renew(ctx context.Context, identity auth.Identity) (auth.Identity, error) {
	if _, ok := identity.Claims[Claim]; ok || a.other == nil {
		return auth.Identity{}, refused("a session cannot be renewed")
	}
	return auth.Renew(ctx, a.other, identity)
}

// Current returns the session of a request, or nil if it has none. The cookie counts only if there
// is no header Authorization: a program that checks a password by that header must not get the
// answer for the cookie. The session may have ended because of a change of the account: the
// Authenticator checks that.
//
// Errors: auth.ErrCredentials for an ended or malformed session in the header, and for any session
// below /v2/; ErrCrossOrigin; those of the Driver.
func (s *Sessions) Current(r *http.Request) (*Session, error) {
	value, browser := bearer(r), false
	if value == "" && r.Header["Authorization"] == nil {
		value, browser = cookieValue(r), true
	}
	if value == "" {
		return nil, nil
	}
	session, err := s.valid(r, value, browser)
	if browser && errors.Is(err, auth.ErrCredentials) && !isRegistry(r) {
		return nil, nil
	}
	return session, err
}

// isRegistry reports whether a request is one for pushes and pulls.
func isRegistry(r *http.Request) bool {
	return r.URL.Path == "/v2" || strings.HasPrefix(r.URL.Path, "/v2/")
}

// bearer returns the value of a session in the header Authorization, or "".
func bearer(r *http.Request) string {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if token = strings.Trim(token, " "); !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(token, valuePrefix) {
		return ""
	}
	return token
}

// cookieValue returns the value of the only cookie, or "".
func cookieValue(r *http.Request) string {
	cookies := r.CookiesNamed(Cookie)
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}

// valid returns the session with a value.
//
// Errors: those of Current.
func (s *Sessions) valid(r *http.Request, value string, browser bool) (*Session, error) {
	if isRegistry(r) {
		return nil, refused("a session is not valid for pushes and pulls")
	}
	owner, id, ok := parseValue(value)
	if !ok {
		return nil, refused("malformed session")
	}
	c, err := s.get(r.Context(), owner, id)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, refused("unknown session")
	case err != nil:
		return nil, object.Unavailable(err)
	case !secretvalue.IsHash(c.session.Hash, value):
		return nil, refused("wrong session")
	case c.session.Browser != browser:
		return nil, refused("the session is of another kind")
	case s.over(c.session):
		return nil, refused("the session has ended")
	}
	if browser {
		if err := s.CheckOrigin(r); err != nil {
			return nil, err
		}
	}
	return s.touch(r.Context(), c), nil
}

// interval is the time after which the time of the last use is stored again.
func (s *Sessions) interval() time.Duration { return min(5*time.Minute, s.opts.Idle/4) }

// over reports whether a session has reached its idle or absolute end.
func (s *Sessions) over(session *Session) bool {
	now := s.now()
	return !now.Before(session.Expires) || !now.Before(session.LastUsed.Add(s.opts.Idle+s.interval()))
}

// touch stores the time of the last use if it is out of date. A failure has no effect: the session
// may have ended, or another process has stored the time.
func (s *Sessions) touch(ctx context.Context, c cached) *Session {
	now := s.now()
	if now.Sub(c.session.LastUsed) < s.interval() {
		return c.session
	}
	used := *c.session
	used.LastUsed = now.UTC()
	key := sessionKey(used.Owner, used.ID)
	info, err := s.write(ctx, &used, &driver.PutOptions{IfVersion: c.version, Durability: driver.Relaxed})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cache.Remove(key) // the next request reads it
		return c.session
	}
	s.remember(key, cached{&used, info.Version, now})
	return &used
}

// identity returns the identity of a session, with the current state of its account.
//
// Errors: auth.ErrCredentials; those of the accounts.
func (s *Sessions) identity(ctx context.Context, session *Session) (auth.Identity, error) {
	account, why, err := s.active(ctx, session.Owner)
	if err != nil {
		return auth.Identity{}, err
	}
	if why != "" {
		return auth.Identity{}, errors.Join(refused(why), s.endAfter(ctx, session, account))
	}
	version, err := s.passwordVersion(ctx, session.Owner)
	if err != nil {
		return auth.Identity{}, err
	}
	if version != session.Password {
		return auth.Identity{}, refused("the password was changed")
	}
	groups, err := s.people.Groups(ctx, session.Owner)
	if err != nil && !errors.Is(err, accounts.ErrUnknown) {
		return auth.Identity{}, err
	}
	return auth.Identity{Name: account.Name, Groups: groups, Claims: map[string]any{
		accounts.AccountClaim: string(account.ID), Claim: session.ID}}, nil
}

// endAfter ends a session that began before its account was disabled or removed, so that it stays
// ended if the account is enabled again. A session that began later is kept: this process may not
// know yet that the account was enabled.
func (s *Sessions) endAfter(ctx context.Context, session *Session, account *accounts.Account) error {
	if account == nil {
		return nil
	}
	for _, m := range []*accounts.Mark{account.Disabled, account.Removed} {
		if m != nil && session.Created.Before(m.At) {
			return s.delete(ctx, session)
		}
	}
	return nil
}
