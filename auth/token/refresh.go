package token

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/object"
	"github.com/registrykit/registry/auth/internal/secretvalue"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
)

// Defaults of [RefreshOptions].
const (
	DefaultIdle       = 90 * 24 * time.Hour
	DefaultPerSubject = 1000
)

const (
	// minIdle is the minimum of RefreshOptions.Idle and Lifetime.
	minIdle = time.Hour
	// maxUsed is the maximum time between a use of a token and the write that records it.
	maxUsed = 24 * time.Hour
)

// RefreshOptions are the options of [NewRefreshTokens]. nil means the zero RefreshOptions.
type RefreshOptions struct {
	// Idle is the time after the last use at which a token expires, at least an hour. The recorded
	// time of the last use may be early by a tenth of Idle or a day, whichever is less, and the token
	// is valid for that much longer. Default: DefaultIdle, 90 days.
	Idle time.Duration
	// Lifetime is the time after the login at which a token expires even if it is used, at least an
	// hour. Each use also checks that the login is still valid, so a token never gives more than the
	// password or secret of the login. Default: no limit.
	Lifetime time.Duration
	// PerSubject is the approximate maximum number of tokens of one subject. At the maximum, a new
	// token replaces one that was not used for a day. If all were used, the client gets no refresh
	// token and keeps the password, so that parallel CI jobs of one robot do not log each other out.
	// Default: DefaultPerSubject, 1000.
	PerSubject int
	// Subject returns the subject of an identity, for PerSubject, [RefreshTokens.List] and
	// [RefreshTokens.RevokeAll]. It must not change, so use an ID if names can change. Callers whose
	// subject is "" get no refresh tokens. Default: the name.
	Subject func(identity auth.Identity) string
	// Error receives the errors of [RefreshTokens.Run]. Default: none.
	Error func(ctx context.Context, err error)
}

// RefreshTokens stores refresh tokens: one object for each, with the SHA-256 of the token. It is safe
// for concurrent use, and any number of processes may use the same storage. It is the value of
// Options.Refresh.
type RefreshTokens struct {
	driver driver.Driver
	opts   RefreshOptions
}

// NewRefreshTokens returns the refresh tokens in the storage of d, usually the Driver of the
// registry. It starts no goroutine and makes no request. opts may be nil.
//
// NewRefreshTokens returns an error if d is nil or an option is invalid.
func NewRefreshTokens(d driver.Driver, opts *RefreshOptions) (*RefreshTokens, error) {
	t := &RefreshTokens{driver: d, opts: options.Value(opts)}
	o := &t.opts
	options.Default(&o.Idle, DefaultIdle)
	options.Default(&o.PerSubject, DefaultPerSubject)
	if o.Subject == nil {
		o.Subject = func(identity auth.Identity) string { return identity.Name }
	}
	switch {
	case d == nil:
		return nil, errors.New("token: the driver of refresh tokens must not be nil")
	case o.Idle < minIdle || o.Lifetime != 0 && o.Lifetime < minIdle:
		return nil, errors.New("token: Idle and Lifetime of refresh tokens must be at least an hour")
	case o.PerSubject < 1:
		return nil, errors.New("token: PerSubject must be positive")
	}
	return t, nil
}

// record is a refresh token as it is stored. The nonce makes each version unique, so that the
// version of an object may be a hash of its content.
type record struct {
	Nonce    string         `json:"nonce"`
	Hash     string         `json:"hash"` // SHA-256 of the token, in hexadecimal digits
	Service  string         `json:"service"`
	Subject  string         `json:"subject"`
	Client   string         `json:"client,omitempty"`
	Name     string         `json:"name"`
	Groups   []string       `json:"groups,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"`
	Created  time.Time      `json:"created"`
	LastUsed time.Time      `json:"lastUsed"`

	key, version string
}

// newRecord returns the record of a new refresh token, without a key. It contains the claims that can
// be stored, in the form that JSON gives them, so that the caller can check that they can be renewed.
//
// newRecord returns an error if a claim cannot be encoded.
func newRecord(service, subject, client string, identity auth.Identity) (*record, error) {
	now := time.Now().UTC().Truncate(time.Second)
	content, err := json.Marshal(&record{
		Service: service, Subject: subject, Client: client,
		Name: identity.Name, Groups: identity.Groups, Claims: plainClaims(identity), Created: now, LastUsed: now,
	})
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	s := new(record)
	return s, json.Unmarshal(content, s)
}

