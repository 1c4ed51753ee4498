package accounts

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"time"

	"github.com/registrykit/registry/auth/internal/object"
	wait "github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage/driver"
)

// maxFact is the maximum size of a fact as it is stored, in bytes.
const maxFact = object.MaxSize

// stored is the JSON object in which a fact is stored. The nonce makes each version unique: a Driver may
// derive versions from the content, and a writer whose response was lost recognises its own write.
type stored[T any] struct {
	Nonce string `json:"nonce"`
	Fact  T      `json:"fact"`
	size  int    // in bytes, as stored
}

// get reads a fact from the storage, and returns it with its version. Changes are decided by get, never
// by the cache; requests use cached.
//
// Errors: ErrUnknown; those of the Driver.
func get[T any](ctx context.Context, a *Accounts, key string) (*T, string, error) {
	s, version, err := load[T](ctx, a.driver, key, "")
	if err != nil {
		return nil, "", err
	}
	return &s.Fact, version, nil
}

// load reads an object unless it has the version ifNot.
//
// Errors: ErrUnknown, driver.ErrNotModified; those of the Driver.
func load[T any](ctx context.Context, d driver.Driver, key, ifNot string) (*stored[T], string, error) {
	content, info, err := object.Read(ctx, d, key, ifNot)
	if errors.Is(err, driver.ErrNotExist) {
		return nil, "", ErrUnknown
	}
	if err != nil {
		return nil, "", err
	}
	var parsed struct {
		Nonce string `json:"nonce"`
		Fact  *T     `json:"fact"`
	}
	if err = json.Unmarshal(content, &parsed); err == nil {
		err = checkPlace(key, parsed.Fact)
	}
	if err != nil {
		return nil, "", fmt.Errorf("accounts: the object %s is damaged: %w", key, err)
	}
	return &stored[T]{Nonce: parsed.Nonce, Fact: *parsed.Fact, size: len(content)}, info.Version, nil
}

// placed is implemented by facts that say where they belong.
type placed interface {
	// isAt reports whether the fact belongs to a key.
	isAt(key string) bool
}

// checkPlace returns an error for an object without a fact, and for a fact of another key. Neither may be taken for
// the fact that is missing: a secret without fields would never end, for example.
func checkPlace[T any](key string, fact *T) error {
	if fact == nil {
		return errors.New("it has no fact")
	}
	if p, ok := any(fact).(placed); ok && !p.isAt(key) {
		return errors.New("its fact belongs to another key")
	}
	return nil
}

func (r *nameRecord) isAt(key string) bool {
	return last(key) == skeleton(r.Name) || last(key) == r.Name
}

func (r *accountRecord) isAt(key string) bool { return key == accountKey(r.ID) }

func (s *Secret) isAt(key string) bool { return key == secretKey(s.Owner, s.ID) }

func (t *Team) isAt(key string) bool { return last(key) == t.Name }

func (m *membership) isAt(key string) bool { return last(key) == string(m.User) }

func (r *repositoryRecord) isAt(key string) bool { return key == repositoryKey(r.Name) }

// create stores a fact that must not exist.
//
// Errors: driver.ErrExist; ErrInvalid if it is too large; those of the Driver.
func create[T any](ctx context.Context, a *Accounts, key string, fact *T) error {
	return put(ctx, a, key, fact, &driver.PutOptions{IfAbsent: true})
}

// put stores a fact. If the Driver reports a conflict because the response to this very write was lost
// and it was repeated, put recognises its own nonce, and succeeds.
func put[T any](ctx context.Context, a *Accounts, key string, fact *T, opts *driver.PutOptions) error {
	s := stored[T]{Nonce: rand.Text(), Fact: *fact}
	content, err := json.Marshal(&s)
	if err != nil {
		return err
	}
	if len(content) > maxFact {
		return fmt.Errorf("%w: more than %d bytes", ErrInvalid, maxFact)
	}
	opts.Size = int64(len(content))
	_, err = a.driver.Put(ctx, key, bytes.NewReader(content), opts)
	a.facts.forget(key)
	if driver.IsConflict(err) {
		if now, _, gerr := load[T](ctx, a.driver, key, ""); gerr == nil && now.Nonce == s.Nonce {
			return nil
		}
	}
	return err
}

