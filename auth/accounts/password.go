package accounts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/registrykit/registry/storage/driver"
)

// passwordRecord is the fact that a user has a password.
type passwordRecord struct {
	// Hash is the hash, as a PHC string.
	Hash string `json:"hash"`
	// Set is the time at which the password was set.
	Set time.Time `json:"set"`
	// Version is random, and so differs for each password that the user ever had.
	Version string `json:"version"`
}

// version returns Version. A record that another program has written and Import has read has none: version then
// derives it from the hash. The version of the zero record is "".
func (r *passwordRecord) version() string {
	if r.Version != "" || r.Hash == "" {
		return r.Version
	}
	sum := sha256.Sum256([]byte(r.Hash))
	return string(idOf([10]byte(sum[:10])))
}

// SetPassword replaces the password of a user. "" removes it.
//
// Errors: ErrUnknown, ErrInvalid, ErrNotified.
func (a *Accounts) SetPassword(ctx context.Context, by Actor, id ID, password string) error {
	change := Change{Action: "user.password", AccountID: id}
	if password == "" {
		change.Action = "user.password.remove"
	}
	acc, err := a.accountNow(ctx, id)
	if err == nil && (acc.Kind != User || acc.Removed != nil) {
		err = fmt.Errorf("%w: not a user", ErrUnknown)
	}
	if err == nil {
		change.Account = acc.Name
		err = a.check(ctx, by, acc)
	}
	if err == nil && password != "" {
		err = a.CheckNewPassword(acc.Name, password)
	}
	switch {
	case err != nil:
	case by.IfPassword != nil:
		err = a.replacePassword(ctx, by, id, password)
	case password == "":
		err = a.drop(ctx, passwordKey(id))
	default:
		err = a.putPassword(ctx, id, password)
	}
	return a.settle(ctx, by, change, true, err)
}

// replacePassword replaces or removes a password on the condition of Actor.IfPassword.
func (a *Accounts) replacePassword(ctx context.Context, by Actor, id ID, password string) error {
	key := passwordKey(id)
	if password != "" {
		next, err := a.hashPassword(ctx, password)
		if err != nil {
			return err
		}
		_, err = updateOrCreate(ctx, a, key, func(r *passwordRecord) error {
			if err := by.IfPassword(r.version()); err != nil {
				return err
			}
			*r = *next
			return nil
		})
		return err
	}
	for n := 0; ; n++ {
		r, version, err := get[passwordRecord](ctx, a, key)
		if errors.Is(err, ErrUnknown) {
			return by.IfPassword("")
		}
		if err == nil {
			err = by.IfPassword(r.version())
		}
		if err == nil {
			err = a.deleteVersion(ctx, key, version)
		}
		if !driver.IsConflict(err) && !errors.Is(err, driver.ErrNotExist) {
			return err
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
}

// putPassword stores the hash of a password.
func (a *Accounts) putPassword(ctx context.Context, id ID, password string) error {
	r, err := a.hashPassword(ctx, password)
	if err != nil {
		return err
	}
	return put(ctx, a, passwordKey(id), r, &driver.PutOptions{})
}

// hashPassword returns the record of a new password.
func (a *Accounts) hashPassword(ctx context.Context, password string) (*passwordRecord, error) {
	p := newArgon()
	err := a.inSlot(ctx, func() { p.hash = a.derive(&p, normal(password), argonHash) })
	if err != nil {
		return nil, err
	}
	return &passwordRecord{Hash: p.String(), Set: a.now().UTC(), Version: string(newID())}, nil
}

// hasPassword reports whether a password is the stored one of an ID. "" means that there is none. It does not
// use the cache.
func (a *Accounts) hasPassword(ctx context.Context, id ID, password string) (bool, error) {
	r, _, err := get[passwordRecord](ctx, a, passwordKey(id))
	if errors.Is(err, ErrUnknown) {
		return password == "", nil
	}
	if err != nil || password == "" {
		return false, err
	}
	return a.verify(ctx, r, password)
}

// CheckPassword implements [Directory]. Each check takes 19 MiB of memory and the time that argon2id needs for two
// passes over it. So at most runtime.GOMAXPROCS checks run at the same time, and the others wait.
func (a *Accounts) CheckPassword(ctx context.Context, id ID, password string) (version string, err error) {
	var r *passwordRecord
	if validID(id) {
		r, err = cached[passwordRecord](ctx, a, passwordKey(id))
		if ignore(err, ErrUnknown) != nil {
			return "", err
		}
	}
	ok, err := a.verify(ctx, r, password)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", ErrUnknown
	}
	return r.version(), nil
}

// PasswordVersion implements [Directory].
func (a *Accounts) PasswordVersion(ctx context.Context, id ID) (string, error) {
	if !validID(id) {
		return "", ErrUnknown
	}
	r, err := cached[passwordRecord](ctx, a, passwordKey(id))
	if err != nil {
		return "", err
	}
	return r.version(), nil
}

// verify compares a password with a record. With a nil record, it takes the same time and returns false.
func (a *Accounts) verify(ctx context.Context, r *passwordRecord, password string) (ok bool, err error) {
	p := newArgon()
	p.hash = make([]byte, argonHash)
	if r != nil {
		if p, err = parseArgon(r.Hash); err != nil {
			return false, err
		}
	}
	if len(password) > maxPassword {
		return false, nil // the length does not depend on the user, so the time reveals nothing
	}
	err = a.inSlot(ctx, func() {
		sum := a.derive(&p, normal(password), len(p.hash))
		ok = subtle.ConstantTimeCompare(sum, p.hash) == 1 && r != nil
	})
	return ok, err
}

// inSlot calls f when one of the slots is free. The slots bound the memory of concurrent hashes.
func (a *Accounts) inSlot(ctx context.Context, f func()) error {
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-a.slots }()
	f()
	return nil
}

// normal returns the form in which a password is hashed: NFKC, as NIST SP 800-63B recommends,
// because keyboards differ in how they compose characters.
func normal(password string) string { return norm.NFKC.String(password) }