// identity returns the identity of the login.
func (s *record) identity() auth.Identity {
	return auth.Identity{Name: s.Name, Groups: s.Groups, Claims: s.Claims}
}

// create stores a record and returns the new token. It returns "" if the subject has the maximum number
// of tokens, or the identity is too large to be stored.
//
// Errors: those of the Driver.
func (t *RefreshTokens) create(ctx context.Context, s *record) (string, error) {
	dir := subjectPrefix(s.Subject)
	if ok, err := t.makeRoom(ctx, dir); err != nil || !ok {
		return "", err
	}
	value, id := newValue(s.Subject)
	s.key, s.Hash = dir+id, secretvalue.Hash(value)
	err := t.put(ctx, s, &driver.PutOptions{IfAbsent: true})
	switch {
	case errors.Is(err, errTooLong):
		return "", nil
	case driver.IsConflict(err): // the ID is random: the response to the own write was lost
		return value, nil
	case err != nil:
		return "", err
	}
	return value, nil
}

// put stores a record.
//
// Errors: errTooLong; those of the Driver.
func (t *RefreshTokens) put(ctx context.Context, s *record, opts *driver.PutOptions) error {
	s.Nonce = rand.Text()
	content, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if len(content) > object.MaxSize {
		return errTooLong
	}
	opts.Size = int64(len(content))
	_, err = t.driver.Put(ctx, s.key, bytes.NewReader(content), opts)
	return object.Unavailable(err)
}

// lookUp returns the record of a token that is valid for a service.
//
// Errors: auth.ErrCredentials; those of the Driver.
func (t *RefreshTokens) lookUp(ctx context.Context, service, value string) (*record, error) {
	s, err := t.find(ctx, value)
	switch {
	case err != nil:
		return nil, err
	case s.Service != service:
		return nil, fmt.Errorf("the refresh token is of another service: %w", auth.ErrCredentials)
	case !time.Now().Before(t.expires(s)):
		return nil, fmt.Errorf("the refresh token has expired: %w", auth.ErrCredentials)
	}
	return s, nil
}

// find returns the record of a token, valid or not.
//
// Errors: auth.ErrCredentials if there is no such token; those of the Driver.
func (t *RefreshTokens) find(ctx context.Context, value string) (*record, error) {
	key, ok := parseValue(value)
	if !ok {
		return nil, fmt.Errorf("no refresh token: %w", auth.ErrCredentials)
	}
	s, err := t.load(ctx, key)
	if errors.Is(err, driver.ErrNotExist) {
		return nil, fmt.Errorf("unknown refresh token: %w", auth.ErrCredentials)
	}
	if err != nil {
		return nil, err
	}
	if !secretvalue.IsHash(s.Hash, value) {
		return nil, fmt.Errorf("unknown refresh token: %w", auth.ErrCredentials)
	}
	return s, nil
}

// load reads the record with a key.
//
// Errors: driver.ErrNotExist; other errors of the Driver; an error if the object is damaged.
func (t *RefreshTokens) load(ctx context.Context, key string) (*record, error) {
	content, info, err := object.Read(ctx, t.driver, key, "")
	if err != nil {
		return nil, object.Unavailable(err)
	}
	s := &record{key: key, version: info.Version}
	if err := json.Unmarshal(content, s); err != nil {
		return nil, fmt.Errorf("token: the object %s is damaged: %w", key, err)
	}
	return s, nil
}

// used records that a token is used now, at most once in the time of accuracy. A concurrent change or
// revocation takes precedence: it must not be undone by this write.
//
// Errors: those of the Driver.
func (t *RefreshTokens) used(ctx context.Context, s *record) error {
	now := time.Now().UTC().Truncate(time.Second)
	if now.Sub(s.LastUsed) < t.accuracy() {
		return nil
	}
	s.LastUsed = now
	err := t.put(ctx, s, &driver.PutOptions{IfVersion: s.version})
	if driver.IsConflict(err) {
		return nil
	}
	return err
}

// accuracy returns the maximum difference between the last use and its recorded time.
func (t *RefreshTokens) accuracy() time.Duration { return min(t.opts.Idle/10, maxUsed) }

// expires returns the time at which a token expires if it is not used again.
func (t *RefreshTokens) expires(s *record) time.Time {
	end := s.LastUsed.Add(t.opts.Idle + t.accuracy())
	if t.opts.Lifetime > 0 {
		if last := s.Created.Add(t.opts.Lifetime); last.Before(end) {
			return last
		}
	}
	return end
}
