package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/secretvalue"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
)

// SecretOptions are the options of [Accounts.CreateSecret]. nil means the zero SecretOptions.
type SecretOptions struct {
	// Expires is the time at which the secret becomes invalid. Default: never.
	Expires time.Time
	// Scopes are Secret.Scopes, at most 100. Default: nil, all permissions of the owner.
	Scopes []Grant
}

const (
	// maxSecretName is the maximum length of the name of a secret, in characters.
	maxSecretName = 100
	// maxGrace is the maximum grace period of a rotation.
	maxGrace = 365 * 24 * time.Hour
	// cleanTimeout is the maximum time of the deletion of a secret that no caller has received.
	cleanTimeout = 10 * time.Second
)

// CreateSecret creates a secret of a user or robot. The name must have 1 to 100 characters. At the maximum number of
// secrets, CreateSecret deletes expired ones.
//
// Errors: ErrUnknown; ErrInvalid, also for an organisation and for Scopes that are empty and not nil; ErrLimit;
// ErrNotified, with the secret; those of the Driver, after which a secret may exist whose value nobody knows.
func (a *Accounts) CreateSecret(ctx context.Context, by Actor, owner ID, name string,
	opts *SecretOptions) (NewSecret, error) {
	change := Change{Action: "secret.create"}
	acc, err := a.secretOwner(ctx, owner, &change)
	if err != nil {
		return NewSecret{}, a.refused(ctx, by, change, err)
	}
	o, now := options.Value(opts), a.now()
	if err := checkNewSecret(name, &o, now); err != nil {
		return NewSecret{}, a.refused(ctx, by, change, err)
	}
	made, err := a.makeSecret(ctx, acc, Secret{Name: name, Expires: utc(o.Expires), Scopes: o.Scopes, Created: now.UTC()})
	if err != nil {
		return NewSecret{}, a.refused(ctx, by, change, err)
	}
	change.Secret, change.After = made.ID, name
	return made, a.done(ctx, by, change)
}

// secretOwner returns the account whose secrets are to be changed, and sets its name and ID in the change.
//
// Errors: ErrUnknown, ErrInvalid; those of the Driver.
func (a *Accounts) secretOwner(ctx context.Context, owner ID, change *Change) (*Account, error) {
	acc, err := a.accountNow(ctx, owner)
	switch {
	case err != nil:
		return nil, err
	case acc.Removed != nil:
		return nil, fmt.Errorf("%w account: it was removed", ErrUnknown)
	}
	change.Account, change.AccountID = acc.Name, acc.ID
	if present, err := a.Account(ctx, owner); err == nil {
		change.Account = present.Name // of a robot, with the present name of its namespace
	}
	if acc.Kind != User && acc.Kind != Robot {
		return nil, fmt.Errorf("%w: only users and robots have secrets", ErrInvalid)
	}
	return acc, nil
}

func checkNewSecret(name string, o *SecretOptions, now time.Time) error {
	switch {
	case name == "" || utf8.RuneCountInString(name) > maxSecretName || !plain(name):
		return fmt.Errorf("%w: the name of a secret must have 1 to %d printable characters", ErrInvalid, maxSecretName)
	case !o.Expires.IsZero() && !o.Expires.After(now):
		return fmt.Errorf("%w: a secret must end in the future", ErrInvalid)
	case o.Expires.UTC().Year() > 9999:
		return fmt.Errorf("%w: a secret must end before the year 10000", ErrInvalid)
	case o.Scopes != nil && len(o.Scopes) == 0:
		// JSON omits an empty list, so the stored secret would have all permissions of its owner.
		return fmt.Errorf("%w: a secret without any scope would permit nothing", ErrInvalid)
	}
	return checkGrants(o.Scopes)
}

// utc returns t in UTC, and the zero Time unchanged.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// makeSecret stores a new secret of an account, with a new ID and value.
//
// Errors: ErrInvalid, ErrLimit; those of the Driver.
func (a *Accounts) makeSecret(ctx context.Context, owner *Account, s Secret) (NewSecret, error) {
	s.Owner, s.ID = owner.ID, newSecretID()
	value := newSecretValue(owner.Kind, s.Owner, s.ID)
	s.Hash = secretvalue.Hash(value)
	err := create(ctx, a, secretKey(s.Owner, s.ID), &s)
	if err == nil {
		err = a.makeRoom(ctx, owner)
	}
	if err != nil {
		a.discard(ctx, &s)
		return NewSecret{}, err
	}
	return NewSecret{Secret: s, Value: auth.Secret(value)}, nil
}

// discard deletes a secret that no caller has received. If that fails, the secret stays in the list, but nobody knows
// its value.
func (a *Accounts) discard(ctx context.Context, s *Secret) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	_ = a.drop(ctx, secretKey(s.Owner, s.ID))
}

// RevokeSecret deletes a secret, which becomes invalid at once in this process, and within Options.Refresh in others.
//
// Errors: ErrUnknown, ErrNotified; those of the Driver.
func (a *Accounts) RevokeSecret(ctx context.Context, by Actor, owner ID, id string) error {
	change := Change{Action: "secret.revoke"}
	_, err := a.secretOwner(ctx, owner, &change)
	if err == nil {
		err = a.revoke(ctx, by, owner, id, &change)
	}
	return a.settle(ctx, by, change, true, err)
}

// revoke deletes a secret. One of several concurrent calls succeeds.
func (a *Accounts) revoke(ctx context.Context, by Actor, owner ID, id string, change *Change) error {
	if !validSecretID(id) {
		return fmt.Errorf("%w secret", ErrUnknown)
	}
	key := secretKey(owner, id)
	for n := 0; ; n++ {
		s, version, err := get[Secret](ctx, a, key)
		if err == nil {
			err = by.checkSecret(s)
		}
		if err != nil {
			return err
		}
		change.Secret, change.Before = s.ID, s.Name
		err = a.deleteVersion(ctx, key, version)
		if err == nil {
			return nil
		}
		if !driver.IsConflict(err) && !errors.Is(err, driver.ErrNotExist) {
			// The secret may have been deleted although the response was lost.
			if _, _, gerr := get[Secret](ctx, a, key); errors.Is(gerr, ErrUnknown) {
				return nil
			}
			return err
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
}
