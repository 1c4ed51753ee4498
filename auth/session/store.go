package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/internal/object"
	"github.com/registrykit/registry/auth/internal/secretvalue"
	"github.com/registrykit/registry/storage/driver"
)

// prefix is the prefix of the keys of sessions; docs/layout.md lists them:
//
//	g/s/<owner>/<id>        session
//	g/h/<sid>/<owner>/<id>  hint: the session may have this sid of a provider. <sid> is a hash.
const prefix = "g/"

const (
	ownerLength = 16
	idLength    = 26
	// extra is the number of random characters of a value beside those that each secret has. Together
	// they have 260 bits.
	extra = 20

	valuePrefix = "rks_"
	// maxCached is the maximum number of sessions in memory.
	maxCached = 20_000
	maxText   = 256
	maxHint   = 16 << 10
)

func ownerPrefix(owner accounts.ID) string           { return prefix + "s/" + string(owner) + "/" }
func sessionKey(owner accounts.ID, id string) string { return ownerPrefix(owner) + id }

// sidPrefix returns the prefix of the keys of the hints for a session of a provider.
func sidPrefix(issuer, sid string) string {
	sum := sha256.Sum256([]byte(issuer + "\x00" + sid))
	return prefix + "h/" + secretvalue.Encode(sum[:]) + "/"
}

// newValue returns the value of a new session.
func newValue(owner accounts.ID) string {
	return secretvalue.New(valuePrefix, string(owner)+secretvalue.Random(extra))
}

// parseValue returns the owner that a value states, and the ID of its session.
func parseValue(value string) (owner accounts.ID, id string, ok bool) {
	payload, ok := secretvalue.Parse(value, valuePrefix, ownerLength+extra)
	if !ok {
		return "", "", false
	}
	return accounts.ID(payload[:ownerLength]), idOf(value), true
}

// idOf returns the ID of the session with a value: the first 130 bits of its hash.
func idOf(value string) string {
	sum := sha256.Sum256([]byte(value))
	return secretvalue.Encode(sum[:])[:idLength]
}

func validOwner(id accounts.ID) bool { return len(id) == ownerLength && secretvalue.IsText(string(id)) }
func validID(id string) bool         { return len(id) == idLength && secretvalue.IsText(id) }

// stored is the JSON object of a session. The nonce makes each version unique.
type stored struct {
	Nonce   string   `json:"nonce"`
	Session *Session `json:"session"`
}

// cached is a session in memory.
type cached struct {
	session *Session
	version string
	read    time.Time // when the request to the storage began
}

// read reads a session from the storage.
//
// Errors: ErrUnknown; those of the Driver.
func (s *Sessions) read(ctx context.Context, owner accounts.ID, id string) (*Session, string, error) {
	if !validOwner(owner) || !validID(id) {
		return nil, "", ErrUnknown
	}
	key := sessionKey(owner, id)
	content, info, err := object.Read(ctx, s.driver, key, "")
	if errors.Is(err, driver.ErrNotExist) {
		return nil, "", ErrUnknown
	}
	if err != nil {
		return nil, "", err
	}
	var v stored
	if err := json.Unmarshal(content, &v); err != nil {
		return nil, "", fmt.Errorf("session: the object %s is damaged: %w", key, err)
	}
	if v.Session == nil || v.Session.Owner != owner || v.Session.ID != id {
		return nil, "", fmt.Errorf("session: the object %s is damaged: it belongs to another key", key)
	}
	return v.Session, info.Version, nil
}

// get returns a session that was read at most Options.Refresh ago. It must not be changed.
//
// Errors: ErrUnknown; those of the Driver.
func (s *Sessions) get(ctx context.Context, owner accounts.ID, id string) (cached, error) {
	key := sessionKey(owner, id)
	began := s.now()
	if c, ok := s.cache.Get(key); ok {
		if age := began.Sub(c.read); age >= 0 && age < s.opts.Refresh {
			return c, nil
		}
	}
	session, version, err := s.read(ctx, owner, id)
	if err != nil {
		if errors.Is(err, ErrUnknown) {
			s.cache.Remove(key)
		}
		return cached{}, err
	}
	c := cached{session, version, began}
	s.remember(key, c)
	return c, nil
}

// remember puts a session into the cache, unless this process has ended it meanwhile.
func (s *Sessions) remember(key string, c cached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ended, ok := s.ended.Get(key); ok && !c.read.After(ended) {
		return
	}
	s.cache.Add(key, c, 1)
}

// forget removes a session from the cache. What was read before is not remembered any more.
func (s *Sessions) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended.Add(key, s.now(), 1)
	s.cache.Remove(key)
}

// write stores a session.
//
// Errors: those of the Driver.
func (s *Sessions) write(ctx context.Context, session *Session, opts *driver.PutOptions) (driver.Info, error) {
	content, err := json.Marshal(stored{rand.Text(), session})
	if err != nil {
		return driver.Info{}, err
	}
	opts.Size = int64(len(content))
	return s.driver.Put(ctx, sessionKey(session.Owner, session.ID), bytes.NewReader(content), opts)
}

// delete deletes a session of any version, and its hint. A missing session is not an error.
//
// Errors: those of the Driver.
func (s *Sessions) delete(ctx context.Context, session *Session) error {
	key := sessionKey(session.Owner, session.ID)
	err := s.driver.Delete(ctx, key, "")
	s.forget(key)
	if err == nil || errors.Is(err, driver.ErrNotExist) {
		err = s.driver.Sync(ctx, key) // an ended session must not come back after a loss of power
	}
	if err != nil {
		return err
	}
	if p := session.Provider; p != nil && p.SID != "" {
		err = s.driver.Delete(ctx, hintKey(session), "")
		if err != nil && !errors.Is(err, driver.ErrNotExist) {
			return err
		}
	}
	return nil
}

// hintKey returns the key of the hint of a session that has a sid.
func hintKey(session *Session) string {
	p := session.Provider
	return sidPrefix(p.Issuer, p.SID) + string(session.Owner) + "/" + session.ID
}

// of yields the sessions of an owner after an ID, including ended ones, in the order of their IDs.
func (s *Sessions) of(ctx context.Context, owner accounts.ID, after string) iter.Seq2[*Session, error] {
	return func(yield func(*Session, error) bool) {
		if !validOwner(owner) {
			return
		}
		opts := &driver.ListOptions{KeysOnly: true}
		if after != "" {
			opts.After = sessionKey(owner, after)
		}
		for info, err := range s.driver.List(ctx, ownerPrefix(owner), opts) {
			var session *Session
			if err == nil {
				session, _, err = s.read(ctx, owner, info.Key[len(ownerPrefix(owner)):])
				if errors.Is(err, ErrUnknown) {
					continue
				}
			}
			if !yield(session, err) || err != nil {
				return
			}
		}
	}
}