// errUnchanged is returned by the change function of update if there is nothing to write.
var errUnchanged = errors.New("accounts: unchanged")

// maxTries is the maximum number of attempts of a change that conflicts with other writers.
const maxTries = 500

// errContended is returned after maxTries conflicts.
var errContended = fmt.Errorf("accounts: too many changes of the same fact at once: %w", driver.ErrUnavailable)

// update changes a fact by read-modify-write with compare-and-swap, and returns the new fact. It calls
// change again after each conflict with another writer, so change must not have side effects that
// add up. If change returns errUnchanged, update writes nothing.
//
// Errors: ErrUnknown, those of change, those of the Driver.
func update[T any](ctx context.Context, a *Accounts, key string, change func(*T) error) (*T, error) {
	return modify(ctx, a, key, change, func() (*T, *driver.PutOptions, error) {
		fact, version, err := get[T](ctx, a, key)
		return fact, &driver.PutOptions{IfVersion: version}, err
	})
}

// updateOrCreate is update for a fact that may not exist: change then gets a zero T.
func updateOrCreate[T any](ctx context.Context, a *Accounts, key string, change func(*T) error) (*T, error) {
	return modify(ctx, a, key, change, func() (*T, *driver.PutOptions, error) {
		fact, version, err := get[T](ctx, a, key)
		if errors.Is(err, ErrUnknown) {
			return new(T), &driver.PutOptions{IfAbsent: true}, nil
		}
		return fact, &driver.PutOptions{IfVersion: version}, err
	})
}

// modify is the loop of update: read returns the fact, and the condition of the write.
func modify[T any](ctx context.Context, a *Accounts, key string, change func(*T) error,
	read func() (*T, *driver.PutOptions, error)) (*T, error) {
	for n := 0; ; n++ {
		fact, opts, err := read()
		if err != nil {
			return nil, err
		}
		if err := change(fact); err != nil {
			if errors.Is(err, errUnchanged) {
				return fact, nil
			}
			return nil, err
		}
		err = put(ctx, a, key, fact, opts)
		if err == nil {
			return fact, nil
		}
		if !driver.IsConflict(err) {
			return nil, err
		}
		if err := pause(ctx, n); err != nil {
			return nil, err
		}
	}
}

// drop deletes a fact of any version. A missing fact is not an error.
func (a *Accounts) drop(ctx context.Context, key string) error {
	return ignore(a.deleteVersion(ctx, key, ""), driver.ErrNotExist)
}

// dropVersion deletes a fact unless it has changed. A missing fact is not an error.
func (a *Accounts) dropVersion(ctx context.Context, key, version string) error {
	err := a.deleteVersion(ctx, key, version)
	if driver.IsConflict(err) {
		return nil
	}
	return ignore(err, driver.ErrNotExist)
}

// deleteVersion deletes a fact of one version, or of any if version is "".
//
// Errors: those of the Driver, including driver.ErrNotExist and conflicts.
func (a *Accounts) deleteVersion(ctx context.Context, key, version string) error {
	err := a.driver.Delete(ctx, key, version)
	a.facts.forget(key)
	return err
}

// ignore returns nil for an error that is what, and err otherwise.
func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// pause waits before another attempt. The time is random and longer after each attempt, so that
// concurrent writers of one fact do not conflict again and again.
//
// Errors: errContended; the error of ctx.
func pause(ctx context.Context, n int) error {
	if n >= maxTries {
		return errContended
	}
	longest := time.Duration(1<<min(n, 6)) * 2 * time.Millisecond
	return wait.Sleep(ctx, mrand.N(longest))
}
