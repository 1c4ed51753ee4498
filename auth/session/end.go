package session

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/internal/object"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage/driver"
)

// End ends the session of a request and removes its cookie. It returns the session, or nil if the
// request has none. The caller must have called [Sessions.CheckOrigin].
//
// Errors: auth.ErrCredentials for an ended session in the header; *auth.UnavailableError, after
// which the session may be valid; others of the Driver.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) (*Session, error) {
	session, err := s.Current(r)
	if err == nil && session != nil {
		err = s.delete(r.Context(), session)
	}
	if err != nil {
		return nil, object.Unavailable(err)
	}
	if cookieValue(r) != "" && (session == nil || session.Browser) {
		setCookie(w, "", time.Unix(1, 0), -1)
	}
	return session, nil
}

// List yields the sessions of a user that have not reached their ends, in the order of their IDs.
// The list begins after the ID after. A session that ended because the password was changed may
// still be in the list.
//
// Errors: those of the Driver. An error is the last element.
func (s *Sessions) List(ctx context.Context, owner accounts.ID, after string) iter.Seq2[*Session, error] {
	return func(yield func(*Session, error) bool) {
		for session, err := range s.of(ctx, owner, after) {
			if err == nil && s.over(session) {
				continue
			}
			if !yield(session, object.Unavailable(err)) {
				return
			}
		}
	}
}

// Get returns a session of a user.
//
// Errors: ErrUnknown; *auth.UnavailableError; others of the Driver.
func (s *Sessions) Get(ctx context.Context, owner accounts.ID, id string) (*Session, error) {
	session, _, err := s.read(ctx, owner, id)
	if err == nil && s.over(session) {
		err = ErrUnknown
	}
	if err != nil {
		return nil, object.Unavailable(err)
	}
	return session, nil
}

// Revoke ends a session of a user.
//
// Errors: ErrUnknown; *auth.UnavailableError; others of the Driver.
func (s *Sessions) Revoke(ctx context.Context, owner accounts.ID, id string) error {
	session, err := s.Get(ctx, owner, id)
	if err == nil {
		err = object.Unavailable(s.delete(ctx, session))
	}
	return err
}

// RevokeAll ends all sessions of a user except for the one with the ID keep, which may be "". Call
// it when a user is disabled, so that the sessions do not work again if the user is enabled. It
// returns the number of sessions that have ended.
//
// Errors: *auth.UnavailableError, others of the Driver. Some sessions may then have ended.
func (s *Sessions) RevokeAll(ctx context.Context, owner accounts.ID, keep string) (int, error) {
	return s.RevokeIf(ctx, owner, func(session *Session) bool { return session.ID != keep })
}

// RevokeIf ends the sessions of a user for which a function returns true. It returns their number.
//
// Errors: those of RevokeAll.
func (s *Sessions) RevokeIf(ctx context.Context, owner accounts.ID, ends func(*Session) bool) (n int, err error) {
	for session, err := range s.of(ctx, owner, "") {
		if err == nil && !ends(session) {
			continue
		}
		if err == nil {
			err = s.delete(ctx, session)
		}
		if err != nil {
			return n, object.Unavailable(err)
		}
		n++
	}
	return n, nil
}

// RevokeSID ends the sessions that began by a login at a provider with a claim sid, and for which a
// function returns true. It returns their number.
//
// Errors: those of RevokeAll.
func (s *Sessions) RevokeSID(ctx context.Context, issuer, sid string, ends func(*Session) bool) (n int, err error) {
	for owner, id := range s.hints(ctx, issuer, sid, &err) {
		session, _, rerr := s.read(ctx, owner, id)
		switch p := session.provider(); {
		case errors.Is(rerr, ErrUnknown):
			continue
		case rerr != nil:
			return n, object.Unavailable(rerr)
		case p.Issuer != issuer || p.SID != sid || !ends(session):
			continue
		}
		if err := s.delete(ctx, session); err != nil {
			return n, object.Unavailable(err)
		}
		n++
	}
	return n, object.Unavailable(err)
}

// provider returns the provider of a session, or the zero Provider.
func (s *Session) provider() Provider {
	if s == nil || s.Provider == nil {
		return Provider{}
	}
	return *s.Provider
}

// hints yields the owners and IDs of the sessions that may have a sid.
func (s *Sessions) hints(ctx context.Context, issuer, sid string, failed *error) iter.Seq2[accounts.ID, string] {
	return func(yield func(accounts.ID, string) bool) {
		under := sidPrefix(issuer, sid)
		for info, err := range s.driver.List(ctx, under, &driver.ListOptions{KeysOnly: true}) {
			if err != nil {
				*failed = err
				return
			}
			owner, id, _ := strings.Cut(info.Key[len(under):], "/")
			if !yield(accounts.ID(owner), id) {
				return
			}
		}
	}
}

// sweepEvery is the time between two sweeps of Run.
const sweepEvery = time.Hour

// Run removes sessions that have reached their ends, now and once an hour, until ctx ends. Any
// number of processes may run it at the same time. Ended sessions are refused without it, too.
//
// Errors: the cause of the end of ctx. Other errors go to Options.Error.
func (s *Sessions) Run(ctx context.Context) error {
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.opts.Error(ctx, err)
		}
		if err := pause.Sleep(ctx, sweepEvery+rand.N(sweepEvery/10)); err != nil {
			return err
		}
	}
}

// Sweep removes the sessions that have reached their ends. It lists all sessions, and reads those
// that were not written for Options.Idle.
//
// Errors: those of the Driver.
func (s *Sessions) Sweep(ctx context.Context) error {
	for info, err := range s.driver.List(ctx, prefix+"s/", nil) {
		if err != nil {
			return err
		}
		if s.now().Sub(info.ModTime) < min(s.opts.Idle, s.opts.Absolute) {
			continue
		}
		owner, id, _ := strings.Cut(info.Key[len(prefix+"s/"):], "/")
		session, _, err := s.read(ctx, accounts.ID(owner), id)
		if err == nil && s.over(session) {
			err = s.delete(ctx, session)
		}
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
	}
	return s.sweepHints(ctx)
}

// sweepHints removes hints whose sessions have ended. A hint is written before its session, so new
// ones are kept.
func (s *Sessions) sweepHints(ctx context.Context) error {
	for info, err := range s.driver.List(ctx, prefix+"h/", nil) {
		if err != nil {
			return err
		}
		if s.now().Sub(info.ModTime) < sweepEvery {
			continue
		}
		part := strings.Split(info.Key, "/") // g, h, sid, owner, id
		if len(part) != 5 {
			continue
		}
		_, _, err = s.read(ctx, accounts.ID(part[3]), part[4])
		if errors.Is(err, ErrUnknown) {
			err = s.driver.Delete(ctx, info.Key, info.Version)
			if driver.IsConflict(err) || errors.Is(err, driver.ErrNotExist) {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
