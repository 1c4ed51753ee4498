package session

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/internal/object"
	"github.com/registrykit/registry/auth/internal/secretvalue"
	"github.com/registrykit/registry/storage/driver"
)

// Start begins a session of a browser and sets its cookie. Each call begins another session with
// another value. The session that the request has brought ends, so that nobody who knows it gets
// into the new one.
//
// Start does not check the origin of the request: call [Sessions.CheckOrigin] before the login.
//
// Errors: auth.ErrCredentials if the account is not an active user; *auth.UnavailableError; others
// of the Driver and of the accounts. After an error, no cookie is set.
func (s *Sessions) Start(w http.ResponseWriter, r *http.Request, l Login) (*Session, error) {
	session, value, err := s.begin(r, l, true)
	if err != nil {
		return nil, object.Unavailable(err)
	}
	if owner, id, ok := parseValue(cookieValue(r)); ok {
		old, _, err := s.read(r.Context(), owner, id)
		if err == nil && secretvalue.IsHash(old.Hash, cookieValue(r)) {
			err = s.delete(r.Context(), old)
		}
		if err != nil && !errors.Is(err, ErrUnknown) {
			return nil, object.Unavailable(errors.Join(err, s.delete(r.Context(), session)))
		}
	}
	setCookie(w, value, session.Expires, int(s.opts.Absolute.Seconds()))
	return session, nil
}

// Issue begins a session of a command line. The client sends the value as a Bearer token.
//
// Errors: those of Start.
func (s *Sessions) Issue(r *http.Request, l Login) (*Session, auth.Secret, error) {
	session, value, err := s.begin(r, l, false)
	return session, auth.Secret(value), object.Unavailable(err)
}

// setCookie sets or, with a negative age, removes the cookie.
func setCookie(w http.ResponseWriter, value string, expires time.Time, age int) {
	http.SetCookie(w, &http.Cookie{Name: Cookie, Value: value, Path: "/", Expires: expires, MaxAge: age, Secure: true,
		HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// begin stores a new session.
func (s *Sessions) begin(r *http.Request, l Login, browser bool) (*Session, string, error) {
	ctx := r.Context()
	if _, why, err := s.active(ctx, l.Account); err != nil || why != "" {
		return nil, "", cmp.Or(err, refused(why))
	}
	if p := l.Provider; p != nil && len(p.Hint) > maxHint {
		short := *p
		short.Hint, l.Provider = nil, &short
	}
	password := l.Password
	if password == "" {
		var err error
		if password, err = s.passwordVersion(ctx, l.Account); err != nil {
			return nil, "", err
		}
	}
	if err := s.makeRoom(ctx, l.Account); err != nil {
		return nil, "", err
	}
	value, now := newValue(l.Account), s.now().UTC()
	session := &Session{
		ID: idOf(value), Owner: l.Account, Hash: secretvalue.Hash(value), Browser: browser,
		Created: now, Expires: now.Add(s.opts.Absolute), LastUsed: now, Password: password, Provider: l.Provider,
		Address: text(address(r.RemoteAddr)), UserAgent: text(r.UserAgent()),
	}
	if p := l.Provider; p != nil && p.SID != "" {
		if _, err := s.driver.Put(ctx, hintKey(session), strings.NewReader("{}"), nil); err != nil {
			return nil, "", err
		}
	}
	_, err := s.write(ctx, session, &driver.PutOptions{IfAbsent: true})
	if driver.IsConflict(err) { // the response to this very write may have been lost
		if now, _, rerr := s.read(ctx, session.Owner, session.ID); rerr == nil && now.Hash == session.Hash {
			err = nil
		}
	}
	if err != nil {
		return nil, "", err
	}
	return session, value, nil
}

// makeRoom ends sessions of an owner if there are MaxSessions. It removes those that have ended
// anyway, or else the session that has not been used for the longest time.
func (s *Sessions) makeRoom(ctx context.Context, owner accounts.ID) error {
	n := 0
	for _, err := range s.driver.List(ctx, ownerPrefix(owner), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return err
		}
		n++
	}
	if n < MaxSessions {
		return nil
	}
	var all []*Session
	for session, err := range s.of(ctx, owner, "") {
		if err != nil {
			return err
		}
		all = append(all, session)
	}
	slices.SortFunc(all, func(a, b *Session) int { return a.LastUsed.Compare(b.LastUsed) })
	for i, session := range all {
		if len(all)-i >= MaxSessions || s.over(session) {
			if err := s.delete(ctx, session); err != nil {
				return err
			}
		}
	}
	return nil
}

// passwordVersion returns the version of the password of a user, or "" if the user has none.
func (s *Sessions) passwordVersion(ctx context.Context, user accounts.ID) (string, error) {
	version, err := s.people.PasswordVersion(ctx, user)
	if errors.Is(err, accounts.ErrUnknown) {
		return "", nil
	}
	return version, err
}

// active returns an account that is an active user, or the reason why it is not.
func (s *Sessions) active(ctx context.Context, id accounts.ID) (account *accounts.Account, why string, err error) {
	account, err = s.people.Account(ctx, id)
	switch {
	case errors.Is(err, accounts.ErrUnknown):
		return nil, "unknown account", nil
	case err != nil:
		return nil, "", err
	case account.Removed != nil:
		return account, "the account was removed", nil
	case account.Disabled != nil:
		return account, "the account is disabled", nil
	case account.Kind != accounts.User:
		return nil, "the account is not a user", nil
	}
	return account, "", nil
}

// address returns the host of an address.
func address(remote string) string {
	if i := strings.LastIndexByte(remote, ':'); i >= 0 {
		remote = remote[:i]
	}
	return strings.Trim(remote, "[]")
}

// text returns the printable ASCII characters of a text, at most maxText.
func text(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, s[:min(len(s), 4*maxText)])
	return s[:min(len(s), maxText)]
}
