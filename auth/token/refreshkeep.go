package token

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/object"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// sweepEvery is the approximate time between two removals of expired tokens by Run.
	sweepEvery = 24 * time.Hour
	// maxTidied is the maximum number of expired tokens that a login removes.
	maxTidied = 20
)

// ErrUnknown is returned by [RefreshTokens.Revoke] when the subject has no token with the ID.
var ErrUnknown = errors.New("token: no such refresh token")

// RefreshToken describes a refresh token. It does not contain the token itself.
type RefreshToken struct {
	// ID identifies the token among those of its subject.
	ID string
	// Subject is what RefreshOptions.Subject has returned at the login.
	Subject string
	// Client is the client_id of the login, such as "docker", or "". It is not verified.
	Client string
	// Created is the time of the login.
	Created time.Time
	// LastUsed is the recorded time of the last use. It may be early by a day, see RefreshOptions.Idle.
	LastUsed time.Time
	// Expires is the time at which the token expires if it is not used again.
	Expires time.Time
}

// List yields the tokens of a subject that have not expired, in no particular order. It reads the
// storage once for each.
//
// Errors: an error of the Driver is the last element.
func (t *RefreshTokens) List(ctx context.Context, subject string) iter.Seq2[RefreshToken, error] {
	return func(yield func(RefreshToken, error) bool) {
		dir := subjectPrefix(subject)
		for info, err := range t.driver.List(ctx, dir, &driver.ListOptions{KeysOnly: true}) {
			if err != nil {
				yield(RefreshToken{}, object.Unavailable(err))
				return
			}
			s, err := t.load(ctx, info.Key)
			switch {
			case errors.Is(err, driver.ErrNotExist):
				continue
			case err != nil:
				yield(RefreshToken{}, err)
				return
			case s.Subject != subject || !time.Now().Before(t.expires(s)):
				continue
			}
			if !yield(RefreshToken{
				ID: strings.TrimPrefix(info.Key, dir), Subject: s.Subject, Client: s.Client,
				Created: s.Created, LastUsed: s.LastUsed, Expires: t.expires(s),
			}, nil) {
				return
			}
		}
	}
}

// Revoke revokes one token of a subject, at once in all processes. Access tokens that were issued for it
// remain valid until they expire, see Options.Lifetime.
//
// Errors: ErrUnknown; those of the Driver.
func (t *RefreshTokens) Revoke(ctx context.Context, subject, id string) error {
	if !validID(id) {
		return ErrUnknown
	}
	err := t.remove(ctx, subjectPrefix(subject)+id)
	if errors.Is(err, driver.ErrNotExist) {
		return ErrUnknown
	}
	return err
}

// RevokeAll revokes all tokens of a subject, as Revoke does. It returns their number, including expired
// ones. A concurrent login may get a token that is not revoked.
//
// Errors: those of the Driver. Some tokens may be revoked after an error.
func (t *RefreshTokens) RevokeAll(ctx context.Context, subject string) (int, error) {
	n := 0
	for info, err := range t.driver.List(ctx, subjectPrefix(subject), &driver.ListOptions{KeysOnly: true}) {
		if err == nil {
			err = t.remove(ctx, info.Key)
		}
		switch {
		case errors.Is(err, driver.ErrNotExist):
		case err != nil:
			return n, object.Unavailable(err)
		default:
			n++
		}
	}
	return n, nil
}

// RevokeToken revokes a token by its value. A value that is unknown, expired or not a refresh token is
// not an error. The endpoint does the same for a POST to Options.Path + "/revoke" with the parameter
// token (RFC 7009).
//
// Errors: those of the Driver.
func (t *RefreshTokens) RevokeToken(ctx context.Context, value string) error {
	s, err := t.find(ctx, value)
	if err == nil {
		err = t.remove(ctx, s.key)
	}
	if errors.Is(err, auth.ErrCredentials) || errors.Is(err, driver.ErrNotExist) {
		return nil
	}
	return err
}

// remove deletes the record with a key, of any version, and waits until the deletion is durable:
// otherwise a revoked token could be valid again after a power failure.
//
// Errors: driver.ErrNotExist; other errors of the Driver.
func (t *RefreshTokens) remove(ctx context.Context, key string) error {
	err := t.driver.Delete(ctx, key, "")
	if err == nil {
		err = t.driver.Sync(ctx, key)
	}
	return object.Unavailable(err)
}

// RemoveExpired deletes expired tokens and returns their number. It costs the pages of a list of all
// tokens, and one request for each deleted token. A token that has reached RefreshOptions.Lifetime is
// invalid at once, but is deleted only when it was not used for RefreshOptions.Idle.
//
// Errors: those of the Driver.
func (t *RefreshTokens) RemoveExpired(ctx context.Context) (int, error) {
	n := 0
	for info, err := range t.driver.List(ctx, refreshPrefix, nil) {
		if err == nil && t.unused(info) {
			if err = t.removeUnused(ctx, info); err == nil {
				n++
			}
		}
		if err != nil {
			return n, object.Unavailable(err)
		}
	}
	return n, nil
}

// Run calls RemoveExpired every day until ctx ends. Start it in at least one process: otherwise the
// expired tokens of subjects that never log in again stay in the storage.
//
// Errors: the error of ctx.
func (t *RefreshTokens) Run(ctx context.Context) error {
	wait := rand.N(sweepEvery / 8) // replicas start at different times
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		if _, err := t.RemoveExpired(ctx); err != nil && ctx.Err() == nil && t.opts.Error != nil {
			t.opts.Error(ctx, err)
		}
		wait = sweepEvery - sweepEvery/8 + rand.N(sweepEvery/4)
	}
}

// unused reports whether a token has expired for lack of use. Each recorded use writes the object.
func (t *RefreshTokens) unused(info driver.Info) bool {
	return time.Since(info.ModTime) > t.opts.Idle+t.accuracy()
}

// removeUnused deletes a token unless it was used in the meantime.
func (t *RefreshTokens) removeUnused(ctx context.Context, info driver.Info) error {
	err := t.driver.Delete(ctx, info.Key, info.Version)
	if driver.IsConflict(err) || errors.Is(err, driver.ErrNotExist) {
		return nil
	}
	return err
}

// makeRoom reports whether a subject can have another token. It deletes some expired tokens. At the
// maximum, it deletes the least recently used token, unless that was used within about a day: its
// client may be in the middle of a push.
//
// Errors: those of the Driver.
func (t *RefreshTokens) makeRoom(ctx context.Context, dir string) (bool, error) {
	alive, tidied := 0, 0
	var oldest driver.Info
	for info, err := range t.driver.List(ctx, dir, nil) {
		switch {
		case err != nil:
			return false, object.Unavailable(err)
		case t.unused(info):
			if tidied++; tidied <= maxTidied {
				if err := t.removeUnused(ctx, info); err != nil {
					return false, object.Unavailable(err)
				}
			}
			continue
		}
		if alive++; alive == 1 || info.ModTime.Before(oldest.ModTime) {
			oldest = info
		}
	}
	if alive < t.opts.PerSubject {
		return true, nil
	}
	if time.Since(oldest.ModTime) < t.accuracy()+maxUsed {
		return false, nil
	}
	return true, object.Unavailable(t.removeUnused(ctx, oldest))
}
